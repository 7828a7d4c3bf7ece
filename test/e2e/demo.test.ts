import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../paths.js";

describe("the demo", () => {
  it("answers a question, tells its speed, and leaves no process behind", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, "scripts", "demo.mjs")]);
    assert.match(stdout, /^thinking:\n.*capital of France.*\nanswer:\nThe capital of France is Paris\.$/m);
    assert.match(stdout, /^\d+ tokens, [\d.]+ tok\/s, TTFT \d+ ms$/m);
    assert.match(stdout, /the cluster has left, no process remains\n$/);
  });
});
