import { test } from "node:test";

import { runTestProgram } from "../../test/run-program.js";

// The tests are C++, because ranks that can be killed must be processes and hidden states never enter JavaScript.
test("communicators among processes", async (context) => runTestProgram(context, "moesaic_comm_tests"));
