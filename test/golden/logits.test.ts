/**
 * Whole models against transformers, from outside: `moesaic logits` teacher-forced over prompt and continuation, every
 * position that the fixtures know; and the greedy tokens by `moesaic generate`.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { jsonLines, moesaic, temporaryFolder } from "../e2e/moesaic.js";
import { IS_LONG, skipWithout } from "../paths.js";
import { GoldenModel, type GoldenPrompt } from "./golden-model.js";
import { logitsOf } from "./logits-command.js";
import { allLayouts, flagsOf, keepsBits, nameOf, PACKAGES, pairedLayouts, type RankLayout } from "./rank-layouts.js";
import type { SafetensorsFile } from "./safetensors-file.js";

const MODELS = ["tiny-a", "tiny-b"];
/** Of one rank, by model and package: what layouts of whole sums must repeat bit for bit. */
const ofOneRank = new Map<string, SafetensorsFile>();

for (const model of MODELS) {
  for (const kernels of PACKAGES) {
    describe(`${model} on the ${kernels} kernels`, { skip: skipWithout(model) }, () => {
      it("computes the golden logits at every position", async (test) => {
        const golden = new GoldenModel(model);
        const logits = await checkedLogits(test, golden, golden.prompts, ["--kernels", kernels]);
        ofOneRank.set(`${model} ${kernels}`, logits);
      });

      it("chooses the golden tokens, all prompts at once", async (test) => {
        await checkGreedyTokens(test, new GoldenModel(model), ["--kernels", kernels]);
      });
    });
  }
}

/** All combinations with the long tests. Else both models take turns, two pairs of layouts each time one after the other. */
const RUNS = (IS_LONG ? allLayouts() : pairedLayouts()).flatMap((layout, index) => {
  const turn = (index + Math.floor(index / 4)) % MODELS.length;
  return MODELS.filter((_, model) => IS_LONG || model === turn).map((model) => ({ model, layout }));
});

describe("the layouts tested", () => {
  it("have every layout, placement, package and model among them", () => {
    const values = RUNS.flatMap(({ model, layout }) => [model, layout.layout, layout.placement, layout.kernels]);
    assert.equal(new Set(values).size, 5 + 2 + 2 + 2);
  });
});

for (const model of MODELS) {
  describe(`${model} on several ranks`, { skip: skipWithout(model) }, () => {
    for (const { layout } of RUNS.filter((run) => run.model === model)) {
      const name = nameOf(layout);
      const bits = keepsBits(layout) ? ", with the bits of one rank" : "";

      it(`computes the golden logits with ${name}${bits}`, async (test) => {
        const golden = new GoldenModel(model);
        const prompts = promptsFor(golden, layout);
        const logits = await checkedLogits(test, golden, prompts, flagsOf(layout));
        if (!keepsBits(layout)) return;
        const oneRank = ofOneRank.get(`${model} ${layout.kernels}`);
        assert.ok(oneRank !== undefined, "one rank has no logits");
        for (const index of prompts.keys()) sameBits(logits, oneRank, `logits.${index}`);
      });

      if (!IS_LONG) continue;
      it(`chooses the golden tokens with ${name}`, async (test) => {
        await checkGreedyTokens(test, new GoldenModel(model), flagsOf(layout));
      });
    }
  });
}

/** The reference package needs seconds for the long prompts; the others are longer than every window, too. */
function promptsFor({ prompts }: GoldenModel, { kernels }: RankLayout): readonly GoldenPrompt[] {
  return IS_LONG || kernels !== "reference" ? prompts : prompts.filter(({ length }) => length < 100);
}

async function checkedLogits(
  test: TestContext,
  golden: GoldenModel,
  prompts: readonly GoldenPrompt[],
  flags: readonly string[],
): Promise<SafetensorsFile> {
  const forced = prompts.map(({ name }) => golden.forced(name));
  const logits = await logitsOf(test, golden.folder, forced, flags);
  for (const [index, prompt] of prompts.entries()) golden.check(prompt, logits, `logits.${index}`);
  return logits;
}

async function checkGreedyTokens(test: TestContext, golden: GoldenModel, flags: readonly string[]): Promise<void> {
  const sampling = { temperature: 0, max_tokens: 48, ignore_eos: true };
  const lines = golden.prompts.map(({ name }) => ({ tokens: golden.ids(`${name}.input_ids`), ...sampling }));
  const input = join(temporaryFolder(test), "prompts.jsonl");
  writeFileSync(input, lines.map((line) => JSON.stringify(line)).join("\n"));
  const result = await moesaic(["generate", "--model", golden.folder, ...flags, "--json", "--input", input]);
  assert.equal(result.code, 0, result.stderr);
  assert.deepEqual(
    jsonLines<{ token_ids: number[] }>(result).map(({ token_ids: tokenIds }) => tokenIds),
    golden.prompts.map(({ name }) => golden.ids(`${name}.greedy_ids`)),
  );
}

function sameBits(got: SafetensorsFile, want: SafetensorsFile, tensor: string): void {
  assert.ok(got.bytes(tensor).length > 0);
  assert.ok(got.bytes(tensor).equals(want.bytes(tensor)), `${tensor} has other bits than one rank's`);
}
