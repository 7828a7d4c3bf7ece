import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";

import type { EngineHandle, EngineOptions } from "../../native/binding.js";
import { native, packagePath } from "../../native/index.js";
import type { RankProgram, WeightTensor } from "../../plans/rank-program.js";
import { GREEDY } from "../../proto/step-fixture.js";
import {
  MASK_BITS,
  MASK_IDS,
  OUTPUT_SAMPLE,
  type RowSampling,
  type StepPlan,
  type StepResult,
} from "../../proto/step.js";

const HIDDEN = 64;
/** Four shards of it are larger than the candidates of a rank, and no number of shards divides it. */
const VOCAB = 1301;
const ROWS = 64;
const OPTIONS: EngineOptions = {
  packages: [packagePath("reference")],
  numThreads: 1,
  device: "cpu",
  deterministic: true,
};
const SEED = 20_261_124;

/**
 * Rows that a few hundred candidates of each rank cannot decide, and how many all_gathers they take: one for the candidates,
 * unless the parameters say beforehand that they cannot suffice, and one for the row.
 */
const MUST_GATHER: [string, Partial<RowSampling>, number][] = [
  ["top_k is larger than the candidates", { temperature: 1, topK: 300, seed: 3 }, 1],
  ["top_k is the whole vocabulary", { temperature: 1, topK: VOCAB, seed: 4 }, 1],
  ["top_k is larger than the vocabulary", { temperature: 2, topK: 5000, topP: 0.99, seed: 5 }, 1],
  ["top_p reaches far", { temperature: 5, topP: 0.999, seed: 6 }, 2],
  ["min_p keeps nearly all", { temperature: 50, minP: 0.5, seed: 7 }, 2],
  ["log-probabilities of an adjusted row are wanted", { frequencyPenalty: 1, numTopLogprobs: 5 }, 1],
  ["more log-probabilities than top_k are wanted", { temperature: 1, topK: 2, numTopLogprobs: 20, seed: 8 }, 2],
  ["nearly all tokens are forbidden", { temperature: 1, logitBias: allBut(7), numTopLogprobs: 3, seed: 9 }, 1],
];

// A world samples from shards of the vocabulary what one rank samples from the whole: from few candidates of each rank where
// they suffice, else from the row of logits that all ranks gather. The logits are the same to the bit, for every row of
// lm_head is on one rank; so the tokens must be equal, and the log-probabilities up to the rounding of sums of exponentials.
for (const numShards of [2, 3, 4])
  describe(`${numShards} shards of the vocabulary`, () => {
    it("give the tokens and log-probabilities of the whole, whatever the parameters are", async () => {
      const random = randomFrom(SEED + numShards);
      await withEngines(numShards, async (whole, lead, stats) => {
        let gathered = 0;
        for (let round = 0; round < 6; round++) {
          const samplings = Array.from({ length: ROWS }, () => randomSampling(random));
          const tokens = Array.from({ length: ROWS }, () => [integer(random, VOCAB), integer(random, VOCAB)]);
          const masks = Array.from({ length: ROWS }, (_, row) => (row % 3 === 0 ? randomMask(random) : null));
          const plan = { ...samplingStep(round + 1, samplings, tokens), masks: maskRecords(masks) };
          const before = stats();
          const [one, many] = await Promise.all([native.step(whole, plan), native.step(lead, plan)]);
          for (const [row, allowed] of masks.entries()) {
            if (allowed !== null) assert.ok(allowed.includes(one.tokenIds[row]!), `row ${row} is masked`);
          }
          gathered += stats() - before > 1 ? 1 : 0;
          samplings.forEach((sampling, row) => compareRow(one, many, row, sampling));
        }
        assert.equal(gathered, 6, "no row had to be gathered: the test has lost its sense");
      });
    });

    for (const [what, sampling, numGathers] of MUST_GATHER)
      it(`gather the row when ${what}`, async () => {
        await withEngines(numShards, async (whole, lead, stats) => {
          const plan = samplingStep(1, [sampling], [[5, 17]]);
          const before = stats();
          const [one, many] = await Promise.all([native.step(whole, plan), native.step(lead, plan)]);
          compareRow(one, many, 0, sampling);
          assert.equal(stats() - before, numGathers);
          assert.equal(many.tokenIds.length, 1);
        });
      });
  });

function allBut(tokenId: number): { tokenId: number; bias: number }[] {
  return Array.from({ length: 1000 }, (_, id) => ({ tokenId: id, bias: id === tokenId ? 0 : -1000 }));
}

function compareRow(one: StepResult, many: StepResult, row: number, sampling: Partial<RowSampling>): void {
  const label = `row ${row}: ${JSON.stringify(sampling).slice(0, 400)}`;
  assert.equal(many.tokenIds[row], one.tokenIds[row], label);
  assert.equal(many.finishes[row], one.finishes[row], label);
  assertClose(many.logprobs[row]!, one.logprobs[row]!, label);
  const numTop = one.numTopLogprobs;
  assert.equal(many.numTopLogprobs, numTop, label);
  for (let i = row * numTop; i < (row + 1) * numTop; i++) {
    assert.equal(many.topTokenIds[i], one.topTokenIds[i], label);
    assertClose(many.topLogprobs[i]!, one.topLogprobs[i]!, label);
  }
}

/** Each shard rounds its sum of exponentials to float32 once, 6e-8; a log-probability of up to 30 is rounded to 2e-6. */
function assertClose(actual: number, expected: number, label: string): void {
  if (Number.isNaN(expected)) return assert.ok(Number.isNaN(actual), label);
  assert.ok(Math.abs(actual - expected) <= 4e-6, `${label}: ${actual} instead of ${expected}`);
}

// ---- random parameters ---------------------------------------------------------------------------------------------

type Random = () => number;

/** Numbers in [0, 1). */
function randomFrom(seed: number): Random {
  let state = BigInt(seed);
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number(state >> 11n) / 2 ** 53;
  };
}

function integer(random: Random, below: number): number {
  return Math.floor(random() * below);
}

/** Each parameter is off in about half of the rows. */
function randomSampling(random: Random): Partial<RowSampling> {
  const maybe = <T>(value: () => T, off: T): T => (random() < 0.5 ? value() : off);
  return {
    temperature: maybe(() => [0.05, 0.3, 1, 3, 20][integer(random, 5)]!, 0),
    topK: maybe(() => [1, 2, 40, 255, 256, 257, 600, VOCAB, 2000][integer(random, 9)]!, 0),
    topP: maybe(() => [0, 0.1, 0.5, 0.9, 0.99, 0.9999][integer(random, 6)]!, 1),
    minP: maybe(() => [1e-6, 0.001, 0.05, 0.5, 1][integer(random, 5)]!, 0),
    presencePenalty: random() < 0.2 ? 4 * random() - 2 : 0,
    frequencyPenalty: random() < 0.2 ? 4 * random() - 2 : 0,
    repetitionPenalty: random() < 0.2 ? 0.5 + random() : 1,
    logitBias: random() < 0.2 ? [{ tokenId: integer(random, VOCAB), bias: 20 * random() - 10 }] : [],
    stopTokenIds: random() < 0.2 ? [integer(random, VOCAB), integer(random, VOCAB)] : [],
    minSeqLen: random() < 0.2 ? 5 : 0,
    numTopLogprobs: maybe(() => [0, 1, 5, 20][integer(random, 4)]!, -1),
    seed: integer(random, 2 ** 31),
  };
}

// ---- engines that do nothing but sample ----------------------------------------------------------------------------

/** Runs `use` with one rank and the lead of a world, and how many all_gathers the lead has made so far. */
async function withEngines(
  numShards: number,
  use: (whole: EngineHandle, lead: EngineHandle, numGathers: () => number) => Promise<void>,
): Promise<void> {
  const whole = native.openEngine(samplingProgram(0, 1), OPTIONS);
  const engines = Array.from({ length: numShards }, (_, rank) =>
    native.openEngine(samplingProgram(rank, numShards), OPTIONS),
  );
  const dataPlane = native.listenDataPlane("127.0.0.1:0");
  try {
    const peers = engines.map((_, rank) => ({ rank, hostId: "here", addresses: [] }));
    const key = new Uint8Array(randomBytes(32));
    const options = { epoch: 1, peers, key, deadlineMs: 20_000, transport: "shm" as const };
    await Promise.all(engines.map(async (engine) => native.connectEngine(engine, dataPlane, options)));
    await Promise.all([whole, ...engines].map(async (engine) => native.loadDummyWeights(engine, 7, () => {})));
    const followers = Promise.allSettled(engines.slice(1).map(async (engine) => native.followLead(engine)));
    const lead = engines[0]!;
    await use(whole, lead, () => native.collectiveStats(lead).find(({ name }) => name === "all_gather")!.calls);
    await native.endEpoch(lead);
    await followers;
  } finally {
    for (const engine of [whole, ...engines]) native.closeEngine(engine);
    native.closeDataPlane(dataPlane);
  }
}

function samplingProgram(rank: number, numShards: number): RankProgram {
  const begin = Math.floor((VOCAB * rank) / numShards);
  const end = Math.floor((VOCAB * (rank + 1)) / numShards);
  const ranks = Array.from({ length: numShards }, (_, i) => i);
  return {
    rank,
    worldSize: numShards,
    precision: "exact",
    dims: {
      hiddenSize: HIDDEN,
      vocabSize: end - begin,
      headDim: 2,
      numHeads: 1,
      numKvHeads: 1,
      numExperts: 0,
      expertsPerToken: 0,
      intermediateSize: 0,
      numGlobalExperts: 0,
      localExperts: [],
      expertRanks: [],
      rankHeads: ranks.map(() => 1),
      rankIntermediateSizes: ranks.map(() => 0),
      globalVocabSize: VOCAB,
      vocabBegin: begin,
    },
    limits: { maxBatchedTokens: 2 * ROWS, maxSequences: ROWS, maxSeqLen: 8, blockSize: 8, numBlocks: ROWS + 1 },
    rope: { invFreq: [1], attentionScaling: 1 },
    kvGroups: [{ kind: "full", window: 0, layers: [] }],
    weights: [vocabMatrix("embed", 0, VOCAB), vocabMatrix("lm_head", begin, end)],
    buffers: [
      { name: "x", rows: "tokens", cols: HIDDEN, dtype: "f32" },
      { name: "xl", rows: "logits", cols: HIDDEN, dtype: "f32" },
      { name: "logits", rows: "logits", cols: end - begin, dtype: "f32" },
    ],
    ops: [
      { op: "embed", weight: "embed", out: "x" },
      { op: "gather_rows", x: "x", out: "xl" },
      { op: "linear", x: "xl", weight: "lm_head", bias: null, out: "logits", accumulate: false },
      { op: "sample", logits: "logits" },
    ],
    shardedOps: null,
    groups: [ranks],
    tokenOwners: ranks,
  };
}

function vocabMatrix(name: string, begin: number, end: number): WeightTensor {
  const source = { tensor: name, scales: null, shape: [1, VOCAB, HIDDEN], experts: [0], dstRow: 0 };
  return {
    name,
    role: "matrix",
    sourceDtype: "bf16",
    storedDtype: "bf16",
    numExperts: 1,
    rows: end - begin,
    cols: HIDDEN,
    sources: [{ ...source, rows: [begin, end], cols: [0, HIDDEN] }],
  };
}

/** A prompt of two tokens in each row, sampled; the rows of the step before, as many, are given up. */
/** Few allowed ids, or about half of them. */
function randomMask(random: () => number): number[] {
  const share = integer(random, 2) === 0 ? 0.005 : 0.5;
  const ids = Array.from({ length: VOCAB }, (_, id) => id).filter(() => random() < share);
  return ids.length > 0 ? ids : [integer(random, VOCAB)];
}

function maskRecords(masks: (number[] | null)[]): Int32Array {
  return Int32Array.from(
    masks.flatMap((allowed, row) => {
      if (allowed === null) return [];
      if (allowed.length < 40) return [row, MASK_IDS, allowed.length, ...allowed];
      const words = new Int32Array(Math.ceil(VOCAB / 32));
      for (const id of allowed) words[id >>> 5]! |= 1 << (id & 31);
      return [row, MASK_BITS, words.length, ...words];
    }),
  );
}

function samplingStep(stepId: number, samplings: Partial<RowSampling>[], tokens: number[][]): StepPlan {
  const rows = samplings.map((_, row) => row);
  return {
    epoch: 1,
    stepId,
    numGrantedSteps: 0,
    followsStepId: 0,
    tokenPlacement: "replicated",
    tokenIds: Int32Array.from(tokens.flat()),
    positions: Int32Array.from(rows.flatMap(() => [0, 1])),
    seqRows: Int32Array.from(rows),
    queryStarts: Int32Array.from([...rows, rows.length], (row) => 2 * row),
    seqLens: Int32Array.from(rows, () => 2),
    outputs: Int32Array.from(rows, () => OUTPUT_SAMPLE),
    newRows: samplings.map((sampling, row) => ({
      row,
      seqId: row,
      numPromptTokens: 1,
      sampling: { ...OFF, ...sampling },
    })),
    blockDeltas: [Int32Array.from(rows.flatMap((row) => [row, 0, 1, row + 1]))],
    finishedRows: stepId === 1 ? Int32Array.of() : Int32Array.from(rows),
    masks: Int32Array.of(),
  };
}

const OFF: RowSampling = { ...GREEDY, maxSeqLen: 8 };
