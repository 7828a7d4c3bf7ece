import { countKernels, type KernelOfOps } from "./bound-kernels.js";
import { renderExplanation } from "./explain-text.js";
import type { DefaultValue } from "./cluster-spec-defaults.js";
import { USUAL_SEQ_LEN } from "./cost.js";
import { blocksOfGroup } from "./kv-groups.js";
import type { Choice } from "./memory.js";
import type { Dtype, ProgramOp, RankProgram, WeightTensor } from "./rank-program.js";
import { checkpointBytes, classOf, TENSOR_CLASSES, type TensorClass } from "./tensor-class.js";

/** What an engine says about a program: the part of native's ProgramDescription that is explained. */
export interface EngineSizes {
  weightsBytes: number;
  kvBytes: number;
  kvBlockBytes: number;
  workspaceBytes: number;
  /** In the program's order. */
  weights: { name: string; bytes: number }[];
  kernels: KernelOfOps[];
}

export interface ExplainInput {
  /** As it is to be called. */
  modelName: string;
  program: RankProgram;
  sizes: EngineSizes;
  /** Of the same program with the other value of `dequantize`; null where that was not asked. */
  otherSizes: EngineSizes | null;
  /** Whether `program` stores MXFP4 experts as bf16. */
  dequantize: boolean;
  choices: readonly Choice[];
  defaults: readonly DefaultValue[];
  /** Of the rank's memory, for the bound on speed; null when unknown. */
  readBytesPerSecond: number | null;
}

/** Field names are those of the JSON result. Bytes are those of the rank; counts are per step unless they say. */
export interface Explanation {
  model: string;
  rank: number;
  world_size: number;
  precision: string;
  limits: {
    max_batched_tokens: number;
    max_sequences: number;
    max_seq_len: number;
    block_size: number;
    num_blocks: number;
  };
  /** Stored bytes, packed as the kernels want them. */
  tensors: { class: TensorClass; dtype: Dtype; num_tensors: number; bytes: number }[];
  /** Of the rank's slices in the checkpoint: what it reads at load. */
  checkpoint_bytes: number;
  arenas: { weights_bytes: number; kv_bytes: number; workspace_bytes: number; total_bytes: number };
  kv_groups: KvGroupExplanation[];
  kv_block_bytes: number;
  dequantize: { value: boolean; weights_bytes: number; other_weights_bytes: number; difference_bytes: number } | null;
  decode: DecodeExplanation;
  /** In the order of their first use. */
  kernels: (KernelOfOps & { count: number })[];
  /** With replicated tokens, and with sharded ones; empty where the program has no such ops. */
  ops: OpCount[];
  sharded_ops: OpCount[];
  choices: Choice[];
  defaults: DefaultValue[];
}

export interface OpCount {
  op: string;
  per_layer: number;
  per_step: number;
}

export interface KvGroupExplanation {
  kind: string;
  window: number;
  num_layers: number;
  /** Layers a block has room for but this group does not use: blocks are sized for the largest group. */
  num_padding_layers: number;
  bytes_per_token: number;
  max_blocks_per_sequence: number;
  max_bytes_per_sequence: number;
}

/** One decoded token of one sequence alone: what must be read, and how often a second that can be at most. */
export interface DecodeExplanation {
  seq_len: number;
  weights_bytes: number;
  kv_bytes: number;
  total_bytes: number;
  read_bytes_per_second: number | null;
  tokens_per_second_max: number | null;
}

/** A program with its sizes, for a person (`text`) and for a program (`json`). Pure; nothing is measured here. */
export function explainPlan(input: ExplainInput): { json: Explanation; text: string } {
  const json = explanationOf(input);
  return { json, text: renderExplanation(json) };
}

function explanationOf(input: ExplainInput): Explanation {
  const { program, sizes } = input;
  const { limits } = program;
  const { weightsBytes, kvBytes, workspaceBytes } = sizes;
  return {
    model: input.modelName,
    rank: program.rank,
    world_size: program.worldSize,
    precision: program.precision,
    limits: {
      max_batched_tokens: limits.maxBatchedTokens,
      max_sequences: limits.maxSequences,
      max_seq_len: limits.maxSeqLen,
      block_size: limits.blockSize,
      num_blocks: limits.numBlocks,
    },
    tensors: tensorClasses(program, sizes),
    checkpoint_bytes: program.weights.reduce((sum, weight) => sum + checkpointBytes(weight), 0),
    arenas: {
      weights_bytes: weightsBytes,
      kv_bytes: kvBytes,
      workspace_bytes: workspaceBytes,
      total_bytes: weightsBytes + kvBytes + workspaceBytes,
    },
    kv_groups: kvGroups(program, sizes),
    kv_block_bytes: sizes.kvBlockBytes,
    dequantize: dequantizeDifference(input),
    decode: decodeBytes(program, sizes, input.readBytesPerSecond),
    kernels: kernelCounts(sizes),
    ops: opCounts(program.ops, program),
    sharded_ops: opCounts(program.shardedOps ?? [], program),
    choices: [...input.choices],
    defaults: [...input.defaults],
  };
}

function tensorClasses(program: RankProgram, sizes: EngineSizes): Explanation["tensors"] {
  const rows = new Map<string, Explanation["tensors"][number]>();
  program.weights.forEach((weight, index) => {
    const [kind, dtype] = [classOf(weight), weight.storedDtype];
    const row = rows.get(`${kind} ${dtype}`) ?? { class: kind, dtype, num_tensors: 0, bytes: 0 };
    row.num_tensors++;
    row.bytes += sizes.weights[index]?.bytes ?? 0;
    rows.set(`${kind} ${dtype}`, row);
  });
  return [...rows.values()].toSorted((a, b) => TENSOR_CLASSES.indexOf(a.class) - TENSOR_CLASSES.indexOf(b.class));
}

/** Bytes of keys and values of one token in one layer: float32 for both, in precision fast bf16. */
function kvBytesPerLayer({ dims, precision }: RankProgram): number {
  return 2 * dims.numKvHeads * dims.headDim * (precision === "exact" ? 4 : 2);
}

function kvGroups(program: RankProgram, sizes: EngineSizes): KvGroupExplanation[] {
  const { limits } = program;
  const mostLayers = Math.max(...program.kvGroups.map(({ layers }) => layers.length));
  return program.kvGroups.map((group) => {
    const numBlocks = blocksOfGroup(group, limits.maxSeqLen, limits);
    return {
      kind: group.kind,
      window: group.window,
      num_layers: group.layers.length,
      num_padding_layers: mostLayers - group.layers.length,
      bytes_per_token: group.layers.length * kvBytesPerLayer(program),
      max_blocks_per_sequence: numBlocks,
      max_bytes_per_sequence: numBlocks * sizes.kvBlockBytes,
    };
  });
}

function dequantizeDifference({ sizes, otherSizes, dequantize }: ExplainInput): Explanation["dequantize"] {
  if (otherSizes === null) return null;
  const other = otherSizes.weightsBytes;
  const difference = Math.abs(sizes.weightsBytes - other);
  return {
    value: dequantize,
    weights_bytes: sizes.weightsBytes,
    other_weights_bytes: other,
    difference_bytes: difference,
  };
}

function decodeBytes(program: RankProgram, sizes: EngineSizes, readBytesPerSecond: number | null): DecodeExplanation {
  const { dims, limits } = program;
  const seqLen = Math.min(USUAL_SEQ_LEN, limits.maxSeqLen);
  const weightsBytes = program.weights.reduce((sum, weight, index) => {
    return sum + (sizes.weights[index]?.bytes ?? 0) * shareRead(weight, dims);
  }, 0);
  const ops = program.ops.length > 0 ? program.ops : (program.shardedOps ?? []);
  const kvBytes = ops.reduce((sum, op) => {
    if (op.op !== "attention") return sum;
    return sum + (op.window === 0 ? seqLen : Math.min(op.window, seqLen)) * kvBytesPerLayer(program);
  }, 0);
  const totalBytes = Math.round(weightsBytes) + kvBytes;
  return {
    seq_len: seqLen,
    weights_bytes: Math.round(weightsBytes),
    kv_bytes: kvBytes,
    total_bytes: totalBytes,
    read_bytes_per_second: readBytesPerSecond,
    tokens_per_second_max: readBytesPerSecond === null ? null : readBytesPerSecond / totalBytes,
  };
}

/** The part of a weight that one token reads: one row of the embedding, the chosen experts, all of the rest. */
function shareRead(weight: WeightTensor, dims: RankProgram["dims"]): number {
  const kind = classOf(weight);
  if (kind === "embedding") return 1 / weight.rows;
  return kind === "experts" ? dims.expertsPerToken / dims.numGlobalExperts : 1;
}

function kernelCounts({ kernels }: EngineSizes): Explanation["kernels"] {
  return countKernels(kernels.map(({ ops, package: name, kernel }) => ({ ops, package: name, kernel })));
}

/** Ops of the frame around the layers (the last norm, the head) are what `per_step` has beyond layers x `per_layer`. */
function opCounts(ops: readonly ProgramOp[], program: RankProgram): OpCount[] {
  const counts = new Map<string, number>();
  for (const { op } of ops) counts.set(op, (counts.get(op) ?? 0) + 1);
  const numLayers = program.kvGroups.reduce((sum, { layers }) => sum + layers.length, 0);
  return [...counts].map(([op, count]) => ({ op, per_layer: Math.floor(count / numLayers), per_step: count }));
}
