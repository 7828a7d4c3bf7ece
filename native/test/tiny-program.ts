import type { BufferSpec, Op, RankProgram, WeightTensor } from "../../plans/rank-program.js";

const HIDDEN = 64;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD_DIM = 16;
const QKV = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
const EXPERTS = 4;
const EXPERTS_PER_TOKEN = 2;
const INTERMEDIATE = 32;
const EXPERT_IDS = Array.from({ length: EXPERTS }, (_, expert) => expert);

/** Vocabulary of the tiny program. */
export const TINY_VOCAB = 128;

/**
 * For tests: a gpt-oss program of two layers (0 slides over 8 keys, 1 sees all), small enough for every kernel and every
 * test. 64 blocks of 4 tokens, 16 tokens a step, 4 rows of up to 28 tokens.
 */
export function tinyProgram(): RankProgram {
  return {
    rank: 0,
    worldSize: 1,
    precision: "exact",
    dims: {
      hiddenSize: HIDDEN,
      vocabSize: TINY_VOCAB,
      headDim: HEAD_DIM,
      numHeads: HEADS,
      numKvHeads: KV_HEADS,
      numExperts: EXPERTS,
      expertsPerToken: EXPERTS_PER_TOKEN,
      intermediateSize: INTERMEDIATE,
      numGlobalExperts: EXPERTS,
      localExperts: EXPERT_IDS,
      expertRanks: EXPERT_IDS.map(() => [0]),
      rankHeads: [HEADS],
      rankIntermediateSizes: [INTERMEDIATE],
      globalVocabSize: TINY_VOCAB,
      vocabBegin: 0,
    },
    limits: { maxBatchedTokens: 16, maxSequences: 4, maxSeqLen: 28, blockSize: 4, numBlocks: 64 },
    rope: {
      invFreq: Array.from({ length: HEAD_DIM / 2 }, (_, i) => 10000 ** (-i / (HEAD_DIM / 2))),
      attentionScaling: 1,
    },
    kvGroups: [
      { kind: "full", window: 0, layers: [1] },
      { kind: "sliding", window: 8, layers: [0] },
    ],
    weights: [
      matrix("embed", TINY_VOCAB, HIDDEN),
      ...[0, 1].flatMap(layerWeights),
      vector("norm", HIDDEN),
      matrix("lm_head", TINY_VOCAB, HIDDEN),
    ],
    buffers: BUFFERS.map((buffer) => ({ ...buffer })),
    ops: [
      { op: "rope_table", out: "rope" },
      { op: "embed", weight: "embed", out: "x" },
      ...layerOps(0, 1, 8),
      ...layerOps(1, 0, 0),
      { op: "gather_rows", x: "x", out: "xl" },
      { op: "rms_norm", x: "xl", weight: "norm", out: "hl", eps: 1e-5 },
      { op: "linear", x: "hl", weight: "lm_head", bias: null, out: "logits", accumulate: false },
      { op: "sample", logits: "logits" },
    ],
    shardedOps: null,
    groups: [[0]],
    tokenOwners: [0],
  };
}

const BUFFERS: readonly BufferSpec[] = [
  { name: "rope", rows: "tokens", cols: HEAD_DIM, dtype: "f32" },
  { name: "x", rows: "tokens", cols: HIDDEN, dtype: "f32" },
  { name: "h", rows: "tokens", cols: HIDDEN, dtype: "f32" },
  { name: "qkv", rows: "tokens", cols: QKV, dtype: "f32" },
  { name: "attn", rows: "tokens", cols: HEADS * HEAD_DIM, dtype: "f32" },
  { name: "expert_ids", rows: "tokens", cols: EXPERTS_PER_TOKEN, dtype: "i32" },
  { name: "expert_weights", rows: "tokens", cols: EXPERTS_PER_TOKEN, dtype: "f32" },
  { name: "y", rows: "tokens", cols: EXPERTS_PER_TOKEN * HIDDEN, dtype: "f32" },
  { name: "xl", rows: "logits", cols: HIDDEN, dtype: "f32" },
  { name: "hl", rows: "logits", cols: HIDDEN, dtype: "f32" },
  { name: "logits", rows: "logits", cols: TINY_VOCAB, dtype: "f32" },
];

function layerWeights(layer: number): WeightTensor[] {
  const name = (part: string): string => `${layer}.${part}`;
  return [
    vector(name("attn_norm"), HIDDEN),
    matrix(name("qkv"), QKV, HIDDEN),
    vector(name("qkv_bias"), QKV),
    vector(name("sinks"), HEADS),
    matrix(name("o"), HIDDEN, HEADS * HEAD_DIM),
    vector(name("o_bias"), HIDDEN),
    vector(name("mlp_norm"), HIDDEN),
    matrix(name("router"), EXPERTS, HIDDEN),
    vector(name("router_bias"), EXPERTS),
    { ...matrix(name("gate_up"), 2 * INTERMEDIATE, HIDDEN, EXPERTS), sourceDtype: "mxfp4", storedDtype: "mxfp4" },
    vector(name("gate_up_bias"), 2 * INTERMEDIATE, EXPERTS),
    { ...matrix(name("down"), HIDDEN, INTERMEDIATE, EXPERTS), sourceDtype: "mxfp4", storedDtype: "mxfp4" },
    vector(name("down_bias"), HIDDEN, EXPERTS),
  ];
}

function layerOps(layer: number, group: number, window: number): Op[] {
  const name = (part: string): string => `${layer}.${part}`;
  return [
    { op: "rms_norm", x: "x", weight: name("attn_norm"), out: "h", eps: 1e-5 },
    { op: "linear", x: "h", weight: name("qkv"), bias: name("qkv_bias"), out: "qkv", accumulate: false },
    { op: "rope_kv_write", qkv: "qkv", rope: "rope", group, layer },
    { op: "attention", qkv: "qkv", sinks: name("sinks"), out: "attn", group, layer, window, scale: HEAD_DIM ** -0.5 },
    { op: "linear", x: "attn", weight: name("o"), bias: name("o_bias"), out: "x", accumulate: true },
    { op: "rms_norm", x: "x", weight: name("mlp_norm"), out: "h", eps: 1e-5 },
    {
      op: "router",
      x: "h",
      weight: name("router"),
      bias: name("router_bias"),
      expertIds: "expert_ids",
      expertWeights: "expert_weights",
    },
    {
      op: "experts",
      x: "h",
      expertIds: "expert_ids",
      gateUp: name("gate_up"),
      gateUpBias: name("gate_up_bias"),
      down: name("down"),
      downBias: name("down_bias"),
      out: "y",
      alpha: 1.702,
      limit: 7,
    },
    { op: "combine", x: "y", expertWeights: "expert_weights", out: "x" },
  ];
}

function matrix(name: string, rows: number, cols: number, numExperts = 1): WeightTensor {
  return {
    name,
    role: "matrix",
    sourceDtype: "bf16",
    storedDtype: "bf16",
    numExperts,
    rows,
    cols,
    sources: [
      {
        tensor: name,
        scales: null,
        shape: [numExperts, rows, cols],
        experts: Array.from({ length: numExperts }, (_, expert) => expert),
        rows: [0, rows],
        cols: [0, cols],
        dstRow: 0,
      },
    ],
  };
}

function vector(name: string, rows: number, numExperts = 1): WeightTensor {
  return { ...matrix(name, rows, 1, numExperts), role: "vector", storedDtype: "f32" };
}
