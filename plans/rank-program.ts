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
  /** What runs when every rank holds every token's hidden states (replicated); empty where some ranks run experts only. */
  ops: ProgramOp[];
  /** What runs when each token owner holds its own tokens' (sharded); null in a world of one rank. */
  shardedOps: ProgramOp[] | null;
  /** Sets of ranks, ascending, that collectives name by index; 0 is the world. */
  groups: number[][];
  /**
   * Ranks that run attention, ascending. With n owners, owner i has tokens [floor(T i / n), floor(T (i + 1) / n)) of a step
   * of T tokens, the step's first tokens first.
   */
  tokenOwners: number[];
}

export type Precision = "exact" | "fast";

/** Sizes of this rank's share; a head, expert or vocabulary row held by other ranks does not count. */
export interface ProgramDims {
  hiddenSize: number;
  vocabSize: number;
  headDim: number;
  numHeads: number;
  numKvHeads: number;
  numExperts: number;
  expertsPerToken: number;
  intermediateSize: number;
  /** Experts of the model; router ids go up to it. */
  numGlobalExperts: number;
  /** Global ids of the local experts, ascending: local expert i is localExperts[i]. */
  localExperts: number[];
  /** For every global expert the ranks that hold it, ascending; more than one when experts are cut (their outputs add up). */
  expertRanks: number[][];
  /** By world rank, 0 where it has none: its heads, and units of each of its experts. Ranks read shared rows in this ratio. */
  rankHeads: number[];
  rankIntermediateSizes: number[];
  /** Vocabulary of the model, and the first id of this rank's rows of lm_head. */
  globalVocabSize: number;
  vocabBegin: number;
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
  /** Ids along the first axis of the checkpoint tensor, in the order of the local experts; [0] without experts. */
  experts: number[];
  rows: [number, number];
  /** Narrower than the tensor where it is cut along its inputs; a multiple of 32 for mxfp4. */
  cols: [number, number];
  dstRow: number;
}

/** A region of the workspace arena: `rows` many rows of `cols` elements. */
export interface BufferSpec {
  name: string;
  /**
   * What the row count of a step is: scheduled tokens; those of them that this rank owns; rows that dispatch brought here (at
   * most one per token); rows whose logits are wanted.
   */
  rows: "tokens" | "own" | "received" | "logits";
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
  | { op: "add"; x: string; out: string }
  | { op: "sample"; logits: string }
  | { op: "mxfp4_decode"; blocks: string; scales: string; out: string }
  | { op: "mxfp4_encode"; x: string; blocks: string; scales: string };

/**
 * Moving rows between ranks and row domains; the communicator does them, no kernel. All ranks of the group reach them in the
 * same order. Buffers are named as in Op; sums are in rank order.
 *
 *   all_reduce      x (any rows) becomes the sum over the group
 *   reduce_scatter  out (own) = this rank's rows of the sum of x (tokens) over the group
 *   all_gather      out (tokens) = the owners' x (own), in token order; expert-only ranks receive too
 *   own_rows        out (own) = this rank's rows of x (tokens); no traffic
 *   exchange_slots  replicated experts: y (tokens) gets the slots that other ranks computed; a slot of a cut expert is the sum
 *                   over that expert's ranks. Afterwards y is complete and equal on every rank
 *   dispatch        sends each own row of x to every rank that holds one of its experts, once per (row, rank), with its ids;
 *                   out (received) gets the rows in the order (sender rank, token), outIds (received) the ids, -1 in slots
 *                   that this rank does not hold
 *   collect         the way back: y (own) gets each slot's output from the rank that computed it, summed over a cut expert's ranks
 *   gather_logits_rows  like gather_rows for x (own): out (logits) complete on every rank
 */
export type CollectiveOp =
  | { op: "all_reduce"; x: string; group: number }
  | { op: "reduce_scatter"; x: string; out: string; group: number }
  | { op: "all_gather"; x: string; out: string; group: number }
  | { op: "own_rows"; x: string; out: string }
  | { op: "exchange_slots"; y: string; expertIds: string; group: number }
  | { op: "dispatch"; x: string; expertIds: string; out: string; outIds: string; group: number }
  | { op: "collect"; x: string; expertIds: string; out: string; group: number }
  | { op: "gather_logits_rows"; x: string; out: string; group: number };

export type ProgramOp = Op | CollectiveOp;

export type OpName = ProgramOp["op"];
