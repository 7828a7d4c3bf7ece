/**
 * Single ops through the real binding against the vectors of fixtures/kernels, for every package of this build. Each case is
 * a program of an op or two: open, write buffers, step, read buffers. Tolerances are those of kernel_tolerances.json.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import type { EngineHandle, LoadPlan, WeightRead } from "../../native/binding.js";
import { native, packagePath } from "../../native/index.js";
import type { BufferSpec, KvGroup, Op, RankProgram, WeightTensor } from "../../plans/rank-program.js";
import { GREEDY_SAMPLING, OUTPUT_NONE, type NewRow, type StepPlan } from "../../proto/step.js";
import { FIXTURES } from "../paths.js";

const fixtures = join(FIXTURES, "kernels");

for (const packageName of ["reference", "cpu"]) {
  describe(`kernel package ${packageName}`, { skip: reasonToSkip(packageName) }, () => {
    let vectors: Vectors;
    before(() => {
      vectors = new Vectors(join(fixtures, "kernels.safetensors"));
    });
    after(() => vectors.remove());

    it("decodes MXFP4 exactly", async () => {
      const { out } = await run(packageName, {
        ops: [{ op: "mxfp4_decode", blocks: "blocks", scales: "scales", out: "out" }],
        buffers: { blocks: u8(256), scales: u8(16), out: f32(512) },
        inputs: { blocks: vectors.uint8("dequant.blocks"), scales: vectors.uint8("dequant.scales") },
        numTokens: 12,
        outputs: ["out"],
      });
      const want = vectors.float32("dequant.out_bf16");
      // Rows 2 to 9 have the scales 2 to 200; beyond them an engine may saturate or flush.
      for (let i = 2 * 512; i < 10 * 512; ++i)
        assert.ok(out?.[i] === want[i], `[${i}] is ${out?.[i]}, want ${want[i]}`);
    });

    it("encodes MXFP4 byte for byte, and decodes it again", async () => {
      const got = await run(packageName, {
        ops: [
          { op: "mxfp4_encode", x: "x", blocks: "blocks", scales: "scales" },
          { op: "mxfp4_decode", blocks: "blocks", scales: "scales", out: "out" },
        ],
        buffers: { x: f32(96), blocks: u8(48), scales: u8(3), out: f32(96) },
        inputs: { x: vectors.float32("quant.in") },
        numTokens: 32,
        outputs: ["blocks", "scales", "out"],
      });
      assert.deepEqual(got["blocks"], vectors.uint8("quant.blocks"));
      assert.deepEqual(got["scales"], vectors.uint8("quant.scales"));
      // -0 and 0 compare equal here, as in the fixtures' own check.
      got["out"]?.forEach((value, i) => assert.ok(value === vectors.float32("quant.roundtrip_f32")[i], `out[${i}]`));
    });

    it("normalises in float32", async () => {
      const { out } = await run(packageName, {
        ops: [{ op: "rms_norm", x: "x", weight: "weight", out: "out", eps: 1e-5 }],
        buffers: { x: f32(288), out: f32(288) },
        weights: [vector("weight", 288)],
        load: vectors.loadPlan([{ rows: 288, values: "rmsnorm.weight" }]),
        inputs: { x: vectors.float32("rmsnorm.x") },
        numTokens: 6,
        outputs: ["out"],
      });
      assertRowsClose(out, vectors.float32("rmsnorm.out_f32"), 288, 1e-6);
      assert.deepEqual(Uint16Array.from(out ?? [], toBf16), vectors.bf16("rmsnorm.out_bf16"));
    });

    it("makes YaRN's table from float32 angles", async () => {
      const positions = vectors.int32("yarn.positions");
      const { rope } = await run(packageName, {
        ops: [{ op: "rope_table", out: "rope" }],
        buffers: { rope: f32(64) },
        rope: { invFreq: [...vectors.float32("yarn.inv_freq")], attentionScaling: 1.3465735902799727 },
        limits: { maxSequences: 8, maxSeqLen: 2 ** 17, blockSize: 2 ** 16, numBlocks: 17 },
        plan: oneTokenEach(positions),
        outputs: ["rope"],
      });
      assertClose(rope, table(vectors), 1e-6);
    });

    it("rotates queries by halves", async () => {
      const { qkv } = await run(packageName, ropeAttention(vectors, "rope.q", "rope.k", table(vectors)));
      const q = Float32Array.from({ length: 8 * 512 }, (_, i) => qkv?.[Math.floor(i / 512) * 768 + (i % 512)] ?? NaN);
      assertClose(q, vectors.float32("rope.q_out"), 1e-5);
    });

    // Keys are only seen through attention: over rotated ones and over the vectors' own it must come out the same.
    it("rotates keys by halves", async () => {
      const still = Float32Array.from({ length: 8 * 64 }, (_, i) => (i % 64 < 32 ? 1 : 0));
      const rotated = await run(packageName, ropeAttention(vectors, "rope.q", "rope.k", table(vectors)));
      const given = await run(packageName, ropeAttention(vectors, "rope.q_out", "rope.k_out", still));
      assertRowsClose(rotated["attn"], given["attn"], 64, 1e-5);
    });

    for (const { window, tensor } of [
      { window: 0, tensor: "attention.out_full" },
      { window: 16, tensor: "attention.out_sliding" },
    ]) {
      for (const steps of [[75], [1, 30, 44]]) {
        it(`attends to sinks and ${window === 0 ? "all" : window} keys in steps of ${steps.join(", ")} tokens`, async () => {
          const out = await attend(packageName, vectors, window, steps);
          assertRowsClose(out, vectors.float32(tensor), 64, 1e-5);
        });
      }
    }

    for (const storedDtype of ["mxfp4", "bf16"] as const) {
      it(`routes to experts stored as ${storedDtype} and combines them`, async () => {
        const got = await run(packageName, moe(vectors, storedDtype));
        assert.deepEqual(got["ids"], vectors.int32("moe.topk_indices"));
        assertClose(got["weights"], vectors.float32("moe.topk_weights"), 1e-5);
        assertClose(got["logits"], vectors.float32("moe.router_logits"), 1e-4);
        assertRowsClose(got["out"], vectors.float32("moe.out"), 288, 1e-5);
      });
    }
  });
}

function reasonToSkip(packageName: string): string | false {
  if (packageName === "cpu" && !native.deviceProperties().features.includes("avx2")) return "this machine has no AVX2";
  return false;
}

// ---- programs ------------------------------------------------------------------------------------------------------------

/** The whole MoE layer of the vectors, and the router's logits by a linear op. */
function moe(vectors: Vectors, storedDtype: "bf16" | "mxfp4"): Case {
  return {
    ops: [
      { op: "router", x: "x", weight: "router", bias: "router_bias", expertIds: "ids", expertWeights: "weights" },
      { op: "linear", x: "x", weight: "router_again", bias: "router_bias", out: "logits", accumulate: false },
      {
        op: "experts",
        x: "x",
        expertIds: "ids",
        gateUp: "gate_up",
        gateUpBias: "gate_up_bias",
        down: "down",
        downBias: "down_bias",
        out: "y",
        alpha: 1.702,
        limit: 7,
      },
      { op: "combine", x: "y", expertWeights: "weights", out: "out" },
    ],
    buffers: { x: f32(288), ids: i32(2), weights: f32(2), logits: f32(6), y: f32(576), out: f32(288) },
    weights: [
      matrix("router", 6, 288),
      matrix("router_again", 6, 288),
      vector("router_bias", 6),
      { ...matrix("gate_up", 704, 288, 6), sourceDtype: "mxfp4", storedDtype },
      vector("gate_up_bias", 704, 6),
      { ...matrix("down", 288, 352, 6), sourceDtype: "mxfp4", storedDtype },
      vector("down_bias", 288, 6),
    ],
    load: vectors.loadPlan([
      { rows: 6, values: "moe.router_weight" },
      { rows: 6, values: "moe.router_weight" },
      { rows: 6, values: "moe.router_bias" },
      { rows: 704, values: "moe.gate_up_proj_blocks", scales: "moe.gate_up_proj_scales", numExperts: 6 },
      { rows: 704, values: "moe.gate_up_proj_bias", numExperts: 6 },
      { rows: 288, values: "moe.down_proj_blocks", scales: "moe.down_proj_scales", numExperts: 6 },
      { rows: 288, values: "moe.down_proj_bias", numExperts: 6 },
    ]),
    inputs: { x: vectors.float32("moe.x"), out: new Float32Array(19 * 288) },
    numTokens: 19,
    outputs: ["ids", "weights", "logits", "out"],
  };
}

/** Rotation of the eight positions of the vectors, as if they followed each other, and attention over them. */
function ropeAttention(vectors: Vectors, q: string, k: string, rope: Float32Array): Case {
  // Values are the keys as they are: any would do, as long as they differ.
  const qkv = joinColumns(8, [vectors.float32(q), vectors.float32(k), vectors.float32("rope.k")]);
  return {
    ops: [
      { op: "rope_kv_write", qkv: "qkv", rope: "rope", group: 0, layer: 0 },
      { op: "attention", qkv: "qkv", sinks: null, out: "attn", group: 0, layer: 0, window: 0, scale: 0.125 },
    ],
    buffers: { qkv: f32(768), rope: f32(64), attn: f32(512) },
    kvGroups: [{ kind: "full", window: 0, layers: [0] }],
    inputs: { qkv, rope },
    numTokens: 8,
    outputs: ["qkv", "attn"],
  };
}

/** The 75 tokens of the attention vectors, not rotated, in steps of the given sizes. */
async function attend(packageName: string, vectors: Vectors, window: number, steps: number[]): Promise<Float32Array> {
  const numTokens = steps.reduce((sum, count) => sum + count, 0);
  const qkv = joinColumns(
    numTokens,
    ["q", "k", "v"].map((part) => vectors.float32(`attention.${part}`)),
  );
  const group = window === 0 ? 0 : 1;
  const program = programOf({
    ops: [
      { op: "rope_kv_write", qkv: "qkv", rope: "rope", group, layer: 0 },
      { op: "attention", qkv: "qkv", sinks: "sinks", out: "out", group, layer: 0, window, scale: 0.125 },
    ],
    buffers: { qkv: f32(768), rope: f32(64), out: f32(512) },
    kvGroups: [
      { kind: "full", window: 0, layers: window === 0 ? [0] : [] },
      ...(window === 0 ? [] : [{ kind: "sliding" as const, window, layers: [0] }]),
    ],
    weights: [vector("sinks", 8)],
    outputs: [],
  });
  const still = Float32Array.from({ length: numTokens * 64 }, (_, i) => (i % 64 < 32 ? 1 : 0));
  const out = new Float32Array(numTokens * 512);
  await withEngine(packageName, program, async (engine) => {
    await native.loadWeights(engine, vectors.sinksPlan(), () => undefined);
    let first = 0;
    for (const [stepIndex, count] of steps.entries()) {
      native.writeBuffer(engine, "qkv", qkv.subarray(first * 768, (first + count) * 768));
      native.writeBuffer(engine, "rope", still.subarray(0, count * 64));
      await native.step(engine, oneSequence(program, stepIndex, first, count));
      out.set(native.readBuffer(engine, "out", count), first * 512);
      first += count;
    }
  });
  return out;
}

type Values = Float32Array | Int32Array | Uint8Array;

interface Case {
  ops: Op[];
  buffers: Record<string, Omit<BufferSpec, "name">>;
  weights?: WeightTensor[];
  load?: LoadPlan;
  kvGroups?: KvGroup[];
  rope?: RankProgram["rope"];
  limits?: Partial<RankProgram["limits"]>;
  inputs?: Record<string, Float32Array | Uint8Array>;
  /** One sequence of that many tokens, unless `plan` says otherwise. */
  numTokens?: number;
  plan?: StepPlan;
  outputs: string[];
}

/** The named buffers after the step. */
async function run(packageName: string, test: Case): Promise<Record<string, Values>> {
  const program = programOf(test);
  const results: Record<string, Values> = {};
  await withEngine(packageName, program, async (engine) => {
    if (test.load !== undefined) await native.loadWeights(engine, test.load, () => undefined);
    for (const [name, values] of Object.entries(test.inputs ?? {})) native.writeBuffer(engine, name, values);
    const plan = test.plan ?? oneSequence(program, 0, 0, test.numTokens ?? 0);
    await native.step(engine, plan);
    for (const name of test.outputs) results[name] = native.readBuffer(engine, name, plan.tokenIds.length);
  });
  return results;
}

async function withEngine(
  packageName: string,
  program: RankProgram,
  use: (engine: EngineHandle) => Promise<void>,
): Promise<void> {
  const engine = native.openEngine(program, {
    packages: [packagePath(packageName)],
    numThreads: 2,
    device: "cpu",
    deterministic: true,
  });
  try {
    await use(engine);
  } finally {
    native.closeEngine(engine);
  }
}

function programOf(test: Case): RankProgram {
  return {
    rank: 0,
    worldSize: 1,
    precision: "exact",
    dims: {
      hiddenSize: 288,
      vocabSize: 16,
      headDim: 64,
      numHeads: 8,
      numKvHeads: 2,
      numExperts: 6,
      expertsPerToken: 2,
      intermediateSize: 352,
      numGlobalExperts: 6,
      localExperts: [0, 1, 2, 3, 4, 5],
      expertRanks: Array.from({ length: 6 }, () => [0]),
      rankHeads: [8],
      rankIntermediateSizes: [352],
      globalVocabSize: 16,
      vocabBegin: 0,
    },
    limits: { maxBatchedTokens: 80, maxSequences: 1, maxSeqLen: 80, blockSize: 16, numBlocks: 11, ...test.limits },
    rope: test.rope ?? { invFreq: Array.from({ length: 32 }, () => 1), attentionScaling: 1 },
    kvGroups: test.kvGroups ?? [{ kind: "full", window: 0, layers: [] }],
    weights: test.weights ?? [],
    buffers: Object.entries(test.buffers).map(([name, spec]) => ({ name, ...spec })),
    ops: test.ops,
    shardedOps: null,
    groups: [[0]],
    tokenOwners: [0],
  };
}

function f32(cols: number): Omit<BufferSpec, "name"> {
  return { rows: "tokens", cols, dtype: "f32" };
}

function i32(cols: number): Omit<BufferSpec, "name"> {
  return { rows: "tokens", cols, dtype: "i32" };
}

function u8(cols: number): Omit<BufferSpec, "name"> {
  return { rows: "tokens", cols, dtype: "u8" };
}

function matrix(name: string, rows: number, cols: number, numExperts = 1): WeightTensor {
  const source = {
    tensor: name,
    scales: null,
    shape: [numExperts, rows, cols],
    experts: Array.from({ length: numExperts }, (_, expert) => expert),
    rows: [0, rows] as [number, number],
    cols: [0, cols] as [number, number],
    dstRow: 0,
  };
  return { name, role: "matrix", sourceDtype: "bf16", storedDtype: "bf16", numExperts, rows, cols, sources: [source] };
}

function vector(name: string, rows: number, numExperts = 1): WeightTensor {
  return { ...matrix(name, rows, 1, numExperts), role: "vector", storedDtype: "f32" };
}

// ---- steps ---------------------------------------------------------------------------------------------------------------

/** `count` tokens of one sequence from position `first` on. The first step gives it all its blocks, high ones first. */
function oneSequence(program: RankProgram, stepIndex: number, first: number, count: number): StepPlan {
  const numEntries = program.limits.maxSeqLen / program.limits.blockSize;
  const tables = program.kvGroups.map((_, group) => {
    const blocks = Array.from({ length: numEntries }, (_, i) => 1 + (group + 1) * numEntries - 1 - i);
    return Int32Array.from(stepIndex === 0 ? [0, 0, numEntries, ...blocks] : []);
  });
  return {
    ...emptyPlan(stepIndex),
    tokenIds: new Int32Array(count),
    positions: Int32Array.from({ length: count }, (_, t) => first + t),
    seqRows: Int32Array.of(0),
    queryStarts: Int32Array.of(0, count),
    seqLens: Int32Array.of(first + count),
    outputs: Int32Array.of(OUTPUT_NONE),
    newRows: stepIndex === 0 ? [newRow(program, 0)] : [],
    blockDeltas: tables,
  };
}

/** A sequence per position with that token alone, as after a prefix hit; two blocks hold any sequence. */
function oneTokenEach(positions: Int32Array): StepPlan {
  const indices = Int32Array.from(positions.keys());
  const maxSeqLen = 2 ** 17;
  return {
    ...emptyPlan(0),
    tokenIds: new Int32Array(positions.length),
    positions,
    seqRows: indices,
    queryStarts: Int32Array.from([...indices, positions.length]),
    seqLens: positions.map((position) => position + 1),
    outputs: new Int32Array(positions.length).fill(OUTPUT_NONE),
    newRows: [...indices].map((row) => newRow({ limits: { maxSeqLen } }, row)),
    blockDeltas: [Int32Array.from([...indices].flatMap((row) => [row, 0, 2, 2 * row + 1, 2 * row + 2]))],
  };
}

function emptyPlan(stepId: number): StepPlan {
  const none = new Int32Array();
  return {
    epoch: 1,
    stepId,
    numGrantedSteps: 0,
    followsStepId: 0,
    tokenPlacement: "replicated",
    tokenIds: none,
    positions: none,
    seqRows: none,
    queryStarts: none,
    seqLens: none,
    outputs: none,
    newRows: [],
    blockDeltas: [],
    finishedRows: none,
    masks: none,
  };
}

function newRow(program: { limits: { maxSeqLen: number } }, row: number): NewRow {
  const sampling = { ...GREEDY_SAMPLING, maxSeqLen: program.limits.maxSeqLen };
  return { row, seqId: row, numPromptTokens: 1, sampling };
}

// ---- vectors -------------------------------------------------------------------------------------------------------------

interface WeightPlace {
  rows: number;
  /** Tensor of bf16 rows or MXFP4 blocks. */
  values: string;
  scales?: string;
  numExperts?: number;
}

/** The tensors of kernels.safetensors, and load plans that read weights straight from it. */
class Vectors {
  private readonly bytes: Buffer;
  private readonly header: Record<string, { dtype: string; data_offsets: [number, number] }>;
  private readonly dataOffset: number;
  private readonly folder = mkdtempSync(join(tmpdir(), "moesaic-vectors-"));

  constructor(private readonly path: string) {
    this.bytes = readFileSync(path);
    const headerBytes = Number(this.bytes.readBigUInt64LE(0));
    this.dataOffset = 8 + headerBytes;
    this.header = JSON.parse(this.bytes.toString("utf8", 8, this.dataOffset)) as typeof this.header;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  uint8(name: string): Uint8Array {
    return new Uint8Array(this.copy(name));
  }

  int32(name: string): Int32Array {
    return new Int32Array(this.copy(name));
  }

  bf16(name: string): Uint16Array {
    return new Uint16Array(this.copy(name));
  }

  float32(name: string): Float32Array {
    if (this.entry(name).dtype === "F32") return new Float32Array(this.copy(name));
    return new Float32Array(Uint32Array.from(this.bf16(name), (bits) => bits * 2 ** 16).buffer);
  }

  /** One read per expert of each weight, in the order of the program's weights. */
  loadPlan(places: WeightPlace[]): LoadPlan {
    const reads = places.flatMap((place, weightIndex) => this.reads(place, weightIndex));
    const files = [{ path: this.path, bytes: this.bytes.length }];
    return {
      files,
      reads,
      sharedReads: [],
      bytesPlanned: reads.reduce((sum, read) => sum + read.bytes + read.scaleBytes, 0),
    };
  }

  /** Sinks are float32 in the file but exact in bf16, which is what checkpoints and the loader have. */
  sinksPlan(): LoadPlan {
    const sinks = this.float32("attention.sinks");
    const path = join(this.folder, "sinks");
    writeFileSync(path, Uint16Array.from(sinks, toBf16));
    assert.deepEqual(
      Float32Array.from(sinks, (value) => Math.fround(value)),
      new Float32Array(Uint32Array.from(sinks, (value) => toBf16(value) * 2 ** 16).buffer),
    );
    const bytes = 2 * sinks.length;
    const rows = { rowBegin: 0, rowEnd: sinks.length, rowStride: 2, colBegin: 0, colEnd: 2 };
    const read = { weightIndex: 0, expert: 0, ...rows, fileIndex: 0, fileOffset: 0, bytes, ...NO_SCALES };
    return { files: [{ path, bytes }], reads: [read], sharedReads: [], bytesPlanned: bytes };
  }

  private reads({ rows, values, scales, numExperts = 1 }: WeightPlace, weightIndex: number): WeightRead[] {
    const part = (name: string, expert: number): { offset: number; bytes: number } => {
      const [begin, end] = this.entry(name).data_offsets;
      const bytes = (end - begin) / numExperts;
      return { offset: this.dataOffset + begin + expert * bytes, bytes };
    };
    return Array.from({ length: numExperts }, (_, expert) => {
      const { offset, bytes } = part(values, expert);
      const whole = { rowBegin: 0, rowEnd: rows, rowStride: bytes / rows, colBegin: 0, colEnd: bytes / rows };
      const read = { weightIndex, expert, ...whole, fileIndex: 0, fileOffset: offset, bytes };
      if (scales === undefined) return { ...read, ...NO_SCALES };
      const place = part(scales, expert);
      const stride = place.bytes / rows;
      const scaleRows = { scaleRowStride: stride, scaleColBegin: 0, scaleColEnd: stride };
      return { ...read, scaleFileIndex: 0, scaleFileOffset: place.offset, ...scaleRows, scaleBytes: place.bytes };
    });
  }

  private copy(name: string): ArrayBuffer {
    const [begin, end] = this.entry(name).data_offsets;
    return new Uint8Array(this.bytes.subarray(this.dataOffset + begin, this.dataOffset + end)).buffer;
  }

  private entry(name: string): { dtype: string; data_offsets: [number, number] } {
    const entry = this.header[name];
    assert.ok(entry !== undefined, `the vectors have no tensor ${name}`);
    return entry;
  }
}

const NO_SCALES = {
  scaleFileIndex: -1,
  scaleFileOffset: 0,
  scaleRowStride: 0,
  scaleColBegin: 0,
  scaleColEnd: 0,
  scaleBytes: 0,
};

/** cos and sin of the vectors side by side, as rope_table lays them out. */
function table(vectors: Vectors): Float32Array {
  return joinColumns(8, [vectors.float32("yarn.cos"), vectors.float32("yarn.sin")]);
}

/** Parts of the same number of rows, side by side. */
function joinColumns(rows: number, parts: Float32Array[]): Float32Array {
  const values: number[] = [];
  for (let row = 0; row < rows; ++row) {
    for (const part of parts)
      values.push(...part.subarray((row * part.length) / rows, ((row + 1) * part.length) / rows));
  }
  return Float32Array.from(values);
}

/** To the nearest, ties to even; for finite values. */
function toBf16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

// ---- comparison ----------------------------------------------------------------------------------------------------------

/** |got - want| <= absolute for every element. */
function assertClose(got: Values | undefined, want: Float32Array, absolute: number): void {
  assert.equal(got?.length, want.length);
  want.forEach((value, i) => {
    const error = Math.abs((got?.[i] ?? NaN) - value);
    assert.ok(error <= absolute, `[${i}] is ${got?.[i]}, want ${value} (off by ${error})`);
  });
}

/** ||got - want|| <= relative * ||want|| for every row. */
function assertRowsClose(got: Values | undefined, want: Values | undefined, cols: number, relative: number): void {
  assert.ok(got !== undefined && want !== undefined && want.length > 0, "there is nothing to compare");
  assert.equal(got.length, want.length);
  for (let row = 0; row < want.length / cols; ++row) {
    let error = 0;
    let norm = 0;
    for (let i = row * cols; i < (row + 1) * cols; ++i) {
      error += ((got[i] ?? NaN) - (want[i] ?? NaN)) ** 2;
      norm += (want[i] ?? NaN) ** 2;
    }
    assert.ok(Math.sqrt(error) <= relative * Math.sqrt(norm), `row ${row} is off by ${Math.sqrt(error / norm)}`);
  }
}
