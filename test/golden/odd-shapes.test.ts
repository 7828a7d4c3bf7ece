/**
 * Models that nobody published, of sizes that divide badly: one rank on the reference kernels is the oracle of every
 * layout, placement and package.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { IS_LONG } from "../paths.js";
import { Random } from "../../sim/random.js";
import { checkLogits } from "./golden-model.js";
import { logitsOf } from "./logits-command.js";
import { writeRandomCheckpoint, type ModelShape } from "./random-checkpoint.js";
import { flagsOf, nameOf, pairedLayouts } from "./rank-layouts.js";
import type { SafetensorsFile } from "./safetensors-file.js";

const PLAIN: ModelShape = {
  hidden: 128,
  intermediate: 128,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  experts: 4,
  expertsPerToken: 2,
  vocab: 256,
  layers: "sf",
  window: 16,
  isTied: false,
  hasAttentionBias: true,
};

/** The first is the short test's. */
const SHAPES: Readonly<Record<string, ModelShape>> = {
  "odd sizes everywhere": {
    ...PLAIN,
    hidden: 96,
    intermediate: 160,
    heads: 6,
    kvHeads: 3,
    experts: 5,
    expertsPerToken: 3,
    vocab: 261,
    layers: "ssf",
    window: 7,
  },
  "one KV head, tied embeddings": { ...PLAIN, kvHeads: 1, isTied: true, vocab: 333 },
  "heads of 32 and a prime vocabulary": { ...PLAIN, heads: 8, kvHeads: 4, headDim: 32, vocab: 521, layers: "ffs" },
  "the smallest hidden states": { ...PLAIN, hidden: 32, experts: 3, expertsPerToken: 1, vocab: 19 },
  "every expert for every token": { ...PLAIN, experts: 3, expertsPerToken: 3 },
  "only sliding layers": { ...PLAIN, layers: "sss", window: 5 },
  "only full layers, no attention biases": { ...PLAIN, layers: "ff", hasAttentionBias: false },
  "ten heads on one KV head": { ...PLAIN, heads: 10, kvHeads: 1, hidden: 352, intermediate: 352 },
  "many experts": { ...PLAIN, experts: 37, expertsPerToken: 5 },
  "heads of 128": { ...PLAIN, headDim: 128 },
  "a window of one": { ...PLAIN, window: 1 },
};

/** In the short test each layout once, with both placements and both packages among them. */
const LAYOUTS = pairedLayouts().filter((_, index) => IS_LONG || [0, 3, 5, 6, 9].includes(index));

for (const [seed, [name, shape]] of Object.entries(SHAPES)
  .slice(0, IS_LONG ? undefined : 1)
  .entries()) {
  describe(`a model of ${name}`, () => {
    const prompts = promptsOf(shape, seed);
    let [folder, model] = ["", ""];
    let oracle: SafetensorsFile | undefined;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), "moesaic-test-"));
      model = join(folder, "model");
      writeRandomCheckpoint(model, shape, seed);
    });
    after(() => rmSync(folder, { recursive: true }));

    it("has the same logits by the reference kernels, which are the oracle here, and the cpu kernels", async (test) => {
      oracle = await logitsOf(test, model, prompts, ["--kernels", "reference"]);
      const logits = await logitsOf(test, model, prompts, ["--kernels", "cpu"]);
      checkAll(prompts, logits, oracle, shape.vocab);
    });

    for (const layout of LAYOUTS) {
      it(`has the same logits with ${nameOf(layout)}`, async (test) => {
        assert.ok(oracle !== undefined, "one rank has no logits");
        const logits = await logitsOf(test, model, prompts, flagsOf(layout));
        checkAll(prompts, logits, oracle, shape.vocab);
      });
    }
  });
}

/** A token alone, a few, and more than every window and a KV block hold. */
function promptsOf({ vocab }: ModelShape, seed: number): number[][] {
  const random = new Random(seed);
  return [1, 6, 45].map((length) => Array.from({ length }, () => random.integer(0, vocab - 1)));
}

function checkAll(prompts: number[][], got: SafetensorsFile, want: SafetensorsFile, vocab: number): void {
  for (const [index, { length }] of prompts.entries()) {
    const name = `logits.${index}`;
    assert.deepEqual(got.shape(name), [length, vocab]);
    checkLogits(got.float32(name), want.float32(name), vocab, `prompt ${index}`);
  }
}
