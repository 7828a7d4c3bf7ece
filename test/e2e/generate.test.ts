import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { DEMO_MODEL } from "../paths.js";
import { checkGolden, generateGolden, GOLDEN, SOME_GOLDEN, type ResultLine } from "./golden-generations.js";
import { jsonLines, longGeneration, MAIN_FILE, moesaic, RunningCluster, temporaryFolder } from "./moesaic.js";

const MODEL = ["--model", DEMO_MODEL];

describe("moesaic generate", () => {
  it("gives the golden tokens of each prompt alone", async (test) => {
    const results = await generateGolden(test, SOME_GOLDEN, "tokens", [...MODEL, "--max-concurrent", "1"]);
    checkGolden(results, SOME_GOLDEN);
  });

  it("gives the golden tokens of all prompts at once, cut into steps of 64 tokens", async (test) => {
    const results = await generateGolden(test, GOLDEN, "tokens", [...MODEL, "--max-batched-tokens", "64"]);
    checkGolden(results, GOLDEN);
  });

  it("renders conversations to the golden prompts and reads answers, reasoning and calls out of the tokens", async (test) => {
    const results = await generateGolden(test, GOLDEN, "messages", MODEL);
    checkGolden(results, GOLDEN);
    for (const [index, { parsed, prompt_tokens: promptTokens }] of GOLDEN.entries()) {
      const result = results[index]!;
      assert.deepEqual(result.prompt_token_ids, promptTokens, `prompt of ${result.id}`);
      assert.equal(result.reasoning ?? null, parsed.analysis, `reasoning of ${result.id}`);
      if (parsed.final !== null) assert.equal(result.text, parsed.final, `text of ${result.id}`);
      const calls = (result.tool_calls ?? []).map(({ name, arguments: args }) => ({ name, arguments: args }));
      assert.deepEqual(calls, parsed.call === null ? [] : [parsed.call], `calls of ${result.id}`);
      assert.equal(result.finish_reason, parsed.call === null ? "stop" : "tool_calls");
    }
  });

  it("samples the same tokens for one seed, alone and among others", async (test) => {
    const line = { prompt: "Tell me", temperature: 1, seed: 7, max_tokens: 24, ignore_eos: true };
    const alone = jsonLines<ResultLine>(await run(test, [line], []));
    const among = jsonLines<ResultLine>(await run(test, [{ ...line, seed: 8 }, line, { ...line, seed: 9 }], []));
    assert.deepEqual(among[1]!.token_ids, alone[0]!.token_ids);
    assert.notDeepEqual(among[0]!.token_ids, alone[0]!.token_ids);
  });

  it("fails one request and runs the others, with exit code 1", async (test) => {
    const lines = [
      { id: "good", tokens: [1, 2, 3], max_tokens: 2, temperature: 0 },
      { id: "bad", tokens: [1, 999_999], max_tokens: 2 },
    ];
    const result = await run(test, lines, []);
    assert.equal(result.code, 1);
    const [good, bad] = jsonLines<ResultLine>(result);
    assert.equal(good!.token_ids.length, 2);
    assert.equal(bad!.error?.code, "invalid_argument");
    assert.match(bad!.error?.message ?? "", /999999/);
  });

  it("ends quietly when its reader is gone", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const child = spawn(process.execPath, [MAIN_FILE, ...longGeneration(cluster.endpoint)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    child.stderr.on("data", (bytes) => (stderr += bytes));
    await once(child.stdout, "data");
    child.stdout.destroy();
    const [code] = (await once(child, "exit")) as [number | null];
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  });
});

function run(test: TestContext, lines: readonly object[], flags: readonly string[]) {
  const file = join(temporaryFolder(test), "requests.jsonl");
  writeFileSync(file, lines.map((line) => JSON.stringify(line)).join("\n"));
  return moesaic(["generate", ...MODEL, "--input", file, "--json", ...flags]);
}
