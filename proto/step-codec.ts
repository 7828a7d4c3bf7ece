/** StepPlan and StepResult to and from their wire columns. Everything that arrives is checked for shape, not for meaning. */
import { endianness } from "node:os";
import { MoesaicError, assert } from "./errors.js";
import { v1 } from "./messages.js";
import type { NewRow, RowSampling, StepPlan, StepResult, TokenPlacement } from "./step.js";

assert(endianness() === "LE", "columns are little-endian and are not swapped: a big-endian host cannot run");

export function encodeStepPlan(plan: StepPlan): v1.StepPlanColumns.$Properties {
  return {
    epoch: plan.epoch,
    step_id: plan.stepId,
    num_granted_steps: plan.numGrantedSteps,
    follows_step_id: plan.followsStepId,
    token_ids: toBytes(plan.tokenIds),
    positions: toBytes(plan.positions),
    seq_rows: toBytes(plan.seqRows),
    query_starts: toBytes(plan.queryStarts),
    seq_lens: toBytes(plan.seqLens),
    outputs: toBytes(plan.outputs),
    new_rows: plan.newRows.map(encodeNewRow),
    block_deltas: plan.blockDeltas.map(toBytes),
    finished_rows: toBytes(plan.finishedRows),
    token_placement: plan.tokenPlacement,
    masks: toBytes(plan.masks),
  };
}

/** @throws MoesaicError invalid_argument naming the column */
export function decodeStepPlan(columns: v1.StepPlanColumns.$Properties): StepPlan {
  return {
    epoch: columns.epoch ?? 0,
    stepId: columns.step_id ?? 0,
    numGrantedSteps: columns.num_granted_steps ?? 0,
    followsStepId: columns.follows_step_id ?? 0,
    tokenPlacement: decodePlacement(columns.token_placement),
    tokenIds: toInt32(columns.token_ids, "token_ids"),
    positions: toInt32(columns.positions, "positions"),
    seqRows: toInt32(columns.seq_rows, "seq_rows"),
    queryStarts: toInt32(columns.query_starts, "query_starts"),
    seqLens: toInt32(columns.seq_lens, "seq_lens"),
    outputs: toInt32(columns.outputs, "outputs"),
    newRows: (columns.new_rows ?? []).map(decodeNewRow),
    blockDeltas: (columns.block_deltas ?? []).map((bytes, group) => toInt32(bytes, `block_deltas[${group}]`)),
    finishedRows: toInt32(columns.finished_rows, "finished_rows"),
    masks: toInt32(columns.masks, "masks"),
  };
}

export function encodeStepResult(result: StepResult): v1.StepResultColumns.$Properties {
  return {
    epoch: result.epoch,
    step_id: result.stepId,
    seq_rows: toBytes(result.seqRows),
    token_ids: toBytes(result.tokenIds),
    finishes: toBytes(result.finishes),
    logprobs: toBytes(result.logprobs),
    num_top_logprobs: result.numTopLogprobs,
    top_token_ids: toBytes(result.topTokenIds),
    top_logprobs: toBytes(result.topLogprobs),
    logits: toBytes(result.logits),
    engine_us: result.engineUs,
    runs_on: result.runsOn,
  };
}

/** @throws MoesaicError invalid_argument naming the column */
export function decodeStepResult(columns: v1.StepResultColumns.$Properties): StepResult {
  return {
    epoch: columns.epoch ?? 0,
    stepId: columns.step_id ?? 0,
    seqRows: toInt32(columns.seq_rows, "seq_rows"),
    tokenIds: toInt32(columns.token_ids, "token_ids"),
    finishes: toInt32(columns.finishes, "finishes"),
    logprobs: toFloat32(columns.logprobs, "logprobs"),
    numTopLogprobs: columns.num_top_logprobs ?? 0,
    topTokenIds: toInt32(columns.top_token_ids, "top_token_ids"),
    topLogprobs: toFloat32(columns.top_logprobs, "top_logprobs"),
    logits: toFloat32(columns.logits, "logits"),
    engineUs: columns.engine_us ?? 0,
    runsOn: columns.runs_on ?? false,
  };
}

/** Absent is what a coordinator of before sends, and it meant one rank. */
function decodePlacement(placement: string | null | undefined): TokenPlacement {
  if (placement === "replicated" || placement === "sharded") return placement;
  if (placement === "" || placement === null || placement === undefined) return "replicated";
  throw new MoesaicError("invalid_argument", `token_placement: wanted replicated or sharded, got ${placement}`);
}

function encodeNewRow(row: NewRow): v1.NewRowMessage.$Properties {
  const { sampling } = row;
  return {
    row: row.row,
    seq_id: row.seqId,
    num_prompt_tokens: row.numPromptTokens,
    sampling: {
      temperature: sampling.temperature,
      top_k: sampling.topK,
      top_p: sampling.topP,
      min_p: sampling.minP,
      presence_penalty: sampling.presencePenalty,
      frequency_penalty: sampling.frequencyPenalty,
      repetition_penalty: sampling.repetitionPenalty,
      seed: sampling.seed,
      max_seq_len: sampling.maxSeqLen,
      min_seq_len: sampling.minSeqLen,
      stop_token_ids: sampling.stopTokenIds,
      bias_token_ids: sampling.logitBias.map((entry) => entry.tokenId),
      bias_values: sampling.logitBias.map((entry) => entry.bias),
      num_top_logprobs: sampling.numTopLogprobs,
    },
  };
}

function decodeNewRow(row: v1.NewRowMessage.$Properties): NewRow {
  return {
    row: row.row ?? 0,
    seqId: row.seq_id ?? 0,
    numPromptTokens: row.num_prompt_tokens ?? 0,
    sampling: decodeSampling(row.sampling ?? {}),
  };
}

function decodeSampling(sampling: v1.RowSamplingMessage.$Properties): RowSampling {
  const values = sampling.bias_values ?? [];
  const ids = sampling.bias_token_ids ?? [];
  if (values.length !== ids.length) {
    throw new MoesaicError("invalid_argument", `bias_values: wanted ${ids.length} values, got ${values.length}`);
  }
  return {
    temperature: sampling.temperature ?? 0,
    topK: sampling.top_k ?? 0,
    topP: sampling.top_p ?? 0,
    minP: sampling.min_p ?? 0,
    presencePenalty: sampling.presence_penalty ?? 0,
    frequencyPenalty: sampling.frequency_penalty ?? 0,
    repetitionPenalty: sampling.repetition_penalty ?? 0,
    seed: sampling.seed ?? 0,
    maxSeqLen: sampling.max_seq_len ?? 0,
    minSeqLen: sampling.min_seq_len ?? 0,
    stopTokenIds: sampling.stop_token_ids ?? [],
    logitBias: ids.map((tokenId, index) => ({ tokenId, bias: values[index]! })),
    numTopLogprobs: sampling.num_top_logprobs ?? 0,
  };
}

function toBytes(column: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}

function toInt32(bytes: Uint8Array | null | undefined, name: string): Int32Array {
  return new Int32Array(alignedBuffer(bytes, name));
}

function toFloat32(bytes: Uint8Array | null | undefined, name: string): Float32Array {
  return new Float32Array(alignedBuffer(bytes, name));
}

/** A copy of its own: gRPC hands out views into larger buffers at any offset, typed arrays want multiples of four. */
function alignedBuffer(bytes: Uint8Array | null | undefined, name: string): ArrayBuffer {
  if (bytes === null || bytes === undefined) return new ArrayBuffer(0);
  if (bytes.byteLength % 4 !== 0) {
    throw new MoesaicError("invalid_argument", `${name}: wanted a multiple of 4 bytes, got ${bytes.byteLength}`);
  }
  return new Uint8Array(bytes).buffer;
}
