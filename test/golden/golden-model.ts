import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FIXTURES } from "../paths.js";
import { SafetensorsFile } from "./safetensors-file.js";

/** float32 tolerances of the fixtures: of one position's logits, relative L2; of one value, absolute. */
const RELATIVE_L2 = 2e-5;
const ABSOLUTE = 2e-4;

export interface GoldenPrompt {
  name: string;
  length: number;
  logits_first_position: number;
  logits_positions: number;
}

/** A checkpoint of the fixtures with what transformers computed from it. */
export class GoldenModel {
  readonly folder: string;
  /** From the shortest to the longest. */
  readonly prompts: readonly GoldenPrompt[];
  readonly #values: SafetensorsFile;

  constructor(model: string) {
    this.folder = join(FIXTURES, model);
    const golden = readFileSync(join(this.folder, "golden.json"), "utf8");
    this.prompts = (JSON.parse(golden) as { prompts: GoldenPrompt[] }).prompts;
    this.#values = new SafetensorsFile(join(this.folder, "golden.safetensors"));
  }

  ids(tensor: string): number[] {
    return [...this.#values.int32(tensor)];
  }

  /** Prompt and continuation without the last token, which nothing follows. */
  forced(prompt: string): number[] {
    return [...this.ids(`${prompt}.input_ids`), ...this.ids(`${prompt}.greedy_ids`).slice(0, -1)];
  }

  /** Every position of the prompt, teacher-forced, that the fixtures know. */
  check({ name, length, logits_first_position: first }: GoldenPrompt, got: SafetensorsFile, tensor: string): void {
    const [numTokens, vocabSize] = got.shape(tensor) as [number, number];
    assert.equal(numTokens, length + 47);
    const values = got.float32(tensor);
    const compare = (golden: Float32Array, firstPosition: number): void => {
      const part = values.subarray(firstPosition * vocabSize).subarray(0, golden.length);
      checkLogits(part, golden, vocabSize, name, firstPosition);
    };
    compare(this.#values.float32(`${name}.logits`), first);
    compare(this.#values.float32(`${name}.greedy_logits`), length - 1);
  }
}

/** Position by position, the whole row and its worst element. */
export function checkLogits(
  got: Float32Array,
  want: Float32Array,
  vocabSize: number,
  prompt: string,
  firstPosition = 0,
): void {
  assert.equal(got.length, want.length, prompt);
  assert.ok(want.length > 0, `${prompt}: there is nothing to compare`);
  for (let begin = 0; begin < want.length; begin += vocabSize) {
    const place = `${prompt} position ${firstPosition + begin / vocabSize}`;
    checkRow(got.subarray(begin, begin + vocabSize), want.subarray(begin, begin + vocabSize), place);
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
