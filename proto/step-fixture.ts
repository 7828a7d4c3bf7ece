import { GREEDY_SAMPLING, type RowSampling, type StepPlan, type StepResult } from "./step.js";

/** The likeliest token, whatever came before; at most 16 tokens in all. For tests. */
export const GREEDY: RowSampling = { ...GREEDY_SAMPLING, seed: 1, maxSeqLen: 16 };

const EMPTY = new Int32Array();
const FLOATS = new Float32Array();

/** A step in which nothing is computed. */
export function planOf(epoch: number, stepId: number, fields: Partial<StepPlan> = {}): StepPlan {
  return {
    epoch,
    stepId,
    numGrantedSteps: 0,
    followsStepId: 0,
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
    masks: EMPTY,
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
    runsOn: false,
  };
}
