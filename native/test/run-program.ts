import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";

import { packagePath } from "../index.js";

/**
 * For tests: runs a test program in C++ that lies beside the kernel packages, each line of its as a test of its own:
 * ok NAME | not ok NAME # why | skipped NAME # why | # a measurement.
 */
export async function runTestProgram(context: TestContext, name: string): Promise<void> {
  const program = join(dirname(packagePath("reference")), name);
  const child = spawn(program, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  let numTests = 0;
  for (const line of output.split("\n")) {
    const [, result, title = "", why = ""] = /^(ok|not ok|skipped) (.+?)(?: # (.*))?$/.exec(line) ?? [];
    if (result === undefined) continue;
    numTests += 1;
    await context.test(title, { skip: result === "skipped" ? why : false }, () => assert.equal(result, "ok", why));
  }
  const [code, signal] = await ended;
  assert.ok(
    code === 0 || code === 1,
    `${program} ended with ${String(signal ?? code)} after ${numTests} tests: ${errors}`,
  );
  assert.ok(numTests > 0, "it ran no test");
}
