import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import type { RankProgram, WeightTensor } from "../plans/rank-program.js";
import { MoesaicError, type ErrorCode } from "../proto/errors.js";
import { GREEDY } from "../proto/step-fixture.js";
import { OUTPUT_NONE, type StepPlan } from "../proto/step.js";
import type { EngineHandle, EngineOptions, LoadPlan, WeightRead } from "./binding.js";
import { native, packagePath } from "./index.js";

/*
 * The program has every kind of weight: vectors (with "norm" in the name, and biases of one and of two experts), a bf16
 * matrix and MXFP4 matrices. What was loaded is seen through its ops: a step over fixed inputs, compared bit by bit.
 */
const HIDDEN = 64;
const INTERMEDIATE = 32;
const NUM_EXPERTS = 2;
const NUM_TOKENS = 4;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "moesaic-loader-"));
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("loadWeights", () => {
  it("fills every kind of weight from wherever the plan says", async () => {
    const plan = planOnDisk();
    const ordered = await outputsAfterLoad({ ...plan, reads: plan.reads.toReversed() }, 1);
    const spread = await outputsAfterLoad(plan, 2);
    assert.deepEqual(spread, ordered);
    assert.ok(ordered.some((value) => value !== 0));
  });

  it("computes with the values of the file", async () => {
    const plan = planOnDisk(onesInLinear);
    const [first] = await outputsAfterLoad(plan, 2);
    // norm.weight and the linear matrix are all ones, its bias is 2: row 0 sums the normalised input and adds 2.
    const x = inputs().subarray(0, HIDDEN);
    const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / HIDDEN;
    const sum = x.reduce((total, value) => total + value, 0) / Math.sqrt(meanSquare + EPS);
    assert.ok(Math.abs((first ?? NaN) - (sum + 2)) < 1e-4, `got ${first}, wanted ${sum + 2}`);
  });

  it("cuts columns out of the rows of a file", async () => {
    const plan = planOnDisk();
    assert.deepEqual(await outputsAfterLoad(inWiderRows(plan), 2), await outputsAfterLoad(plan, 1));
  });

  it("cuts columns out of rows that are read whole, where no other rank shares them", async () => {
    const plan = planOnDisk();
    assert.deepEqual(await outputsAfterLoad(readWhole(inWiderRows(plan)), 2), await outputsAfterLoad(plan, 1));
  });

  it("counts whole rows where it reads whole rows", async () => {
    const plan = readWhole(inWiderRows(planOnDisk()));
    const report = await withEngine(2, async (engine) => native.loadWeights(engine, plan, ignoreProgress));
    assert.equal(report.bytesRead, plan.bytesPlanned);
    await rejects({ ...plan, bytesPlanned: planOnDisk().bytesPlanned }, "invalid_argument", "plan.bytesPlanned");
  });

  it("reports progress that never falls and ends at bytesPlanned", async () => {
    const plan = largePlanOnDisk();
    const engine = native.openEngine(largeProgram(), options(2));
    const seen: number[] = [];
    const report = await native.loadWeights(engine, plan, (bytesDone) => seen.push(bytesDone));
    native.closeEngine(engine);
    const inOrder = seen.toSorted((a, b) => a - b);
    assert.deepEqual(seen, inOrder);
    assert.ok(seen.length > 1, "only the end was reported");
    assert.equal(seen.at(-1), plan.bytesPlanned);
    assert.equal(report.bytesRead, plan.bytesPlanned);
  });

  it("ticks the progress counter while it loads", async () => {
    await withEngine(1, async (engine) => {
      const before = native.progress(engine).counter;
      await native.loadWeights(engine, planOnDisk(), ignoreProgress);
      assert.ok(native.progress(engine).counter > before);
    });
  });

  it("refuses a file that grew after the plan was made", async () => {
    const plan = planOnDisk();
    const bytes = fileOf(plan).bytes;
    truncateSync(fileOf(plan).path, bytes + 1);
    await rejects(plan, "failed_precondition", `wanted ${bytes} bytes, there are ${bytes + 1}`);
  });

  it("refuses a file that shrank after the plan was made", async () => {
    const plan = planOnDisk();
    const bytes = fileOf(plan).bytes;
    truncateSync(fileOf(plan).path, bytes - 1);
    await rejects(plan, "failed_precondition", `wanted ${bytes} bytes, there are ${bytes - 1}`);
  });

  it("refuses a read behind the end of a file that was planned as truncated", async () => {
    const plan = planOnDisk();
    const bytes = fileOf(plan).bytes - 1;
    truncateSync(fileOf(plan).path, bytes);
    await rejects({ ...plan, files: [{ ...fileOf(plan), bytes }] }, "invalid_argument", `within the ${bytes} bytes`);
  });

  it("fails, and names the place, when a file is truncated while it is read", async () => {
    const plan = largePlanOnDisk();
    const engine = native.openEngine(largeProgram(), options(1));
    const truncate = (): void => truncateSync(fileOf(plan).path, 1000);
    const message = `${fileOf(plan).path}: wanted`;
    await assert.rejects(native.loadWeights(engine, plan, truncate), hasCode("invalid_argument", message));
    native.closeEngine(engine);
  });

  it("refuses a missing file, a folder and a path with a NUL character", async () => {
    const plan = planOnDisk();
    const at = (path: string): LoadPlan => ({ ...plan, files: [{ ...fileOf(plan), path }] });
    await rejects(at(join(folder, "absent")), "not_found", "absent");
    await rejects(at(folder), "failed_precondition", "wanted a regular file");
    await rejects(at(`${fileOf(plan).path}\0x`), "invalid_argument", "");
  });

  const badReads: [string, Partial<WeightRead>, string][] = [
    ["a weight that is not there", { weightIndex: 99 }, "weightIndex below"],
    ["an expert that is not there", { expert: NUM_EXPERTS }, `expert below ${NUM_EXPERTS}`],
    ["rows behind the weight's last", { rowEnd: HIDDEN + 1 }, `rows within 0 to ${HIDDEN}`],
    ["rows before the weight's first", { rowBegin: -1 }, "got -1"],
    ["no rows", { rowEnd: 0 }, `rows within 0 to ${HIDDEN}`],
    ["a byte too few", { bytes: (HIDDEN * INTERMEDIATE) / 2 - 1 }, "1024 bytes of rows for 64 rows"],
    ["a byte of scales too many", { scaleBytes: HIDDEN + 1 }, "64 bytes of scales for 64 rows"],
    ["a file that is not there", { fileIndex: 1 }, "file below 1 for its rows"],
    ["scales in no file", { scaleFileIndex: -1 }, "file below 1 for its scales"],
    ["an offset before the file", { fileOffset: -1 }, "got -1"],
    [
      "rows whose stride is longer than the file",
      { rowStride: 2 ** 40, colEnd: INTERMEDIATE / 2 },
      "rows of 1099511627776",
    ],
    [
      "rows whose strides overflow",
      { rowStride: Number.MAX_SAFE_INTEGER, rowEnd: HIDDEN },
      "64 rows of 9007199254740991",
    ],
    ["rows without a stride, which overlap", { rowStride: 0 }, "which have 0"],
    ["columns behind the end of the row", { colBegin: 1, colEnd: INTERMEDIATE / 2 + 1 }, "got bytes 1 to 17"],
    ["columns that end before they begin", { colBegin: 16, colEnd: 0 }, "got bytes 16 to 0"],
    ["fewer columns than the weight has", { colBegin: 1 }, "16 bytes of each of its rows"],
    ["fewer columns of scales", { scaleColEnd: 0 }, "1 bytes of each of its scales"],
    ["an offset that overflows with its bytes", { fileOffset: Number.MAX_SAFE_INTEGER }, "at offset"],
  ];
  for (const [what, change, message] of badReads) {
    it(`refuses a read of ${what}`, async () => {
      const plan = planOnDisk();
      const down = plan.reads.findIndex((read) => weightOf(read).name === "down.weight");
      const reads = plan.reads.map((read, index) => (index === down ? { ...read, ...change } : read));
      await rejects({ ...plan, reads }, "invalid_argument", message);
    });
  }

  it("refuses a plan that leaves rows out, fills rows twice, or counts its bytes wrongly", async () => {
    const plan = planOnDisk();
    const [first] = plan.reads;
    assert.ok(first !== undefined);
    await rejects({ ...plan, reads: plan.reads.slice(1) }, "invalid_argument", "no read of rows");
    await rejects({ ...plan, reads: [...plan.reads, first] }, "invalid_argument", "two reads of row");
    await rejects({ ...plan, bytesPlanned: plan.bytesPlanned + 1 }, "invalid_argument", "plan.bytesPlanned");
  });

  it("refuses rows that begin inside a granule of the kernel's layout", async (t) => {
    const { weights } = native.describeProgram(program(), {
      packages: [packagePath("cpu")],
      numThreads: 1,
      device: "cpu",
      deterministic: true,
    });
    const weightIndex = weights.findIndex(({ rowGranule }) => rowGranule > 1);
    const granule = weights[weightIndex]?.rowGranule;
    if (granule === undefined) return t.skip("the cpu package has no layout with a granule above 1");
    const split = splitFirstRead(planOnDisk(), weightIndex, 1);
    await rejects(split, "invalid_argument", `whole granules of ${granule} rows`, "cpu");
  });

  it("leaves an engine that can load again after a refused plan", async () => {
    const plan = planOnDisk();
    await withEngine(2, async (engine) => {
      await assert.rejects(native.loadWeights(engine, { ...plan, reads: [] }, ignoreProgress));
      const report = await native.loadWeights(engine, plan, ignoreProgress);
      assert.equal(report.bytesRead, plan.bytesPlanned);
    });
  });
});

describe("loadDummyWeights", () => {
  it("makes the same weights with one thread and with two", async () => {
    assert.deepEqual(await outputsAfterDummy(7, 2), await outputsAfterDummy(7, 1));
  });

  it("makes other weights from another seed", async () => {
    assert.notDeepEqual(await outputsAfterDummy(8, 1), await outputsAfterDummy(7, 1));
  });

  it("keeps the scale of what a matrix multiplies", async () => {
    const outputs = (await outputsAfterDummy(7, 1)).subarray(0, NUM_TOKENS * HIDDEN);
    const deviation = Math.sqrt(outputs.reduce((sum, value) => sum + value * value, 0) / outputs.length);
    assert.ok(deviation > 0.7 && deviation < 1.4, `the linear op's outputs have standard deviation ${deviation}`);
  });

  it("ends its progress at the bytes it made, and packs the whole arena", async () => {
    const seen: number[] = [];
    const report = await withEngine(2, (engine) =>
      native.loadDummyWeights(engine, 1, (bytesDone) => seen.push(bytesDone)),
    );
    assert.equal(seen.at(-1), report.bytesRead);
    assert.equal(report.bytesPacked, native.describeProgram(program(), options(2)).weightsBytes);
  });

  it("makes each half of a matrix as the whole has it", async () => {
    const whole = await dummyColumns([0, HIDDEN]);
    const left = await dummyColumns([0, 32]);
    const right = await dummyColumns([32, HIDDEN]);
    const sums = left.map((value, i) => value + (right[i] ?? NaN));
    sums.forEach((value, i) =>
      assert.ok(Math.abs(value - (whole[i] ?? NaN)) < 1e-5, `[${i}] ${value} and ${whole[i]}`),
    );
  });

  it("refuses sources that do not fill a weight", async () => {
    const [norm, ...others] = weights();
    const short = norm!.sources.map((source): typeof source => ({ ...source, rows: [0, HIDDEN - 1] }));
    const engine = native.openEngine({ ...program(), weights: [{ ...norm!, sources: short }, ...others] }, options(1));
    await assert.rejects(
      native.loadDummyWeights(engine, 1, ignoreProgress),
      hasCode("invalid_argument", "norm.weight: wanted sources that fill"),
    );
    native.closeEngine(engine);
  });

  it("stops with cancelled when the engine is closed meanwhile", async () => {
    const engine = native.openEngine(largeProgram(), options(1));
    const closeOnce = (): void => native.closeEngine(engine);
    await assert.rejects(native.loadDummyWeights(engine, 1, closeOnce), hasCode("cancelled", ""));
  });
});

// ---- engines ---------------------------------------------------------------------------------------------------------

function options(numThreads: number, kernels = "reference"): EngineOptions {
  return { packages: [packagePath(kernels), packagePath("reference")], numThreads, device: "cpu", deterministic: true };
}

async function withEngine<T>(
  numThreads: number,
  use: (engine: EngineHandle) => Promise<T>,
  kernels = "reference",
): Promise<T> {
  const engine = native.openEngine(program(), options(numThreads, kernels));
  try {
    return await use(engine);
  } finally {
    native.closeEngine(engine);
  }
}

function ignoreProgress(): void {}

async function rejects(plan: LoadPlan, code: ErrorCode, message: string, kernels = "reference"): Promise<void> {
  await withEngine(
    2,
    (engine) =>
      // A refusal may come as a throw (conversion) or as a rejection (check): a caller who awaits sees the same.
      assert.rejects(async () => native.loadWeights(engine, plan, ignoreProgress), hasCode(code, message)),
    kernels,
  );
}

function hasCode(code: ErrorCode, message: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof MoesaicError);
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(message), error.message);
    return true;
  };
}

async function outputsAfterLoad(plan: LoadPlan, numThreads: number): Promise<Float32Array> {
  return withEngine(numThreads, async (engine) => {
    await native.loadWeights(engine, plan, ignoreProgress);
    return stepOutputs(engine);
  });
}

async function outputsAfterDummy(seed: number, numThreads: number): Promise<Float32Array> {
  return withEngine(numThreads, async (engine) => {
    await native.loadDummyWeights(engine, seed, ignoreProgress);
    return stepOutputs(engine);
  });
}

/** Outputs of the linear op, then those of the experts. */
async function stepOutputs(engine: EngineHandle): Promise<Float32Array> {
  native.writeBuffer(engine, "x", inputs());
  native.writeBuffer(engine, "expertIds", Int32Array.of(0, 1, 1, 0));
  await native.step(engine, stepPlan());
  const linear = native.readBuffer(engine, "y", NUM_TOKENS);
  const experts = native.readBuffer(engine, "z", NUM_TOKENS);
  return Float32Array.of(...linear, ...experts);
}

/** What a linear op with some columns of a dummy matrix makes of the same columns of fixed inputs. */
async function dummyColumns(cols: [number, number]): Promise<Float32Array> {
  const width = cols[1] - cols[0];
  const weight = matrix("linear.weight", "bf16", 1, HIDDEN, HIDDEN);
  const sources = weight.sources.map((source): typeof source => ({ ...source, cols }));
  const cut: RankProgram = {
    ...program(),
    weights: [{ ...weight, cols: width, sources }],
    buffers: [
      { name: "x", rows: "tokens", cols: width, dtype: "f32" },
      { name: "y", rows: "tokens", cols: HIDDEN, dtype: "f32" },
    ],
    ops: [{ op: "linear", x: "x", weight: weight.name, bias: null, out: "y", accumulate: false }],
  };
  const engine = native.openEngine(cut, options(1));
  await native.loadDummyWeights(engine, 7, ignoreProgress);
  const isWanted = (i: number): boolean => i % HIDDEN >= cols[0] && i % HIDDEN < cols[1];
  native.writeBuffer(
    engine,
    "x",
    inputs().filter((_, i) => isWanted(i)),
  );
  await native.step(engine, stepPlan());
  const outputs = native.readBuffer(engine, "y", NUM_TOKENS);
  native.closeEngine(engine);
  return Float32Array.from(outputs);
}

function inputs(): Float32Array {
  return Float32Array.from({ length: NUM_TOKENS * HIDDEN }, (_, i) => Math.sin(i) + 0.25);
}

// ---- program ---------------------------------------------------------------------------------------------------------

const EPS = 1e-5;

function program(): RankProgram {
  return {
    rank: 0,
    worldSize: 1,
    precision: "exact",
    dims: {
      hiddenSize: HIDDEN,
      vocabSize: 32,
      headDim: 32,
      numHeads: 1,
      numKvHeads: 1,
      numExperts: NUM_EXPERTS,
      expertsPerToken: 1,
      intermediateSize: INTERMEDIATE,
      numGlobalExperts: NUM_EXPERTS,
      localExperts: Array.from({ length: NUM_EXPERTS }, (_, expert) => expert),
      expertRanks: Array.from({ length: NUM_EXPERTS }, () => [0]),
      rankHeads: [1],
      rankIntermediateSizes: [INTERMEDIATE],
      globalVocabSize: 32,
      vocabBegin: 0,
    },
    limits: { maxBatchedTokens: NUM_TOKENS, maxSequences: 1, maxSeqLen: 16, blockSize: 16, numBlocks: 2 },
    rope: { invFreq: Array.from({ length: 16 }, () => 1), attentionScaling: 1 },
    kvGroups: [{ kind: "full", window: 0, layers: [0] }],
    weights: weights(),
    buffers: [
      { name: "x", rows: "tokens", cols: HIDDEN, dtype: "f32" },
      { name: "h", rows: "tokens", cols: HIDDEN, dtype: "f32" },
      { name: "y", rows: "tokens", cols: HIDDEN, dtype: "f32" },
      { name: "expertIds", rows: "tokens", cols: 1, dtype: "i32" },
      { name: "z", rows: "tokens", cols: HIDDEN, dtype: "f32" },
    ],
    ops: [
      { op: "rms_norm", x: "x", weight: "norm.weight", out: "h", eps: EPS },
      { op: "linear", x: "h", weight: "linear.weight", bias: "linear.bias", out: "y", accumulate: false },
      {
        op: "experts",
        x: "h",
        expertIds: "expertIds",
        gateUp: "gate_up.weight",
        gateUpBias: "gate_up.bias",
        down: "down.weight",
        downBias: "down.bias",
        out: "z",
        alpha: 1.702,
        limit: 7,
      },
    ],
    shardedOps: null,
    groups: [[0]],
    tokenOwners: [0],
  };
}

function weights(): WeightTensor[] {
  return [
    vector("norm.weight", 1, HIDDEN),
    matrix("linear.weight", "bf16", 1, HIDDEN, HIDDEN),
    vector("linear.bias", 1, HIDDEN),
    matrix("gate_up.weight", "mxfp4", NUM_EXPERTS, 2 * INTERMEDIATE, HIDDEN),
    vector("gate_up.bias", NUM_EXPERTS, 2 * INTERMEDIATE),
    matrix("down.weight", "mxfp4", NUM_EXPERTS, HIDDEN, INTERMEDIATE),
    vector("down.bias", NUM_EXPERTS, HIDDEN),
  ];
}

const LARGE_ROWS = 2 ** 19;
const LARGE_COLS = 512;

/** One linear op whose weight takes the reference package several progress intervals to decode: time to interfere. */
function largeProgram(): RankProgram {
  const weight = matrix("linear.weight", "mxfp4", 1, LARGE_ROWS, LARGE_COLS);
  return {
    ...program(),
    weights: [{ ...weight, storedDtype: "bf16" }],
    buffers: [
      { name: "x", rows: "tokens", cols: LARGE_COLS, dtype: "f32" },
      { name: "y", rows: "tokens", cols: LARGE_ROWS, dtype: "f32" },
    ],
    ops: [{ op: "linear", x: "x", weight: weight.name, bias: null, out: "y", accumulate: false }],
  };
}

function vector(name: string, numExperts: number, rows: number): WeightTensor {
  const shape = numExperts === 1 ? [rows] : [numExperts, rows];
  const sources = [wholeSource(name, null, shape, numExperts, rows, 1)];
  return { name, role: "vector", sourceDtype: "bf16", storedDtype: "f32", numExperts, rows, cols: 1, sources };
}

function matrix(name: string, dtype: "bf16" | "mxfp4", numExperts: number, rows: number, cols: number): WeightTensor {
  const shape = numExperts === 1 ? [rows, cols] : [numExperts, rows, cols];
  const sources = [wholeSource(name, dtype === "mxfp4" ? `${name}_scales` : null, shape, numExperts, rows, cols)];
  return { name, role: "matrix", sourceDtype: dtype, storedDtype: dtype, numExperts, rows, cols, sources };
}

function wholeSource(
  tensor: string,
  scales: string | null,
  shape: number[],
  numExperts: number,
  rows: number,
  cols: number,
): WeightTensor["sources"][number] {
  return {
    tensor,
    scales,
    shape,
    experts: Array.from({ length: numExperts }, (_, id) => id),
    rows: [0, rows],
    cols: [0, cols],
    dstRow: 0,
  };
}

function stepPlan(): StepPlan {
  return {
    epoch: 1,
    stepId: 1,
    numGrantedSteps: 0,
    followsStepId: 0,
    tokenPlacement: "replicated",
    tokenIds: new Int32Array(NUM_TOKENS),
    positions: Int32Array.from({ length: NUM_TOKENS }, (_, i) => i),
    seqRows: Int32Array.of(0),
    queryStarts: Int32Array.of(0, NUM_TOKENS),
    seqLens: Int32Array.of(NUM_TOKENS),
    outputs: Int32Array.of(OUTPUT_NONE),
    newRows: [{ row: 0, seqId: 1, numPromptTokens: NUM_TOKENS, sampling: GREEDY }],
    blockDeltas: [Int32Array.of(0, 0, 1, 1)],
    finishedRows: new Int32Array(0),
    masks: new Int32Array(0),
  };
}

// ---- files -----------------------------------------------------------------------------------------------------------

/** Value bits of a weight's source bytes at a byte index. */
type ByteAt = (weight: WeightTensor, index: number) => number;

let numFiles = 0;

/** Writes one file with every weight and plans one read per expert. */
function planOnDisk(byteAt: ByteAt = mildBytes): LoadPlan {
  const path = join(folder, `weights-${numFiles++}.bin`);
  const pieces: Uint8Array[] = [new Uint8Array(13)];
  const reads = weights().flatMap((weight, weightIndex) => readsOf(weight, weightIndex, pieces, byteAt));
  const file = Buffer.concat(pieces);
  writeFileSync(path, file);
  const bytesPlanned = reads.reduce((sum, read) => sum + read.bytes + read.scaleBytes, 0);
  return { files: [{ path, bytes: file.length }], reads, sharedReads: [], bytesPlanned };
}

/** The weight of `largeProgram` as one read of a file of zeros that takes no room on disk: scales, then blocks. */
function largePlanOnDisk(): LoadPlan {
  const path = join(folder, `weights-${numFiles++}.bin`);
  const bytes = (LARGE_ROWS * LARGE_COLS) / 2;
  const scaleBytes = (LARGE_ROWS * LARGE_COLS) / 32;
  writeFileSync(path, "");
  truncateSync(path, scaleBytes + bytes);
  const blocks = { fileIndex: 0, fileOffset: scaleBytes, ...wholeRows(bytes, LARGE_ROWS), bytes };
  const scales = { scaleFileIndex: 0, scaleFileOffset: 0, ...wholeScaleRows(scaleBytes, LARGE_ROWS), scaleBytes };
  const read = { weightIndex: 0, expert: 0, rowBegin: 0, rowEnd: LARGE_ROWS, ...blocks, ...scales };
  return {
    files: [{ path, bytes: scaleBytes + bytes }],
    reads: [read],
    sharedReads: [],
    bytesPlanned: scaleBytes + bytes,
  };
}

function readsOf(weight: WeightTensor, weightIndex: number, pieces: Uint8Array[], byteAt: ByteAt): WeightRead[] {
  const isMxfp4 = weight.sourceDtype === "mxfp4";
  const numValues = weight.rows * weight.cols;
  const append = (bytes: number, at: (index: number) => number): number => {
    const offset = pieces.reduce((sum, piece) => sum + piece.length, 0);
    pieces.push(Uint8Array.from({ length: bytes }, (_, i) => at(i)));
    return offset;
  };
  return Array.from({ length: weight.numExperts }, (_, expert) => {
    const bytes = isMxfp4 ? numValues / 2 : numValues * 2;
    const scaleBytes = isMxfp4 ? numValues / 32 : 0;
    const fileOffset = append(bytes, (i) => byteAt(weight, expert * bytes + i));
    const scaleFileOffset = append(scaleBytes, (i) => 124 + ((expert + i) % 3));
    return {
      weightIndex,
      expert,
      rowBegin: 0,
      rowEnd: weight.rows,
      fileIndex: 0,
      fileOffset,
      ...wholeRows(bytes, weight.rows),
      bytes,
      scaleFileIndex: isMxfp4 ? 0 : -1,
      scaleFileOffset: isMxfp4 ? scaleFileOffset : 0,
      ...wholeScaleRows(scaleBytes, weight.rows),
      scaleBytes,
    };
  });
}

type Rows = Pick<WeightRead, "rowStride" | "colBegin" | "colEnd">;
type ScaleRows = Pick<WeightRead, "scaleRowStride" | "scaleColBegin" | "scaleColEnd">;

function wholeRows(bytes: number, rows: number): Rows {
  return { rowStride: bytes / rows, colBegin: 0, colEnd: bytes / rows };
}

function wholeScaleRows(bytes: number, rows: number): ScaleRows {
  return { scaleRowStride: bytes / rows, scaleColBegin: 0, scaleColEnd: bytes / rows };
}

/** Any codes for MXFP4; for bf16 values between 0.5 and 1 in size, of changing sign. */
function mildBytes(weight: WeightTensor, index: number): number {
  const noise = (index * 2654435761) >>> 24;
  if (weight.sourceDtype === "mxfp4") return noise;
  return index % 2 === 0 ? noise & 0x7f : 0x3f | (noise & 0x80);
}

function onesInLinear(weight: WeightTensor, index: number): number {
  const bf16 = { "norm.weight": 0x3f80, "linear.weight": 0x3f80, "linear.bias": 0x4000 }[weight.name];
  if (bf16 === undefined) return mildBytes(weight, index);
  return index % 2 === 0 ? bf16 & 0xff : bf16 >>> 8;
}

function fileOf(plan: LoadPlan): LoadPlan["files"][number] {
  const [file] = plan.files;
  assert.ok(file !== undefined);
  return file;
}

function weightOf(read: WeightRead): WeightTensor {
  const weight = weights()[read.weightIndex];
  assert.ok(weight !== undefined);
  return weight;
}

/** The same weights from a file whose rows have other bytes around them. */
function inWiderRows(plan: LoadPlan): LoadPlan {
  const path = join(folder, `weights-${numFiles++}.bin`);
  const file = readFileSync(fileOf(plan).path);
  const parts: Buffer[] = [];
  const append = (offset: number, bytes: number, stride: number): number => {
    const begin = parts.reduce((sum, part) => sum + part.length, 0);
    for (let at = offset; at < offset + bytes; at += stride)
      parts.push(Buffer.alloc(3, 0xaa), file.subarray(at, at + stride), Buffer.alloc(7, 0xbb));
    return begin;
  };
  const reads = plan.reads.map((read) => {
    const wide = { rowStride: read.rowStride + 10, colBegin: 3, colEnd: 3 + read.rowStride };
    const values = { ...read, fileOffset: append(read.fileOffset, read.bytes, read.rowStride), ...wide };
    if (read.scaleBytes === 0) return values;
    const scaleFileOffset = append(read.scaleFileOffset, read.scaleBytes, read.scaleRowStride);
    const scaleCols = { scaleColBegin: 3, scaleColEnd: 3 + read.scaleRowStride };
    return { ...values, scaleFileOffset, scaleRowStride: read.scaleRowStride + 10, ...scaleCols };
  });
  writeFileSync(path, Buffer.concat(parts));
  return { ...plan, files: [{ path, bytes: Buffer.concat(parts).length }], reads };
}

/** The plan with all of its reads as shared reads of a rank that is alone. */
function readWhole(plan: LoadPlan): LoadPlan {
  const sharedReads = plan.reads.map((read) => {
    const numRows = read.rowEnd - read.rowBegin;
    const [bytes, scaleBytes] = [numRows * read.rowStride, numRows * read.scaleRowStride];
    return { ...read, bytes, scaleBytes, ranks: [0], rootRank: 0 };
  });
  const bytesPlanned = sharedReads.reduce((sum, read) => sum + read.bytes + read.scaleBytes, 0);
  return { ...plan, reads: [], sharedReads, bytesPlanned };
}

/** Cuts the weight's first read in two after `rows` rows. */
function splitFirstRead(plan: LoadPlan, weightIndex: number, rows: number): LoadPlan {
  const index = plan.reads.findIndex((read) => read.weightIndex === weightIndex);
  const whole = plan.reads[index];
  assert.ok(whole !== undefined);
  const bytes = (whole.bytes / whole.rowEnd) * rows;
  const scaleBytes = (whole.scaleBytes / whole.rowEnd) * rows;
  const head = { ...whole, rowEnd: rows, bytes, scaleBytes };
  const tail = {
    ...whole,
    rowBegin: rows,
    fileOffset: whole.fileOffset + bytes,
    bytes: whole.bytes - bytes,
    scaleFileOffset: whole.scaleFileOffset + scaleBytes,
    scaleBytes: whole.scaleBytes - scaleBytes,
  };
  return { ...plan, reads: plan.reads.toSpliced(index, 1, head, tail) };
}
