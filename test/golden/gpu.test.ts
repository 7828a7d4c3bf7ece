import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { checkGolden, generateGolden, GOLDEN, type ResultLine } from "../e2e/golden-generations.js";
import { jsonLines, moesaic } from "../e2e/moesaic.js";
import { native } from "../../native/index.js";
import { DEMO_MODEL } from "../paths.js";
import { GoldenModel, type GoldenPrompt } from "./golden-model.js";
import { logitsOf } from "./logits-command.js";
import { SafetensorsFile } from "./safetensors-file.js";

const { missing } = native.cudaDevices();
const skip = missing !== null && `needs a GPU; ${missing}`;
const skipWithGpu = missing === null && "there is a GPU";

/** Tolerances of a bf16 engine, and the margin from which on it must choose the same token; the fixtures' own. */
const FAST = { medianL2: 0.03, clearL2: 0.05, clearShare: 0.95, clearGap: 0.1, margin: 0.5, equalShare: 0.93 };

describe("a GPU", { timeout: 600_000 }, () => {
  for (const name of ["tiny-a", "tiny-b"]) {
    it(`gives ${name}'s golden logits and greedy tokens in precision exact`, { skip }, async (test) => {
      const model = new GoldenModel(name);
      const got = await logitsOnGpu(test, model, "exact");
      for (const [index, prompt] of model.prompts.entries()) model.check(prompt, got, `logits.${index}`);
    });

    it(`stays within bf16's tolerances of ${name}'s golden logits in precision fast`, { skip }, async (test) => {
      const model = new GoldenModel(name);
      checkFast(model, await logitsOnGpu(test, model, "fast"));
    });
  }

  it(
    "gives all golden generations of the demo model in precision exact, alone and all at once",
    { skip },
    async (test) => {
      const flags = ["--model", DEMO_MODEL, "--device", "cuda", "--precision", "exact"];
      checkGolden(await generateGolden(test, GOLDEN, "tokens", flags), GOLDEN);
      checkGolden(await generateGolden(test, GOLDEN, "tokens", [...flags, "--max-concurrent", "1"]), GOLDEN);
    },
  );

  it(
    "gives them in precision fast wherever the margin is wide, and deterministic ones whatever else runs",
    { skip },
    async (test) => {
      const flags = ["--model", DEMO_MODEL, "--device", "cuda", "--precision", "fast"];
      checkWideMargins(await generateGolden(test, GOLDEN, "tokens", flags));
      const together = await generateGolden(test, GOLDEN, "tokens", [...flags, "--deterministic"]);
      checkWideMargins(together);
      const alone = await deterministicAlone(test, flags);
      assert.deepEqual(
        together.map(({ token_ids: tokenIds }) => tokenIds),
        alone.map(({ token_ids: tokenIds }) => tokenIds),
      );
    },
  );

  it("times each op of its steps, with logits that the CPU's kernels give too", { skip }, async () => {
    const flags = ["--model", DEMO_MODEL, "--device", "cuda", "--precision", "exact", "--json"];
    const result = await moesaic(["bench", "kernels", ...flags, "--rows", "1,8", "--prefill", "64"]);
    assert.equal(result.code, 0, result.stderr);
    const lines = jsonLines<Record<string, unknown>>(result);
    assert.ok(lines.every((line) => line["agrees_with_reference"] === true && Number(line["us"]) > 0));
    const totals = lines.filter(({ op }) => op === "total");
    assert.equal(totals.length, 3);
    // A stream that was not let go in time would show as half a second.
    assert.ok(
      totals.every(({ us }) => Number(us) < 100_000),
      JSON.stringify(totals),
    );
  });

  it(
    "gives the same tokens when a prompt is prefilled in other chunks, deterministic in precision fast",
    { skip },
    async () => {
      const flags = ["--model", DEMO_MODEL, "--device", "cuda", "--precision", "fast", "--deterministic", "--json"];
      const result = await moesaic(["bench", "kv", ...flags, "--contexts", "512,2048"]);
      assert.equal(result.code, 0, result.stderr);
      const lines = jsonLines<Record<string, unknown>>(result);
      assert.ok(lines.every((line) => line["other_chunks_agree"] === true));
    },
  );
});

describe("a machine without a GPU", () => {
  it("says what is missing when cuda is asked for, at once", { skip: skipWithGpu }, async () => {
    const result = await moesaic(["generate", "--model", DEMO_MODEL, "--device", "cuda", "--prompt", "hi"]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^moesaic: device cuda: .*(no CUDA driver|sees no GPU).*use device cpu\n$/);
  });

  it("says so in doctor, which is no fault", { skip: skipWithGpu }, async () => {
    const result = await moesaic(["doctor"]);
    assert.equal(result.code, 0, result.stdout);
    assert.match(result.stdout, /missing {2}gpu: .*\n.*models run on the CPU/);
  });
});

function logitsOnGpu(test: TestContext, model: GoldenModel, precision: string): Promise<SafetensorsFile> {
  const prompts = model.prompts.map(({ name }) => model.forced(name));
  return logitsOf(test, model.folder, prompts, ["--device", "cuda", "--precision", precision]);
}

function deterministicAlone(test: TestContext, flags: readonly string[]): Promise<ResultLine[]> {
  return generateGolden(test, GOLDEN, "tokens", [...flags, "--deterministic", "--max-concurrent", "1"]);
}

/** Equal up to the first token whose golden margin is narrow. */
function checkWideMargins(results: readonly ResultLine[]): void {
  const text = readFileSync(join(DEMO_MODEL, "golden_generations.json"), "utf8");
  const { generations } = JSON.parse(text) as { generations: { margins: number[]; generated_tokens: number[] }[] };
  for (const [index, { margins, generated_tokens: golden }] of generations.entries()) {
    const narrow = margins.findIndex((margin) => margin < FAST.margin);
    const end = narrow < 0 ? golden.length : narrow;
    assert.deepEqual(results[index]!.token_ids.slice(0, end), golden.slice(0, end), `generation ${index}`);
  }
}

function checkFast(model: GoldenModel, got: SafetensorsFile): void {
  const golden = new SafetensorsFile(join(model.folder, "golden.safetensors"));
  const rows = model.prompts.flatMap((prompt, index) => compareRows(golden, prompt, got, index));
  const errors = rows.map(({ error }) => error).toSorted((a, b) => a - b);
  assert.ok(errors[Math.floor(errors.length / 2)]! <= FAST.medianL2, `median ${errors[Math.floor(errors.length / 2)]}`);
  const clear = rows.filter(({ gap }) => gap >= FAST.clearGap);
  const within = clear.filter(({ error }) => error <= FAST.clearL2).length;
  assert.ok(
    within >= FAST.clearShare * clear.length,
    `${within} of ${clear.length} clear positions within ${FAST.clearL2}`,
  );
  const wrong = clear.filter(({ margin, isBest }) => margin >= FAST.margin && !isBest);
  assert.equal(wrong.length, 0, "argmax at clear positions of a wide margin");
  const equal = rows.filter(({ isBest }) => isBest).length;
  assert.ok(equal >= FAST.equalShare * rows.length, `argmax equal at ${equal} of ${rows.length}`);
}

interface Row {
  error: number;
  /** How near a router was to another expert. */
  gap: number;
  margin: number;
  isBest: boolean;
}

/** Positions of the prompt; of longer ones the last are stored. */
function compareRows(golden: SafetensorsFile, prompt: GoldenPrompt, got: SafetensorsFile, index: number): Row[] {
  const want = golden.float32(`${prompt.name}.logits`);
  const gaps = golden.float32(`${prompt.name}.router_gap`);
  const all = got.float32(`logits.${index}`);
  const [numRows, vocab] = golden.shape(`${prompt.name}.logits`) as [number, number];
  return Array.from({ length: numRows }, (_, row) => {
    const position = prompt.logits_first_position + row;
    const [a, b] = [
      all.subarray(position * vocab, (position + 1) * vocab),
      want.subarray(row * vocab, (row + 1) * vocab),
    ];
    const best = indexOfLargest(b);
    const others = b.filter((_value, id) => id !== best);
    return {
      error: Math.sqrt(sumOf(a.map((value, id) => (value - b[id]!) ** 2)) / sumOf(b.map((value) => value ** 2))),
      gap: gaps[position] ?? 0,
      margin: b[best]! - others.reduce((largest, value) => Math.max(largest, value), -Infinity),
      isBest: indexOfLargest(a) === best,
    };
  });
}

function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, index) => (value > values[best]! ? index : best), 0);
}

function sumOf(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
