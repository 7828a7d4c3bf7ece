/**
 * What one rank runs each step: weights with their shards, workspace buffers, and a list of ops with shapes. It is data:
 * `lower()` makes it, `plan explain` prints it, the native engine binds its ops to kernels. Travels as JSON in the Assignment.
 */
export interface RankProgram {
  rank: number;
  worldSize: number;
  precision: Precision;
  dims: ProgramDims;
  limits: ProgramLimits;
  rope: RopeTable;
  /** Index 0 is always the full-attention group, even of a model without such layers: its tables hold every token. */
  kvGroups: KvGroup[];
  weights: WeightTensor[];
  buffers: BufferSpec[];
  ops: Op[];
}

export type Precision = "exact" | "fast";

/** Sizes of this rank's share; a head or expert held by other ranks does not count. */
export interface ProgramDims {
  hiddenSize: number;
  vocabSize: number;
  headDim: number;
  numHeads: number;
  numKvHeads: number;
  numExperts: number;
  expertsPerToken: number;
  intermediateSize: number;
}

export interface ProgramLimits {
  /** Most tokens in one step. */
  maxBatchedTokens: number;
  /** Most sequences on the rank, running or parked: rows of persistent state. */
  maxSequences: number;
  /** Most tokens of one sequence, prompt and output together. */
  maxSeqLen: number;
  /** Tokens per KV block; a power of two. */
  blockSize: number;
  /** KV blocks of the pool, the null block 0 included. */
  numBlocks: number;
}

/** Rotary frequencies as `rope_table` uses them: angle = float32(position) * float32(invFreq[d]). */
export interface RopeTable {
  /** headDim / 2 numbers. */
  invFreq: number[];
  /** YaRN's factor on cos and sin. */
  attentionScaling: number;
}

export interface KvGroup {
  kind: "full" | "sliding";
  /** Keys a query sees, itself included; 0 means all. */
  window: number;
  /** Model layers whose KV lives in this group, in order. */
  layers: number[];
}

/** bf16 and mxfp4 occur in checkpoints; f32 and i32 in buffers and vectors; u8 holds packed codes. */
export type Dtype = "bf16" | "mxfp4" | "f32" | "i32" | "u8";

/** One tensor of the weights arena, assembled from slices of checkpoint tensors. */
export interface WeightTensor {
  name: string;
  /**
   * matrix: packed by the kernel that uses it. vector: plain float32, `rows` elements per expert (norms, biases, sinks).
   */
  role: "matrix" | "vector";
  sourceDtype: "bf16" | "mxfp4";
  /** mxfp4 stays packed unless the cluster says `dequantize: true`, which stores bf16. */
  storedDtype: "bf16" | "mxfp4" | "f32";
  /** Local experts; 1 for weights without experts. */
  numExperts: number;
  /** Output features (per expert). */
  rows: number;
  /** Input features; 1 for vectors. */
  cols: number;
  sources: WeightSource[];
}

/** A slice of one checkpoint tensor and the row of the weight where it goes. Ranges are [begin, end) in elements. */
export interface WeightSource {
  /** Checkpoint name; for mxfp4 the `_blocks` tensor. */
  tensor: string;
  /** The `_scales` tensor of mxfp4, else null. */
  scales: string | null;
  /**
   * Whole shape in the checkpoint, in logical elements: [rows, cols], [experts, rows, cols], [rows] or [experts, rows].
   * For mxfp4 the stored blocks are [experts, rows, cols / 32, 16] U8 and the scales [experts, rows, cols / 32] U8.
   */
  shape: number[];
  experts: [number, number];
  rows: [number, number];
  cols: [number, number];
  dstRow: number;
}

/** A region of the workspace arena: `rows` many rows of `cols` elements. */
export interface BufferSpec {
  name: string;
  /** What the row count of a step is: scheduled tokens, or rows whose logits are wanted. */
  rows: "tokens" | "logits";
  cols: number;
  dtype: "f32" | "i32" | "u8";
}

/**
 * Names are buffers (`x`, `out`, …) and weights (`weight`, `bias`, …); `layer` is a model layer among those of the KV
 * group. The meaning of each op is in kernel.h.
 */
export type Op =
  | { op: "rope_table"; out: string }
  | { op: "embed"; weight: string; out: string }
  | { op: "rms_norm"; x: string; weight: string; out: string; eps: number }
  | { op: "linear"; x: string; weight: string; bias: string | null; out: string; accumulate: boolean }
  | { op: "rope_kv_write"; qkv: string; rope: string; group: number; layer: number }
  | {
      op: "attention";
      qkv: string;
      sinks: string | null;
      out: string;
      group: number;
      layer: number;
      window: number;
      scale: number;
    }
  | { op: "router"; x: string; weight: string; bias: string | null; expertIds: string; expertWeights: string }
  | {
      op: "experts";
      x: string;
      expertIds: string;
      gateUp: string;
      gateUpBias: string | null;
      down: string;
      downBias: string | null;
      out: string;
      alpha: number;
      limit: number;
    }
  | { op: "combine"; x: string; expertWeights: string; out: string }
  | { op: "gather_rows"; x: string; out: string }
  | { op: "sample"; logits: string }
  | { op: "mxfp4_decode"; blocks: string; scales: string; out: string }
  | { op: "mxfp4_encode"; x: string; blocks: string; scales: string };

export type OpName = Op["op"];
