import type { RowSampling, StepPlan, StepResult } from "./step.js";

/** The likeliest token, whatever came before; at most 16 tokens in all. For tests. */
export const GREEDY: RowSampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  seed: 1,
  maxSeqLen: 16,
  minSeqLen: 0,
  stopTokenIds: [],
  logitBias: [],
  numTopLogprobs: -1,
};

const EMPTY = new Int32Array();
const FLOATS = new Float32Array();

/** A step in which nothing is computed. */
export function planOf(epoch: number, stepId: number, fields: Partial<StepPlan> = {}): StepPlan {
  return {
    epoch,
    stepId,
    numGrantedSteps: 0,
    tokenPlacement: "replicated",
    tokenIds: EMPTY,
    positions: EMPTY,
    seqRows: EMPTY,
    queryStarts: EMPTY,
    seqLens: EMPTY,
    outputs: EMPTY,
    newRows: [],
    blockDeltas: [],
    finishedRows: EMPTY,
    ...fields,
  };
}

/** Of a step in which nothing was computed. */
export function resultOf(epoch: number, stepId: number): StepResult {
  return {
    epoch,
    stepId,
    seqRows: EMPTY,
    tokenIds: EMPTY,
    finishes: EMPTY,
    logprobs: FLOATS,
    numTopLogprobs: 0,
    topTokenIds: EMPTY,
    topLogprobs: FLOATS,
    logits: FLOATS,
    engineUs: 1,
  };
}
