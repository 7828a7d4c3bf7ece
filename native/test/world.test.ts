import { test } from "node:test";

import { runTestProgram } from "./run-program.js";

// The tests are C++, because they count what the heap gives and send messages that no engine of ours would send.
test("engines among processes", async (context) => runTestProgram(context, "moesaic_world_tests"));
