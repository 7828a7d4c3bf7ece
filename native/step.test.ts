import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import {
  FINISH_LENGTH,
  FINISH_NONE,
  FINISH_STOP,
  LAST_SAMPLED,
  MASK_BITS,
  MASK_IDS,
  OUTPUT_LOGITS,
  OUTPUT_SAMPLE,
  type StepPlan,
  type StepResult,
} from "../proto/step.js";
import type { EngineHandle } from "./binding.js";
import { native, packagePath } from "./index.js";
import { awkwardPackagePath } from "./test/awkward-package.js";
import { TINY_VOCAB, tinyProgram } from "./test/tiny-program.js";
import { openTinyEngine, tinyStep, type TinySequence } from "./test/tiny-steps.js";

const PROMPT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5];

describe("step", () => {
  let engine: EngineHandle;
  before(async () => {
    engine = await openTinyEngine();
  });
  after(() => native.closeEngine(engine));

  /** Runs one step of these sequences; with `finished` rows forgotten before. */
  async function run(sequences: TinySequence[], finished: number[] = []): Promise<StepResult> {
    return native.step(engine, tinyStep(sequences, { finishedRows: Int32Array.from(finished) }));
  }

  it("returns the logits of every token of a row that wants them", async () => {
    const result = await run([{ row: 0, begin: 0, tokenIds: [3, 1, 4], output: OUTPUT_LOGITS, begins: {} }]);
    assert.equal(result.logits.length, 3 * TINY_VOCAB);
    assert.ok(result.logits.every(Number.isFinite));
    assert.equal(result.seqRows.length, 0);
    const one = await run([{ row: 0, begin: 0, tokenIds: [3], output: OUTPUT_LOGITS, begins: {} }], [0]);
    assert.deepEqual(one.logits, result.logits.subarray(0, TINY_VOCAB));
    await run([], [0]);
  });

  it("gives the same logits for a prompt at once, in pieces, and beside another row", async () => {
    const whole = (await run([{ row: 0, begin: 0, tokenIds: PROMPT.slice(0, 4), output: OUTPUT_LOGITS, begins: {} }]))
      .logits;
    await run([{ row: 1, begin: 0, tokenIds: PROMPT.slice(0, 3), begins: {} }]);
    const rest = { row: 1, begin: 3, tokenIds: PROMPT.slice(3, 4), output: OUTPUT_LOGITS };
    const neighbour = { row: 2, begin: 0, tokenIds: [99, 98], begins: {} };
    const pieces = (await run([neighbour, rest])).logits;
    assert.deepEqual(pieces, whole.subarray(3 * TINY_VOCAB));
    await run([], [0, 1, 2]);
  });

  it("samples the largest logit when greedy and runs on with the token just sampled", async () => {
    const tokenIds = PROMPT;
    const first = await run([{ row: 0, begin: 0, tokenIds, output: OUTPUT_SAMPLE, begins: {} }]);
    await run([{ row: 1, begin: 0, tokenIds: PROMPT.slice(0, -1), begins: {} }]);
    const last = { row: 1, begin: PROMPT.length - 1, tokenIds: PROMPT.slice(-1), output: OUTPUT_LOGITS };
    const { logits } = await run([last]);
    assert.equal(first.tokenIds[0], logits.indexOf(Math.max(...logits)));
    // The second token, once by reference to the first and once by its id.
    const second = await run([{ row: 0, begin: PROMPT.length, tokenIds: [LAST_SAMPLED], output: OUTPUT_SAMPLE }]);
    const given = { row: 1, begin: PROMPT.length, tokenIds: [first.tokenIds[0] ?? 0], output: OUTPUT_SAMPLE };
    assert.deepEqual((await run([given])).tokenIds, second.tokenIds);
    await run([], [0, 1]);
  });

  it("remembers how long the last 512 steps took", async () => {
    const begin = native.stepTimes(engine, 0).length;
    assert.ok(begin > 0);
    await native.step(engine, tinyStep([{ row: 0, begin: 0, tokenIds: [3], begins: {} }], { stepId: 1_000 }));
    const [time] = native.stepTimes(engine, 999);
    assert.ok(time!.engineUs > 0 && time!.endedUsAgo > 0);
    assert.equal(time!.collectiveUs, 0);
    for (let stepId = 1_001; stepId <= 1_600; stepId += 1) await native.step(engine, tinyStep([], { stepId }));
    const all = native.stepTimes(engine, 0);
    assert.deepEqual([all.length, all[0]!.stepId, all.at(-1)!.stepId], [512, 1_089, 1_600]);
    assert.deepEqual(native.stepTimes(engine, 1_600), []);
    await run([], [0]);
  });

  it("keeps sampled rows and rows of logits apart, each in the plan's order", async () => {
    const result = await run([
      { row: 3, begin: 0, tokenIds: [1], output: OUTPUT_SAMPLE, begins: {} },
      { row: 0, begin: 0, tokenIds: [2, 3], output: OUTPUT_LOGITS, begins: {} },
      { row: 1, begin: 0, tokenIds: [1], output: OUTPUT_SAMPLE, begins: {} },
      { row: 2, begin: 0, tokenIds: [9], begins: {} },
    ]);
    assert.deepEqual(result.seqRows, Int32Array.of(3, 1));
    assert.equal(result.tokenIds[0], result.tokenIds[1]);
    const alone = await run([{ row: 0, begin: 0, tokenIds: [2, 3], output: OUTPUT_LOGITS, begins: {} }], [0]);
    assert.deepEqual(result.logits, alone.logits);
    await run([], [0, 1, 2, 3]);
  });

  it("ends a row at a stop id and at its length", async () => {
    const free = await run([{ row: 0, begin: 0, tokenIds: PROMPT, output: OUTPUT_SAMPLE, begins: {} }]);
    assert.deepEqual(free.finishes, Int32Array.of(FINISH_NONE));
    const tokenId = free.tokenIds[0] ?? 0;
    const again = { row: 0, begin: 0, tokenIds: PROMPT, output: OUTPUT_SAMPLE };
    const stopped = await run([{ ...again, begins: { stopTokenIds: [5, tokenId] } }], [0]);
    assert.deepEqual(stopped.finishes, Int32Array.of(FINISH_STOP));
    const full = await run([{ ...again, begins: { maxSeqLen: PROMPT.length + 1 } }], [0]);
    assert.deepEqual(full.finishes, Int32Array.of(FINISH_LENGTH));
    const masked = await run([{ ...again, begins: { stopTokenIds: [tokenId], minSeqLen: PROMPT.length + 1 } }], [0]);
    assert.notEqual(masked.tokenIds[0], tokenId);
    await run([], [0]);
  });

  it("samples what the row's mask allows, until the row has another or begins anew", async () => {
    const again = { row: 0, begin: 0, tokenIds: PROMPT, output: OUTPUT_SAMPLE };
    const free = (await run([{ ...again, begins: {} }])).tokenIds[0]!;
    const masked = async (masks: number[], finished: number[]): Promise<number> => {
      const sequence = finished.length > 0 ? { ...again, begins: {} } : again;
      const plan = { finishedRows: Int32Array.from(finished), masks: Int32Array.from(masks) };
      return (await native.step(engine, tinyStep([sequence], plan))).tokenIds[0]!;
    };
    assert.equal(await masked([0, MASK_IDS, 1, 41], [0]), 41);
    assert.equal(await masked([], []), 41);
    const words = Array.from({ length: Math.ceil(TINY_VOCAB / 32) }, (_, index) => (index === 1 ? 1 << 11 : 0));
    assert.equal(await masked([0, MASK_BITS, words.length, ...words], []), 43);
    assert.equal(await masked([], [0]), free);
    const sampled = await masked([0, MASK_IDS, 2, 7, 90], [0]);
    assert.ok(sampled === 7 || sampled === 90);
    await run([], [0]);
  });

  it("applies the parameters of the row that samples, penalties over its history included", async () => {
    const again = { row: 0, begin: 0, tokenIds: PROMPT, output: OUTPUT_SAMPLE };
    const biased = await run([{ ...again, begins: { logitBias: [{ tokenId: 77, bias: 1000 }] } }]);
    assert.equal(biased.tokenIds[0], 77);
    // Every token of the prompt but the first counts as output: presence of 5 makes 5 impossible though biased to win.
    const begins = { logitBias: [{ tokenId: 5, bias: 1000 }], presencePenalty: 2000 };
    const present = await run([{ ...again, begins }], [0]);
    assert.notEqual(present.tokenIds[0], 5);
    const begun = { logitBias: [{ tokenId: 8, bias: 1000 }], presencePenalty: 2000 };
    const absent = await run([{ ...again, begins: begun }], [0]);
    assert.equal(absent.tokenIds[0], 8);
    await run([], [0]);
  });

  it("reports as many alternatives as the row that asked for most", async () => {
    const result = await run([
      { row: 0, begin: 0, tokenIds: [7], output: OUTPUT_SAMPLE, begins: { numTopLogprobs: 3 } },
      { row: 1, begin: 0, tokenIds: [7], output: OUTPUT_SAMPLE, begins: { numTopLogprobs: 0 } },
      { row: 2, begin: 0, tokenIds: [7], output: OUTPUT_SAMPLE, begins: {} },
    ]);
    assert.equal(result.numTopLogprobs, 3);
    assert.equal(result.topTokenIds.length, 9);
    assert.equal(result.topTokenIds[0], result.tokenIds[0]);
    assert.deepEqual(result.topTokenIds.subarray(3), Int32Array.of(-1, -1, -1, -1, -1, -1));
    assert.equal(result.logprobs[0], result.topLogprobs[0]);
    assert.equal(result.logprobs[1], result.logprobs[0]);
    assert.ok(Number.isNaN(result.logprobs[2]));
    await run([], [0, 1, 2]);
  });

  it("takes a plan without tokens, which only moves rows", async () => {
    const plan = tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }], { finishedRows: Int32Array.of() });
    const nothing = new Int32Array(0);
    const empty = { tokenIds: nothing, positions: nothing, seqRows: nothing, seqLens: nothing, outputs: nothing };
    const result = await native.step(engine, { ...plan, ...empty, queryStarts: Int32Array.of(0), epoch: 3, stepId: 9 });
    assert.equal(result.epoch, 3);
    assert.equal(result.stepId, 9);
    await run([{ row: 0, begin: 0, tokenIds: [1] }]);
    await run([], [0]);
  });

  it("keeps to the window of a sliding group: entries behind it may be missing", async () => {
    await run([{ row: 0, begin: 0, tokenIds: PROMPT, begins: {} }]);
    const whole = await run([{ row: 0, begin: PROMPT.length, tokenIds: [8], output: OUTPUT_LOGITS }]);
    // The row begins anew behind a cached prefix of 11 tokens: the blocks of row 0, but only the window's of group 1.
    const reused = tinyStep([{ row: 0, begin: PROMPT.length, tokenIds: [8], output: OUTPUT_LOGITS, begins: {} }]);
    const [full, sliding] = reused.blockDeltas.map((deltas) => [...deltas]);
    assert.ok(full !== undefined && sliding !== undefined);
    const windowOnly = Int32Array.of(0, 1, 2, ...sliding.slice(4, 6));
    const plan = { ...reused, blockDeltas: [Int32Array.from(full), windowOnly], finishedRows: Int32Array.of(0) };
    assert.deepEqual((await native.step(engine, plan)).logits, whole.logits);
    await run([], [0]);
  });

  // Two whole blocks of 4 tokens; what row 1 has in common with row 0 it reads where row 0 writes it, in the same step.
  it("lets a row begin behind blocks that another fills in the same step, whose tokens its penalties count", async () => {
    const output = OUTPUT_SAMPLE;
    // 6 is in the shared part alone. Biased to win, it does unless the history says that it was there.
    const begins = { numTopLogprobs: 3, logitBias: [{ tokenId: 6, bias: 1000 }], presencePenalty: 2000 };
    const alone = await run([{ row: 2, begin: 0, tokenIds: PROMPT, output, begins }]);
    const both = tinyStep([
      { row: 0, begin: 0, tokenIds: PROMPT, begins: {} },
      { row: 1, begin: 8, tokenIds: PROMPT.slice(8), output, begins },
    ]);
    const blockDeltas = both.blockDeltas.map((deltas, group) => {
      const [first, second] = [[...deltas.subarray(0, 10)], [...deltas.subarray(10)]];
      // Token 8 reads 1..8 in the sliding group, so of that too both blocks are needed.
      assert.deepEqual(second.slice(0, 3), [1, 0, 7], `group ${group}`);
      return Int32Array.from([...first, 1, 0, 7, ...first.slice(3, 5), ...second.slice(5)]);
    });
    const shared = await native.step(engine, { ...both, blockDeltas });
    assert.notEqual(alone.tokenIds[0], 6);
    assert.deepEqual(shared.topTokenIds, alone.topTokenIds);
    assert.deepEqual(shared.topLogprobs, alone.topLogprobs);
    assert.deepEqual(shared.tokenIds, alone.tokenIds);
    await run([], [0, 1, 2]);
  });

  it("tells the time of each kernel beside the result of the same step", async () => {
    const sequences = [{ row: 0, begin: 0, tokenIds: PROMPT, output: OUTPUT_SAMPLE, begins: {} }];
    const plain = await run(sequences);
    const plan = tinyStep(sequences, { finishedRows: Int32Array.of(0) });
    const { result, kernelUs } = await native.profileStep(engine, plan);
    assert.deepEqual(result.tokenIds, plain.tokenIds);
    assert.equal(kernelUs.length, tinyProgram().ops.length, "the reference package fuses nothing");
    assert.ok(kernelUs.every((us) => us > 0));
    const all = kernelUs.reduce((sum, us) => sum + us, 0);
    assert.ok(all <= result.engineUs, `${all} us of ${result.engineUs}`);
  });

  it("has no time for kernels that a step has no use for", async () => {
    const plan = tinyStep([{ row: 0, begin: PROMPT.length, tokenIds: [8] }]);
    const { kernelUs } = await native.profileStep(engine, plan);
    const unused = tinyProgram().ops.flatMap(({ op }, index) => (kernelUs[index] === 0 ? [op] : []));
    assert.deepEqual(unused, ["gather_rows", "rms_norm", "linear", "sample"]);
    await run([], [0]);
  });

  it("leaves the engine as it was when a plan that was to be timed is refused", async () => {
    const plan = tinyStep([{ row: 1, begin: 0, tokenIds: [1], output: OUTPUT_SAMPLE }]);
    await assert.rejects(native.profileStep(engine, plan), /row 1 is not in use/);
    await run([{ row: 0, begin: 0, tokenIds: PROMPT, begins: {} }]);
    await run([], [0]);
  });

  it("runs steps in the order of the calls without waiting in between", async () => {
    const plans: TinySequence[] = [{ row: 0, begin: 0, tokenIds: [1], output: OUTPUT_SAMPLE, begins: {} }];
    for (let begin = 1; begin < 6; begin++)
      plans.push({ row: 0, begin, tokenIds: [LAST_SAMPLED], output: OUTPUT_SAMPLE });
    const ahead = await Promise.all(plans.map((plan) => run([plan])));
    const tokenIds = [1];
    for (const [begin, result] of ahead.entries()) {
      const finished = begin === 0 ? [0] : [];
      const begins = begin === 0 ? { begins: {} } : {};
      const given = { row: 0, begin, tokenIds: [tokenIds.at(-1) ?? 0], output: OUTPUT_SAMPLE, ...begins };
      const one = await run([given], finished);
      assert.deepEqual(one.tokenIds, result.tokenIds, `token ${begin}`);
      tokenIds.push(one.tokenIds[0] ?? 0);
    }
    await run([], [0]);
  });
});

describe("a row that a step in flight ends", () => {
  it("may be in plans that were made before that was known, and begins anew with whom it is given to next", async () => {
    const engine = await openTinyEngine();
    const run = (sequences: TinySequence[], finished: number[] = []) =>
      native.step(engine, tinyStep(sequences, { finishedRows: Int32Array.from(finished) }));
    const prompt = { row: 0, begin: 0, tokenIds: PROMPT, output: OUTPUT_SAMPLE };
    const [tokenId] = (await run([{ ...prompt, begins: {} }])).tokenIds;
    const next = { row: 0, begin: PROMPT.length, tokenIds: [LAST_SAMPLED], output: OUTPUT_SAMPLE };
    const [stopped, ahead, again] = await Promise.all([
      run([{ ...prompt, begins: { stopTokenIds: [tokenId!] } }], [0]),
      run([next]),
      run([{ ...prompt, begins: {} }], [0]),
    ]);
    assert.deepEqual(stopped.finishes, Int32Array.of(FINISH_STOP));
    assert.equal(ahead.tokenIds.length, 1);
    assert.deepEqual([again.tokenIds[0], again.finishes[0]], [tokenId, FINISH_NONE]);
    native.closeEngine(engine);
  });
});

describe("a kernel that fails", () => {
  it("fails its step with its own words, and the engine lives on", async () => {
    const program = tinyProgram();
    program.buffers.push(
      { name: "blocks", rows: "tokens", cols: 32, dtype: "u8" },
      { name: "scales", rows: "tokens", cols: 2, dtype: "u8" },
    );
    program.ops = [
      { op: "rope_table", out: "rope" },
      { op: "mxfp4_encode", x: "x", blocks: "blocks", scales: "scales" },
    ];
    program.weights = [];
    const packages = [awkwardPackagePath(), packagePath("reference")];
    const engine = native.openEngine(program, { packages, numThreads: 1, device: "cpu", deterministic: true });
    const step = native.step(engine, tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }]));
    await assert.rejects(step, /program\.ops\[1\]: kernel encode of package awkward failed: this kernel always fails/);
    await native.step(engine, tinyStep([]));
    native.closeEngine(engine);
  });
});

describe("granted steps", () => {
  const own = { row: 0, begin: 0, tokenIds: PROMPT, output: OUTPUT_SAMPLE };
  let engine: EngineHandle;
  before(async () => {
    engine = await openTinyEngine();
  });
  after(() => native.closeEngine(engine));
  let stepId = 0;

  /** A plan with the next free ids, and the results of its run. */
  async function run(sequences: TinySequence[], fields: Partial<StepPlan> = {}): Promise<StepResult[]> {
    const plan = tinyStep(sequences, { stepId: stepId + 1, ...fields });
    stepId = plan.stepId + plan.numGrantedSteps;
    const results: StepResult[] = [];
    const last = await native.step(engine, plan, (result) => results.push(result));
    assert.deepEqual(last, results.at(-1) ?? null);
    return results;
  }

  const finish = (row: number) => ({ finishedRows: Int32Array.of(row) });
  const numbers = (results: StepResult[]) => results.map(({ stepId: id, runsOn }) => [id, runsOn]);

  it("are the steps that plans would have asked for, each with its id and result", async () => {
    const wanted: number[] = [];
    for (let begin = 0; begin < 4; begin++) {
      const at =
        begin === 0 ? { ...own, begins: {} } : { ...own, begin: PROMPT.length + begin - 1, tokenIds: [LAST_SAMPLED] };
      wanted.push((await run([at]))[0]!.tokenIds[0]!);
    }
    const results = await run([{ ...own, begins: {} }], { numGrantedSteps: 3, ...finish(0) });
    assert.deepEqual(
      results.map(({ tokenIds }) => tokenIds[0]),
      wanted,
    );
    assert.deepEqual(numbers(results), [
      [5, true],
      [6, true],
      [7, true],
      [8, false],
    ]);
    await run([], finish(0));
  });

  it("end with the first row that finishes; what was to go on with them is void", async () => {
    const [, second] = await run([{ ...own, begins: {} }], { numGrantedSteps: 1 });
    const firstId = stepId + 1;
    const begins = { stopTokenIds: [second!.tokenIds[0]!] };
    const plans = [
      run([{ ...own, begins }], { numGrantedSteps: 5, ...finish(0) }),
      run([{ ...own, begin: PROMPT.length + 5, tokenIds: [LAST_SAMPLED] }], { followsStepId: firstId + 5 }),
      run([], finish(0)),
    ];
    const [ended, behind, next] = await Promise.all(plans);
    assert.deepEqual(numbers(ended!), [
      [firstId, true],
      [firstId + 1, false],
    ]);
    assert.deepEqual([behind, next!.length], [[], 1]);
  });

  it("are gone on with by the plan behind them", async () => {
    const firstId = stepId + 1;
    const behind = { ...own, begin: PROMPT.length + 2, tokenIds: [LAST_SAMPLED] };
    const plans = [
      run([{ ...own, begins: {} }], { numGrantedSteps: 2 }),
      run([behind], { numGrantedSteps: 1, followsStepId: firstId + 2 }),
    ];
    const [, results] = await Promise.all(plans);
    assert.deepEqual(numbers(results!), [
      [firstId + 3, true],
      [firstId + 4, false],
    ]);
    await run([], finish(0));
  });

  it("are not begun once they are ended", async () => {
    // Before the step, so that it does not matter how fast the engine is; in the simulation they end at any moment.
    native.endGrants(engine, stepId + 3);
    const results = await run([{ ...own, begins: {} }], { numGrantedSteps: 8 });
    const firstId = results[0]!.stepId;
    assert.deepEqual(numbers(results), [[firstId, false]]);
    const [again] = await run([{ ...own, begins: {} }], { numGrantedSteps: 1, ...finish(0) });
    assert.equal(again!.runsOn, true, "later grants are others");
    await run([], finish(0));
  });

  it("are refused where a row would have nothing to decode, or of a length that nobody grants", async () => {
    const plan = tinyStep([{ ...own, output: OUTPUT_LOGITS, begins: {} }], { numGrantedSteps: 1 });
    await assert.rejects(native.step(engine, plan), {
      code: "invalid_argument",
      message: /numGrantedSteps: expected 0/,
    });
    await assert.rejects(async () => native.step(engine, { ...plan, numGrantedSteps: 65 }), /numGrantedSteps/);
  });
});
