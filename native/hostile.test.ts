import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import type { ProgramOp, RankProgram, WeightTensor } from "../plans/rank-program.js";
import { LAST_SAMPLED, OUTPUT_LOGITS, OUTPUT_SAMPLE, type StepPlan } from "../proto/step.js";
import { failure } from "../test/thrown.js";
import type { EngineHandle, EngineOptions } from "./binding.js";
import { native, packagePath } from "./index.js";
import { tinyProgram } from "./test/tiny-program.js";
import { openTinyEngine, tinyStep, type TinySequence } from "./test/tiny-steps.js";

/** A value of any type put where the declared type does not allow it. */
type Wrong = Record<string, unknown>;

interface HostileProgram {
  title: string;
  spoil: (program: RankProgram) => void;
  message: RegExp;
  code?: string;
}

const NOT_A_SIZE = [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, "64", null, undefined, {}, [], 2n, Symbol("x")];

const PROGRAMS: HostileProgram[] = [
  {
    title: "an unknown op",
    spoil: (p) => set(opAt(p, 3), "op", "softmax"),
    message: /ops\[3\]\.op: expected one of .*"softmax"/,
  },
  { title: "an op that is no object", spoil: (p) => set(p.ops, 3, 7), message: /ops\[3\]: expected an object, got 7/ },
  {
    title: "a program as its own list of ops",
    spoil: (p) => set(p, "ops", p),
    message: /ops: expected an array, got an object/,
  },
  { title: "a program among its ops", spoil: (p) => set(p.ops, 0, p), message: /ops\[0\]\.op: .*undefined/ },
  {
    title: "a missing buffer",
    spoil: (p) => set(opAt(p, 3), "x", "nope"),
    message: /ops\[3\]\.x: the program has no buffer "nope"/,
  },
  {
    title: "a weight's name where a buffer's belongs",
    spoil: (p) => set(opAt(p, 3), "x", "embed"),
    message: /no buffer "embed"/,
  },
  { title: "a missing weight", spoil: (p) => set(opAt(p, 3), "weight", "nope"), message: /no weight "nope"/ },
  {
    title: "a bias left out instead of null",
    spoil: (p) => set(opAt(p, 3), "bias", undefined),
    message: /ops\[3\]\.bias: expected a string, got undefined/,
  },
  {
    title: "an op that reads what it writes",
    spoil: (p) => set(opOf(p, "gather_rows"), "out", "x"),
    message: /ops\[20\]/,
  },
  { title: "a linear in place", spoil: (p) => set(opOf(p, "linear"), "out", "h"), message: /ops\[3\]/ },
  {
    title: "two buffers of one name",
    spoil: (p) => set(p.buffers[1], "name", "rope"),
    message: /^program\.buffers: "rope" is there twice/,
  },
  {
    title: "two weights of one name",
    spoil: (p) => set(p.weights[1], "name", "embed"),
    message: /^program\.weights: "embed" is there twice/,
  },
  { title: "a name with a NUL", spoil: (p) => set(p.buffers[1], "name", "a\0b"), message: /NUL/ },
  { title: "an endless name", spoil: (p) => set(p.buffers[1], "name", "x".repeat(1e6)), message: /at most 4096 bytes/ },
  {
    title: "a buffer too narrow",
    spoil: (p) => set(p.buffers[3], "cols", 64),
    message: /ops\[3\].out: expected a buffer of 128 f32/,
  },
  { title: "a buffer of another dtype", spoil: (p) => set(p.buffers[5], "dtype", "f32"), message: /i32/ },
  {
    title: "token rows where logits rows belong",
    spoil: (p) => set(p.buffers[10], "rows", "tokens"),
    message: /differ in what a row is/,
  },
  {
    title: "a matrix of another shape",
    spoil: (p) => set(weightOf(p, "0.qkv"), "cols", 32),
    message: /ops\[3\]\.x: expected a buffer of 32 f32 columns/,
  },
  {
    title: "a vector that is a matrix",
    spoil: (p) => set(weightOf(p, "norm"), "role", "matrix"),
    message: /weights\[27\] \(norm\): a matrix is stored as bf16 or mxfp4/,
  },
  { title: "a bias as long as another", spoil: (p) => set(opAt(p, 3), "bias", "0.o_bias"), message: /ops\[3\]\.bias/ },
  { title: "sinks for other heads", spoil: (p) => set(weightOf(p, "0.sinks"), "rows", 8), message: /sinks/ },
  { title: "mxfp4 rows that are no whole blocks", spoil: (p) => set(weightOf(p, "0.down"), "cols", 33), message: /32/ },
  {
    title: "more experts than weights",
    spoil: (p) => set(weightOf(p, "0.down"), "numExperts", 3),
    message: /ops\[9\]\.down/,
  },
  {
    title: "experts of two places",
    spoil: (p) => set(weightOf(p, "0.down").sources[0], "experts", [1, 5]),
    message: /"0.down" takes other experts than program\.dims\.localExperts/,
  },
  {
    title: "heads that KV heads cannot share",
    spoil: (p) => Object.assign(p.dims, { numHeads: 2, numKvHeads: 3 }),
    message: /ops\[4\]\.qkv: 2 heads cannot share 3 KV heads/,
  },
  {
    title: "a head dim that is odd",
    spoil: (p) => set(p.dims, "headDim", 15),
    message: /head dim 15 is not an even number/,
  },
  { title: "too few frequencies", spoil: (p) => p.rope.invFreq.pop(), message: /expected 8 frequencies .* got 7/ },
  { title: "a frequency that is NaN", spoil: (p) => set(p.rope.invFreq, 2, Number.NaN), message: /invFreq\[2\].*NaN/ },
  { title: "an eps that is NaN", spoil: (p) => set(opOf(p, "rms_norm"), "eps", Number.NaN), message: /eps.*NaN/ },
  {
    title: "a scale that is infinite",
    spoil: (p) => set(opOf(p, "attention"), "scale", Infinity),
    message: /scale.*Infinity/,
  },
  {
    title: "a KV group out of range",
    spoil: (p) => set(opOf(p, "attention"), "group", 2),
    message: /group: .*\[0, 1\], got 2/,
  },
  {
    title: "a layer of another group",
    spoil: (p) => set(opOf(p, "attention"), "layer", 1),
    message: /layer 1 is not in KV group 1/,
  },
  {
    title: "a layer in two groups",
    spoil: (p) => set(p.kvGroups[1], "layers", [0, 1]),
    message: /layer 1 is there twice/,
  },
  { title: "no KV groups", spoil: (p) => set(p, "kvGroups", []), message: /kvGroups: expected at least/ },
  { title: "a sliding group first", spoil: (p) => p.kvGroups.reverse(), message: /layer 0 is not in KV group 1/ },
  {
    title: "a window wider than its group's",
    spoil: (p) => set(opOf(p, "attention"), "window", 9),
    message: /keeps only 8/,
  },
  {
    title: "no window in a sliding group",
    spoil: (p) => set(opOf(p, "attention"), "window", 0),
    message: /sees all keys/,
  },
  {
    title: "a block size that is no power of two",
    spoil: (p) => set(p.limits, "blockSize", 12),
    message: /power of two, got 12/,
  },
  {
    title: "two sample ops",
    spoil: (p) => p.ops.push({ op: "sample", logits: "logits" }),
    message: /more than one sample op/,
  },
  {
    title: "a matrix that nothing uses",
    spoil: (p) => p.weights.push({ ...weightOf(p, "embed"), name: "idle" }),
    message: /idle.*no op uses it/,
  },
  {
    title: "a weight larger than any machine",
    spoil: (p) => p.weights.forEach((weight) => Object.assign(weight, { numExperts: 2 ** 24, rows: 2 ** 24 })),
    message: /no machine/,
  },
  {
    title: "a KV pool larger than any machine",
    spoil: (p) => {
      Object.assign(p.dims, { numHeads: 2 ** 16, numKvHeads: 2 ** 16, headDim: 2 ** 16 });
      Object.assign(p.limits, { blockSize: 2 ** 16, numBlocks: 2 ** 31 - 1 });
      p.ops = [];
      p.weights = [];
    },
    message: /larger than any machine/,
  },
  {
    title: "buffers larger than any machine",
    spoil: (p) => {
      p.limits.maxBatchedTokens = 2 ** 20;
      p.buffers = Array.from({ length: 4096 }, (_, i) => ({
        name: `b${i}`,
        rows: "tokens",
        cols: 2 ** 24,
        dtype: "f32",
      }));
      p.ops = [];
      p.weights = [];
    },
    message: /larger than any machine/,
  },
  { title: "no group of the world", spoil: (p) => set(p, "groups", []), message: /groups\[0\]: expected all 1 ranks/ },
  {
    title: "a group of another world",
    spoil: (p) => p.groups.push([0, 1]),
    message: /groups\[1\]\[1\]: rank 1 of a world of 1/,
  },
  {
    title: "a group with a rank twice",
    spoil: (p) => p.groups.push([0, 0]),
    message: /groups\[1\]\[1\]: expected more than 0/,
  },
  {
    title: "nobody who owns tokens",
    spoil: (p) => set(p, "tokenOwners", []),
    message: /tokenOwners: expected at least one/,
  },
  {
    title: "a token owner of another world",
    spoil: (p) => set(p, "tokenOwners", [3]),
    message: /tokenOwners\[0\]: rank 3/,
  },
  {
    title: "fewer holders than experts",
    spoil: (p) => p.dims.expertRanks.pop(),
    message: /expertRanks: expected one list per expert \(4\), got 3/,
  },
  {
    title: "an expert that nobody holds",
    spoil: (p) => set(p.dims.expertRanks, 2, []),
    message: /expertRanks\[2\]: expected/,
  },
  {
    title: "experts other than those it was given",
    spoil: (p) => set(p.dims, "localExperts", [0, 1, 3, 2]),
    message: /localExperts: expected the experts that expertRanks gives rank 0/,
  },
  {
    title: "rows behind the vocabulary",
    spoil: (p) => set(p.dims, "vocabBegin", 1),
    message: /vocabBegin: rows \[1, \+128\) of a vocabulary of 128/,
  },
  {
    title: "a router to experts that are not there",
    spoil: (p) =>
      Object.assign(p.dims, {
        numGlobalExperts: 5,
        expertRanks: [[0], [0], [0], [0], [0]],
        numExperts: 5,
        localExperts: [0, 1, 2, 3, 4],
      }),
    message: /ops\[8\]\.weight: routes to 4 experts, program\.dims\.numGlobalExperts is 5/,
  },
  {
    title: "a collective in a group that is not there",
    spoil: (p) => p.ops.unshift({ op: "all_reduce", x: "x", group: 1 }),
    message: /ops\[0\]\.group: .*\[0, 0\], got 1/,
  },
  {
    title: "a gather into its own rows",
    spoil: (p) => set(p, "shardedOps", [{ op: "all_gather", x: "x", out: "h", group: 0 }]),
    message: /shardedOps\[0\]\.x: expected a buffer with one row per own token/,
  },
  {
    title: "an exchange of narrow slots",
    spoil: (p) => p.ops.unshift({ op: "exchange_slots", y: "x", expertIds: "expert_ids", group: 0 }),
    message: /ops\[0\]\.y: expected a buffer of 128 f32/,
  },
  {
    title: "an op that no program says",
    spoil: (p) => set(opOf(p, "sample"), "op", "sample_shard"),
    message: /a program says sample/,
  },
  { title: "rank 1 of a world of 1", spoil: (p) => set(p, "rank", 1), message: /rank: 1 of a world of 1/ },
  { title: "precision fast", spoil: (p) => set(p, "precision", "fast"), message: /use "exact"/, code: "unimplemented" },
  {
    title: "a getter that throws",
    spoil: (p) => getter(p, "dims", () => assert.fail("got you")),
    message: /got you/,
    code: "internal",
  },
];

describe("a hostile program", () => {
  for (const { title, spoil, message, code } of PROGRAMS)
    it(`is refused: ${title}`, () => {
      const program = structuredClone(tinyProgram());
      spoil(program);
      assert.throws(() => native.describeProgram(program, OPTIONS), failure(code ?? "invalid_argument", message));
      assert.throws(() => native.openEngine(program, OPTIONS), failure(code ?? "invalid_argument", message));
    });

  it("is refused whatever stands in place of a size", () => {
    const places: [string, (program: RankProgram) => object, string][] = [
      ["limits.blockSize", (p) => p.limits, "blockSize"],
      ["limits.maxBatchedTokens", (p) => p.limits, "maxBatchedTokens"],
      ["limits.numBlocks", (p) => p.limits, "numBlocks"],
      ["buffers[2].cols", (p) => p.buffers[2] ?? {}, "cols"],
      ["weights[2].rows", (p) => p.weights[2] ?? {}, "rows"],
    ];
    for (const [path, find, key] of places)
      for (const size of NOT_A_SIZE) {
        const program = structuredClone(tinyProgram());
        set(find(program), key, size);
        const names = new RegExp(`^program.${path.replace(/[[\].]/g, "\\$&")}: expected an integer`);
        assert.throws(() => native.describeProgram(program, OPTIONS), failure("invalid_argument", names));
      }
  });

  it("is refused when a whole part is missing, by the part's name", () => {
    for (const key of Object.keys(tinyProgram())) {
      const program = structuredClone(tinyProgram()) as unknown as Wrong;
      delete program[key];
      const names = new RegExp(`^program.${key}.*undefined`);
      assert.throws(() => native.describeProgram(program as never, OPTIONS), failure("invalid_argument", names));
    }
    assert.throws(
      () => native.describeProgram(null as never, OPTIONS),
      failure("invalid_argument", /^program: .*null/),
    );
  });

  it("is refused with options that are none", () => {
    const describe = (options: unknown) => () => native.describeProgram(tinyProgram(), options as typeof OPTIONS);
    assert.throws(describe(undefined), failure("invalid_argument", /^options: /));
    assert.throws(
      describe({ packages: "reference" }),
      failure("invalid_argument", /^options.packages: expected an array/),
    );
    assert.throws(describe({ ...OPTIONS, numThreads: 0 }), failure("invalid_argument", /^options.numThreads: /));
    assert.throws(describe({ ...OPTIONS, packages: [] }), failure("unimplemented", /no kernel/));
  });
});

interface HostilePlan {
  title: string;
  /** Sequences of the step; row 0 holds 5 tokens and has sampled one, row 1 holds 3. */
  sequences?: TinySequence[];
  spoil?: (plan: StepPlan) => void;
  message: RegExp;
}

const NEXT: TinySequence = { row: 0, begin: 5, tokenIds: [LAST_SAMPLED], output: OUTPUT_SAMPLE };
const BEGINS: TinySequence = { row: 2, begin: 0, tokenIds: [1, 2, 3], begins: {} };

const PLANS: HostilePlan[] = [
  {
    title: "no plan",
    spoil: (p) => Object.keys(p).forEach((key) => set(p, key, undefined)),
    message: /plan\.epoch: .*undefined/,
  },
  {
    title: "a list in place of an Int32Array",
    spoil: (p) => set(p, "tokenIds", [1]),
    message: /tokenIds: expected an Int32Array/,
  },
  {
    title: "floats in place of ints",
    spoil: (p) => set(p, "positions", Float32Array.of(5)),
    message: /positions: expected an Int32Array/,
  },
  { title: "a step id that is NaN", spoil: (p) => set(p, "stepId", Number.NaN), message: /stepId.*NaN/ },
  {
    title: "more tokens than the budget",
    spoil: (p) => set(p, "tokenIds", new Int32Array(17)),
    message: /at most 16 entries, got 17/,
  },
  {
    title: "more sequences than rows",
    spoil: (p) => set(p, "seqRows", new Int32Array(5)),
    message: /at most 4 entries, got 5/,
  },
  {
    title: "a token id out of the vocabulary",
    sequences: [{ ...NEXT, tokenIds: [128] }],
    message: /tokenIds\[0\]: token id 128/,
  },
  { title: "a token id below LAST_SAMPLED", sequences: [{ ...NEXT, tokenIds: [-2] }], message: /token id -2/ },
  {
    title: "the last sampled token of a row that sampled none",
    sequences: [{ ...NEXT, row: 1, begin: 3 }],
    message: /row 1 has sampled no token for position 3/,
  },
  {
    title: "the last sampled token at another position",
    sequences: [{ ...NEXT, begin: 4 }],
    message: /no token for position 4/,
  },
  { title: "a row out of range", sequences: [{ ...NEXT, row: 4 }], message: /seqRows\[0\]: row 4/ },
  { title: "a negative row", sequences: [{ ...NEXT, row: -1 }], message: /row -1/ },
  {
    title: "a row that is not in use",
    sequences: [{ row: 2, begin: 0, tokenIds: [1] }],
    message: /row 2 is not in use/,
  },
  { title: "one row twice", sequences: [NEXT, { ...NEXT, tokenIds: [1] }], message: /row 0 is in the step twice/ },
  {
    title: "positions that do not fit seqLens",
    spoil: (p) => set(p.positions, 0, 6),
    message: /positions\[0\]: expected 5 as seqLens\[0\] says, got 6/,
  },
  { title: "a negative position", spoil: (p) => set(p.positions, 0, -1), message: /positions\[0\]/ },
  {
    title: "a seqLen that leaves a hole in the KV",
    sequences: [{ ...NEXT, begin: 6, tokenIds: [1] }],
    message: /begins at position 6, but the row has KV of only 5/,
  },
  {
    title: "a seqLen over the limit",
    sequences: [{ ...NEXT, begin: 28, tokenIds: [1] }],
    message: /seqLens\[0\]: expected 1 to 28, got 29/,
  },
  { title: "a seqLen of 0", spoil: (p) => set(p.seqLens, 0, 0), message: /seqLens\[0\]/ },
  { title: "a seqLen below zero", spoil: (p) => set(p.seqLens, 0, -(2 ** 31)), message: /seqLens\[0\]/ },
  {
    title: "queryStarts that begin late",
    spoil: (p) => set(p.queryStarts, 0, 1),
    message: /queryStarts\[0\]: expected 0/,
  },
  { title: "queryStarts that end early", spoil: (p) => set(p.queryStarts, 1, 0), message: /queryStarts\[1\]/ },
  {
    title: "queryStarts that fall",
    sequences: [NEXT, BEGINS],
    spoil: (p) => set(p, "queryStarts", Int32Array.of(0, -5, 4)),
    message: /queryStarts\[1\]: expected more than 0/,
  },
  {
    title: "queryStarts that leap",
    sequences: [NEXT, BEGINS],
    spoil: (p) => set(p, "queryStarts", Int32Array.of(0, 2 ** 31 - 1, 4)),
    message: /queryStarts\[1\]: .*at most 4/,
  },
  {
    title: "columns of different lengths",
    spoil: (p) => set(p, "outputs", Int32Array.of(1, 1)),
    message: /outputs: expected 1 entries, got 2/,
  },
  { title: "an unknown output", spoil: (p) => set(p.outputs, 0, 3), message: /outputs\[0\]: unknown value 3/ },
  {
    title: "logits of more tokens than there is room for",
    sequences: [{ ...BEGINS, tokenIds: [1, 2, 3, 4, 5], output: OUTPUT_LOGITS }],
    message: /logits of 5 tokens, there is room for 4/,
  },
  {
    title: "a block id of 0",
    sequences: [BEGINS],
    spoil: (p) => set(p.blockDeltas[0], 3, 0),
    message: /blockDeltas\[0\]\[3\]: block id 0/,
  },
  {
    title: "a block id out of range",
    sequences: [BEGINS],
    spoil: (p) => set(p.blockDeltas[1], 9, 64),
    message: /blockDeltas\[1\]\[9\]: block id 64/,
  },
  {
    title: "a negative block id",
    sequences: [BEGINS],
    spoil: (p) => set(p.blockDeltas[0], 3, -7),
    message: /block id -7/,
  },
  {
    title: "a record that is cut off",
    spoil: (p) => set(p.blockDeltas, 0, Int32Array.of(0, 1)),
    message: /blockDeltas\[0\]\[0\]: a record is cut off/,
  },
  {
    title: "a record with too few ids",
    spoil: (p) => set(p.blockDeltas, 0, Int32Array.of(0, 1, 3, 5)),
    message: /cut off/,
  },
  {
    title: "a record with a negative count",
    spoil: (p) => set(p.blockDeltas, 0, Int32Array.of(0, 1, -3)),
    message: /entries/,
  },
  {
    title: "a record behind the table",
    spoil: (p) => set(p.blockDeltas, 0, Int32Array.of(0, 7, 1, 5)),
    message: /a table of 7/,
  },
  {
    title: "a record that overflows",
    spoil: (p) => set(p.blockDeltas, 0, Int32Array.of(0, 2 ** 31 - 1, 2 ** 31 - 1)),
    message: /a table of 7/,
  },
  {
    title: "a record of an unused row",
    spoil: (p) => set(p.blockDeltas, 0, Int32Array.of(3, 0, 1, 5)),
    message: /row 3 is not in use/,
  },
  {
    title: "deltas of one group only",
    spoil: (p) => p.blockDeltas.pop(),
    message: /one Int32Array per KV group \(2\)/,
  },
  {
    title: "a row without blocks",
    sequences: [BEGINS],
    spoil: (p) => set(p.blockDeltas, 1, Int32Array.of()),
    message: /needs table entries \[0, 1\) of KV group 1, but has \[0, 0\)/,
  },
  {
    title: "a hole in a full group's table",
    sequences: [{ ...BEGINS, begin: 8 }],
    spoil: (p) => set(p.blockDeltas, 0, Int32Array.of(2, 1, 3, 40, 41, 42)),
    message: /entries \[0, 3\) of KV group 0, but has \[1, 4\)/,
  },
  {
    title: "a new row that is in use",
    sequences: [{ ...BEGINS, row: 0 }],
    message: /newRows\[0\]\.row: row 0 is in use/,
  },
  {
    title: "a new row out of range",
    sequences: [{ ...BEGINS, row: 4 }],
    message: /newRows\[0\]\.row: .*\[0, 3\], got 4/,
  },
  {
    title: "one new row twice",
    sequences: [BEGINS],
    spoil: (p) => p.newRows.push(...p.newRows),
    message: /newRows\[1\]\.row: row 2 is in use/,
  },
  {
    title: "a finished row that is not in use",
    spoil: (p) => set(p, "finishedRows", Int32Array.of(3)),
    message: /finishedRows\[0\]: row 3/,
  },
  {
    title: "a row finished twice",
    spoil: (p) => set(p, "finishedRows", Int32Array.of(1, 1)),
    message: /finishedRows\[1\]: row 1/,
  },
  {
    title: "a finished row that runs on",
    spoil: (p) => set(p, "finishedRows", Int32Array.of(0)),
    message: /row 0 is not in use/,
  },
  {
    title: "a mask of a row that is not in use",
    spoil: (p) => set(p, "masks", Int32Array.of(2, 0, 1, 5)),
    message: /masks\[0\]/,
  },
  {
    title: "a mask that is cut off",
    spoil: (p) => set(p, "masks", Int32Array.of(0, 0, 9, 5)),
    message: /masks\[0\].*cut off/,
  },
  { title: "a mask without a token", spoil: (p) => set(p, "masks", Int32Array.of(0, 0, 0)), message: /masks\[2\]/ },
  {
    title: "a mask of an unknown form",
    spoil: (p) => set(p, "masks", Int32Array.of(0, 2, 1, 5)),
    message: /masks\[1\]/,
  },
  {
    title: "a mask of an unknown id",
    spoil: (p) => set(p, "masks", Int32Array.of(0, 0, 1, 1e6)),
    message: /masks\[3\]/,
  },
  {
    title: "a mask of too few words",
    spoil: (p) => set(p, "masks", Int32Array.of(0, 1, 1, -1)),
    message: /masks\[2\]/,
  },
  {
    title: "a row finished and begun anew without blocks",
    sequences: [{ ...BEGINS, row: 0 }],
    spoil: (p) =>
      Object.assign(p, { finishedRows: Int32Array.of(0, 1), blockDeltas: [Int32Array.of(), Int32Array.of()] }),
    message: /needs table entries/,
  },
  {
    title: "a temperature that is NaN",
    sequences: [{ ...BEGINS, begins: { temperature: Number.NaN } }],
    message: /newRows\[0\]\.sampling\.temperature: .*NaN/,
  },
  { title: "a topP over 1", sequences: [{ ...BEGINS, begins: { topP: 1.5 } }], message: /topP/ },
  { title: "a seed that is no safe integer", sequences: [{ ...BEGINS, begins: { seed: 2 ** 60 } }], message: /seed/ },
  {
    title: "too many alternatives",
    sequences: [{ ...BEGINS, begins: { numTopLogprobs: 21 } }],
    message: /numTopLogprobs: .*\[-1, 20\]/,
  },
  {
    title: "too many stop ids",
    sequences: [{ ...BEGINS, begins: { stopTokenIds: Array.from({ length: 65 }, () => 1) } }],
    message: /stopTokenIds: expected at most 64/,
  },
  {
    title: "a stop id out of the vocabulary",
    sequences: [{ ...BEGINS, begins: { stopTokenIds: [128] } }],
    message: /stopTokenIds\[0\].*128/,
  },
  {
    title: "too many biases",
    sequences: [{ ...BEGINS, begins: { logitBias: Array.from({ length: 1025 }, () => ({ tokenId: 1, bias: 1 })) } }],
    message: /logitBias: expected at most 1024/,
  },
  {
    title: "a bias that is infinite",
    sequences: [{ ...BEGINS, begins: { logitBias: [{ tokenId: 1, bias: Infinity }] } }],
    message: /logitBias\[0\]\.bias/,
  },
  {
    title: "a row longer than the limit",
    sequences: [{ ...BEGINS, begins: { maxSeqLen: 29 } }],
    message: /maxSeqLen: .*29/,
  },
];

describe("a hostile step plan", () => {
  let engine: EngineHandle;
  let expected: Float32Array;

  // What row 0 would say next is known before the first bad plan; it must still say so after each of them.
  before(async () => {
    engine = await openTinyEngine();
    await native.step(
      engine,
      tinyStep([{ row: 0, begin: 0, tokenIds: [1, 2, 3, 4, 5], output: OUTPUT_SAMPLE, begins: {} }]),
    );
    await native.step(engine, tinyStep([{ row: 1, begin: 0, tokenIds: [1, 2, 3], begins: {} }]));
    expected = (await native.step(engine, tinyStep([LOGITS_OF_ROW_0]))).logits;
  });
  after(() => native.closeEngine(engine));

  // The last of row 0's own tokens again: overwrites its KV with the same values.
  const LOGITS_OF_ROW_0: TinySequence = { row: 0, begin: 4, tokenIds: [5], output: OUTPUT_LOGITS };

  for (const { title, sequences, spoil, message } of PLANS)
    it(`is refused and changes nothing: ${title}`, async () => {
      const plan = tinyStep(sequences ?? [NEXT]);
      spoil?.(plan);
      await assert.rejects(native.step(engine, plan), failure("invalid_argument", message));
      const { logits } = await native.step(engine, tinyStep([LOGITS_OF_ROW_0]));
      assert.deepEqual(logits, expected);
    });

  it("has not cost row 0 its sampled token, nor row 2 its place", async () => {
    const result = await native.step(engine, tinyStep([NEXT, BEGINS]));
    assert.deepEqual(result.seqRows, Int32Array.of(0));
  });

  it("may close the engine while it is read, and is refused", async () => {
    const doomed = await openTinyEngine();
    const plan = tinyStep([]);
    getter(plan, "newRows", () => {
      native.closeEngine(doomed);
      return [];
    });
    await assert.rejects(native.step(doomed, plan), failure("failed_precondition", /closed/));
  });

  it("may be changed by its owner once the step was called", async () => {
    const plan = tinyStep([LOGITS_OF_ROW_0]);
    const step = native.step(engine, plan);
    plan.tokenIds.fill(127);
    plan.seqRows.fill(99);
    assert.deepEqual((await step).logits, expected);
  });
});

describe("a program without a sample op", () => {
  it("runs, and refuses to sample or to give logits", async () => {
    const program = tinyProgram();
    program.ops = program.ops.slice(0, 2);
    program.weights = program.weights.filter(({ name }) => name === "embed");
    const engine = await openTinyEngine(program);
    for (const output of [OUTPUT_SAMPLE, OUTPUT_LOGITS]) {
      const plan = tinyStep([{ row: 0, begin: 0, tokenIds: [1], output, begins: {} }]);
      await assert.rejects(native.step(engine, plan), failure("invalid_argument", /no sample op/));
    }
    await native.step(engine, tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }]));
    assert.ok(native.readBuffer(engine, "x", 1).some((value) => value !== 0));
    native.closeEngine(engine);
  });
});

const OPTIONS: EngineOptions = {
  packages: [packagePath("reference")],
  numThreads: 1,
  device: "cpu",
  deterministic: true,
};

function set(target: object | undefined, key: string | number, value: unknown): void {
  assert.ok(target !== undefined);
  (target as Wrong)[key] = value;
}

function getter(target: object, key: string, get: () => unknown): void {
  Object.defineProperty(target, key, { get });
}

function opAt(program: RankProgram, index: number): ProgramOp {
  const op = program.ops[index];
  assert.ok(op !== undefined);
  return op;
}

/** The first op of a kind. */
function opOf(program: RankProgram, name: ProgramOp["op"]): ProgramOp {
  const op = program.ops.find((candidate) => candidate.op === name);
  assert.ok(op !== undefined);
  return op;
}

function weightOf(program: RankProgram, name: string): WeightTensor {
  const weight = program.weights.find((candidate) => candidate.name === name);
  assert.ok(weight !== undefined);
  return weight;
}
