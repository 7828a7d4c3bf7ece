import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { moesaic, temporaryFolder } from "../e2e/moesaic.js";
import { SafetensorsFile } from "./safetensors-file.js";

/** Logits after every token of the prompts by `moesaic logits`: tensor `logits.<index of the prompt>`, (tokens, vocab). */
export async function logitsOf(
  test: TestContext,
  model: string,
  prompts: readonly (readonly number[])[],
  flags: readonly string[],
): Promise<SafetensorsFile> {
  const folder = temporaryFolder(test);
  const [input, out] = [join(folder, "prompts.jsonl"), join(folder, "logits.safetensors")];
  writeFileSync(input, prompts.map((tokens) => JSON.stringify({ tokens })).join("\n"));
  const result = await moesaic(["logits", "--model", model, ...flags, "--input", input, "--out", out]);
  assert.equal(result.code, 0, result.stderr);
  return new SafetensorsFile(out);
}
