/**
 * Whole models against transformers, from outside: `moesaic logits` teacher-forced over prompt and continuation, every
 * position that the fixtures know; and the greedy tokens by `moesaic generate`.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { FIXTURES, IS_LONG, skipWithout } from "../paths.js";
import { jsonLines, moesaic, temporaryFolder } from "../e2e/moesaic.js";
import { SafetensorsFile } from "./safetensors-file.js";

/** float32 tolerances of the fixtures: of one position's logits, relative L2; of one value, absolute. */
const RELATIVE_L2 = 2e-5;
const ABSOLUTE = 2e-4;

for (const model of ["tiny-a", "tiny-b"]) {
  for (const kernels of ["reference", "cpu"]) {
    describe(`${model} on the ${kernels} kernels`, { skip: skipWithout(model) }, () => {
      it("computes the golden logits at every position", async (test) => {
        const golden = new GoldenModel(model);
        const file = join(temporaryFolder(test), "logits.safetensors");
        const lines = golden.prompts.map(({ name }) => ({ tokens: golden.forced(name) }));
        const args = ["logits", "--model", join(FIXTURES, model), "--kernels", kernels, "--out", file];
        const result = await moesaic([...args, "--input", inputFile(test, lines)]);
        assert.equal(result.code, 0, result.stderr);
        const logits = new SafetensorsFile(file);
        for (const [index, prompt] of golden.prompts.entries()) golden.check(prompt, logits, `logits.${index}`);
      });

      it("chooses the golden tokens, all prompts at once", async (test) => {
        const golden = new GoldenModel(model);
        const sampling = { temperature: 0, max_tokens: 48, ignore_eos: true };
        const lines = golden.prompts.map(({ name }) => ({ tokens: golden.ids(`${name}.input_ids`), ...sampling }));
        const args = ["generate", "--model", join(FIXTURES, model), "--kernels", kernels, "--json"];
        const result = await moesaic([...args, "--input", inputFile(test, lines)]);
        assert.equal(result.code, 0, result.stderr);
        const outputs = jsonLines<{ token_ids: number[] }>(result).map(({ token_ids: tokenIds }) => tokenIds);
        assert.deepEqual(
          outputs,
          golden.prompts.map(({ name }) => golden.ids(`${name}.greedy_ids`)),
        );
      });
    });
  }
}

/** Every rank a process of its own. In the short run the layouts that cut most unevenly; the rest with the long tests. */
const LAYOUTS = ["--tp 2", "--tp 4", "--ep 2", "--ep 3", "--tp 2 --ep 2"];
const SHORT_LAYOUTS = ["--tp 4", "--ep 3"];

for (const model of ["tiny-a", "tiny-b"]) {
  describe(`${model} on several ranks`, { skip: skipWithout(model) }, () => {
    for (const layout of IS_LONG ? LAYOUTS : SHORT_LAYOUTS) {
      for (const placement of ["replicated", "sharded"]) {
        it(`computes the golden logits with ${layout}, tokens ${placement}`, async (test) => {
          const golden = new GoldenModel(model);
          const file = join(temporaryFolder(test), "logits.safetensors");
          const lines = golden.prompts.map(({ name }) => ({ tokens: golden.forced(name) }));
          const args = [
            "logits",
            "--model",
            join(FIXTURES, model),
            ...layout.split(" "),
            "--tokens-placement",
            placement,
          ];
          const result = await moesaic([...args, "--out", file, "--input", inputFile(test, lines)]);
          assert.equal(result.code, 0, result.stderr);
          const logits = new SafetensorsFile(file);
          for (const [index, prompt] of golden.prompts.entries()) golden.check(prompt, logits, `logits.${index}`);
        });
      }
    }
  });
}

interface GoldenPrompt {
  name: string;
  length: number;
  logits_first_position: number;
  logits_positions: number;
}

class GoldenModel {
  readonly prompts: GoldenPrompt[];
  readonly #values: SafetensorsFile;

  constructor(model: string) {
    const folder = join(FIXTURES, model);
    this.prompts = (
      JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")) as { prompts: GoldenPrompt[] }
    ).prompts;
    this.#values = new SafetensorsFile(join(folder, "golden.safetensors"));
  }

  ids(tensor: string): number[] {
    return [...this.#values.int32(tensor)];
  }

  /** Prompt and continuation without the last token, which nothing follows. */
  forced(prompt: string): number[] {
    return [...this.ids(`${prompt}.input_ids`), ...this.ids(`${prompt}.greedy_ids`).slice(0, -1)];
  }

  check({ name, length, logits_first_position: first }: GoldenPrompt, got: SafetensorsFile, tensor: string): void {
    const [numTokens, vocabSize] = got.shape(tensor) as [number, number];
    assert.equal(numTokens, length + 47);
    const values = got.float32(tensor);
    const compare = (golden: Float32Array, firstPosition: number): void => {
      for (let row = 0; row * vocabSize < golden.length; row += 1) {
        const at = (firstPosition + row) * vocabSize;
        const want = golden.subarray(row * vocabSize, (row + 1) * vocabSize);
        checkRow(values.subarray(at, at + vocabSize), want, `${name} position ${firstPosition + row}`);
      }
    };
    compare(this.#values.float32(`${name}.logits`), first);
    compare(this.#values.float32(`${name}.greedy_logits`), length - 1);
  }
}

function checkRow(got: Float32Array, want: Float32Array, place: string): void {
  let [errorSquares, squares, largest] = [0, 0, 0];
  for (const [index, value] of want.entries()) {
    const difference = Math.abs(got[index]! - value);
    errorSquares += difference ** 2;
    squares += value ** 2;
    largest = Math.max(largest, Number.isNaN(difference) ? Infinity : difference);
  }
  const relative = Math.sqrt(errorSquares / squares);
  assert.ok(relative <= RELATIVE_L2, `${place}: relative L2 ${relative}, at most ${RELATIVE_L2}`);
  assert.ok(largest <= ABSOLUTE, `${place}: off by ${largest}, at most ${ABSOLUTE}`);
}

function inputFile(test: TestContext, lines: readonly object[]): string {
  const file = join(temporaryFolder(test), "prompts.jsonl");
  writeFileSync(file, lines.map((line) => JSON.stringify(line)).join("\n"));
  return file;
}
