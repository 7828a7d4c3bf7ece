import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { text } from "node:stream/consumers";

import { packagePath } from "../../index.js";

const PROGRAM = join(dirname(packagePath("reference")), "moesaic_comm_tests");

// The tests are C++, because ranks that can be killed must be processes and hidden states never enter JavaScript. They print
// lines: ok NAME | not ok NAME # why | skipped NAME # why | # a measurement.
test("communicators among processes", async (context) => {
  const child = spawn(PROGRAM, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  let numTests = 0;
  for (const line of output.split("\n")) {
    const [, result, name = "", why = ""] = /^(ok|not ok|skipped) (.+?)(?: # (.*))?$/.exec(line) ?? [];
    if (result === undefined) continue;
    numTests += 1;
    await context.test(name, { skip: result === "skipped" ? why : false }, () => assert.equal(result, "ok", why));
  }
  const [code, signal] = await ended;
  assert.ok(
    code === 0 || code === 1,
    `${PROGRAM} ended with ${String(signal ?? code)} after ${numTests} tests: ${errors}`,
  );
  assert.ok(numTests > 0, "it ran no test");
});
