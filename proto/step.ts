/**
 * The two messages of every step, as typed arrays. The scheduler makes a StepPlan, the lead rank's engine answers with a
 * StepResult. On the wire each column is little-endian int32 `bytes` (rank.proto); `step-codec.ts` converts.
 */
export interface StepPlan {
  epoch: number;
  /** Rises within an epoch: by one, and by one more for each granted step of the plan before, run or not. */
  stepId: number;
  /**
   * Further steps that the lead may run without a new plan, each with the next id, at most RUN_AHEAD_MAX: every row decodes the
   * token that it sampled last and samples the next. All rows of the plan sample, and have blocks for that. 0: none.
   */
  numGrantedSteps: number;
  /** The plan is void, and nothing of it is run, unless this was the last step to run. 0: it is run after whatever was. */
  followsStepId: number;
  /** Which ranks hold this step's hidden states. */
  tokenPlacement: TokenPlacement;

  /** (numTokens) token id, or LAST_SAMPLED: the token that row sampled last. */
  tokenIds: Int32Array;
  /** (numTokens) 0-based position in the sequence. */
  positions: Int32Array;

  /** (numSeqs) persistent row of each sequence of the batch. */
  seqRows: Int32Array;
  /** (numSeqs + 1) first token of each sequence in `tokenIds`; the last entry is numTokens. */
  queryStarts: Int32Array;
  /** (numSeqs) tokens of the sequence that have KV after this step. */
  seqLens: Int32Array;
  /** (numSeqs) an OUTPUT_* value. */
  outputs: Int32Array;

  /** Rows that begin with this step, in any order; a row is new again after it finished. */
  newRows: NewRow[];
  /**
   * Per KV group, records of [row, first table index, count, block ids…]: entries to write into the rows' block tables
   * before the step. Entries behind a sliding window are never read again and need no record. Rows may share blocks that are
   * full, also one that a sequence earlier in this plan fills: in every layer keys and values are written before any is read.
   */
  blockDeltas: Int32Array[];
  /** Rows that ended since the last plan; the engine forgets them before the step. */
  finishedRows: Int32Array;
  /**
   * Records of [row, form, count, words…]: which tokens these rows may sample, from this step on until the row has another
   * mask or ends. A new row may sample all; a row that has a mask keeps having one.
   */
  masks: Int32Array;
}

/** The plan of the granted step after a plan's: every row decodes the token that it sampled last. */
export function grantedPlan(plan: StepPlan): StepPlan {
  const numSeqs = plan.seqRows.length;
  return {
    ...plan,
    stepId: plan.stepId + 1,
    numGrantedSteps: plan.numGrantedSteps - 1,
    followsStepId: plan.stepId,
    tokenIds: new Int32Array(numSeqs).fill(LAST_SAMPLED),
    positions: plan.seqLens,
    queryStarts: Int32Array.from({ length: numSeqs + 1 }, (_, index) => index),
    seqLens: plan.seqLens.map((seqLen) => seqLen + 1),
    newRows: [],
    blockDeltas: plan.blockDeltas.map(() => new Int32Array(0)),
    finishedRows: new Int32Array(0),
    masks: new Int32Array(0),
  };
}

/** Which tokens may be sampled, in the form of a mask record. At least one is. */
export interface TokenMask {
  form: typeof MASK_IDS | typeof MASK_BITS;
  words: Int32Array;
}

/** The words of a mask are the allowed token ids, rising. */
export const MASK_IDS = 0;
/** The words of a mask are ceil(vocab / 32) times 32 bits, the lowest first, 1 for a token that is allowed. */
export const MASK_BITS = 1;

/** replicated: every rank holds every token's hidden states; sharded: each token has one owner. */
export type TokenPlacement = "replicated" | "sharded";

export const LAST_SAMPLED = -1;
/** Nothing: a chunk of a prefill that is not its last. */
export const OUTPUT_NONE = 0;
/** Sample after the sequence's last scheduled token. */
export const OUTPUT_SAMPLE = 1;
/** Return the logits after every scheduled token; sample nothing. */
export const OUTPUT_LOGITS = 2;

/** Most steps that may be on their way beyond the one that runs, granted ones included. */
export const RUN_AHEAD_MAX = 64;

/** Block 0 is never owned; tables are filled with it where nothing is. */
export const NULL_BLOCK_ID = 0;

export interface NewRow {
  row: number;
  seqId: number;
  /** Tokens of the original prompt; what follows in a replay is output, as penalties and minOutputTokens see it. */
  numPromptTokens: number;
  sampling: RowSampling;
}

/** Sampling of one row with every default filled in. */
export interface RowSampling {
  /** 0 is greedy. */
  temperature: number;
  /** 0 is off. */
  topK: number;
  /** 1 is off. */
  topP: number;
  /** 0 is off. */
  minP: number;
  presencePenalty: number;
  frequencyPenalty: number;
  /** 1 is off. */
  repetitionPenalty: number;
  /** Non-negative safe integer. The token at a position depends on it, the position and the logits alone. */
  seed: number;
  /** The sequence ends with finish reason length when it has this many tokens, prompt and outputs together. */
  maxSeqLen: number;
  /** Stop ids cannot be sampled before the sequence has this many tokens. */
  minSeqLen: number;
  /** Sampling one of these ends the sequence with finish reason stop. */
  stopTokenIds: number[];
  logitBias: { tokenId: number; bias: number }[];
  /** Best alternatives to report per token; -1: not even the sampled token's own logprob. At most MAX_TOP_LOGPROBS. */
  numTopLogprobs: number;
}

export const MAX_TOP_LOGPROBS = 20;

/** The likeliest token, whatever came before; nothing but maxSeqLen ends the sequence. */
export const GREEDY_SAMPLING: Omit<RowSampling, "maxSeqLen"> = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  seed: 0,
  minSeqLen: 0,
  stopTokenIds: [],
  logitBias: [],
  numTopLogprobs: -1,
};

export interface StepResult {
  epoch: number;
  stepId: number;
  /** (numSampled) rows that sampled, in the plan's order. */
  seqRows: Int32Array;
  /** (numSampled) */
  tokenIds: Int32Array;
  /** (numSampled) a FINISH_* value. */
  finishes: Int32Array;
  /** (numSampled) natural logarithm of the sampled token's probability under the raw logits; NaN where not asked for. */
  logprobs: Float32Array;
  /** Alternatives per sampled row: the most that any row of this step asked for. */
  numTopLogprobs: number;
  /** (numSampled, numTopLogprobs) best first, -1 past what the row asked for. */
  topTokenIds: Int32Array;
  /** (numSampled, numTopLogprobs) */
  topLogprobs: Float32Array;
  /** (rows with OUTPUT_LOGITS, vocab) in the plan's order; empty when none asked. */
  logits: Float32Array;
  /** Time inside the engine, microseconds. */
  engineUs: number;
  /** The next granted step of the plan is run too; false on the last. */
  runsOn: boolean;
}

export const FINISH_NONE = 0;
export const FINISH_STOP = 1;
export const FINISH_LENGTH = 2;
