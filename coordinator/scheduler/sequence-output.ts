import type { MoesaicError } from "../../proto/errors.js";
import type { FinishReason, Sequence, SequenceEnd } from "./sequence.js";

/** What happened to one sequence: a token, logits, its end, or a token or logits and its end. */
export interface SequenceOutput {
  seqId: number;
  requestId: string;
  numPromptTokens: number;
  /** Outputs so far, this token included. */
  numOutputTokens: number;
  /** Prompt tokens that came from the prefix cache. */
  numCachedTokens: number;
  /** Absent on logits, and on an end that no token caused. */
  tokenId?: number;
  /** Natural logarithm; present when the sequence asked for logprobs. */
  logprob?: number;
  /** Best first; present when the sequence asked for alternatives. */
  topLogprobs?: TokenLogprob[];
  logits?: SequenceLogits;
  /** Prompt tokens that are computed; on an output of its own, where the sequence wants to know and its prompt takes several steps. */
  numPrefilled?: number;
  /** Present exactly once per sequence, on its last output. */
  finish?: FinishReason;
  /** Why it finished so: with error always, with abort when its deadline passed (deadline_exceeded). */
  error?: MoesaicError;
  /** Present with the first token of a sequence, and with `finish`. */
  timings?: SequenceTimings;
}

export interface TokenLogprob {
  tokenId: number;
  logprob: number;
}

export interface SequenceLogits {
  /** Position of the first row's token. Successive outputs of a sequence continue without gap or overlap. */
  position: number;
  numTokens: number;
  /** (numTokens, vocabSize), a view into the step's result. */
  values: Float32Array;
}

/** On the clock of `nowMs`; null: did not happen. */
export interface SequenceTimings {
  arrivalMs: number;
  /** First admission. */
  scheduledMs: number | null;
  firstTokenMs: number | null;
}

/** An output that says who it is about and nothing yet of what happened. */
export function outputFor(sequence: Sequence): SequenceOutput {
  return {
    seqId: sequence.seqId,
    requestId: sequence.requestId,
    numPromptTokens: sequence.numPromptTokens,
    numOutputTokens: sequence.numKnownTokens - sequence.numPromptTokens,
    numCachedTokens: sequence.numCachedTokens,
  };
}

/**
 * A token that was sampled. Written out: a field that is added to an object later costs another object, and there is an output
 * per token.
 */
export function tokenOutput(sequence: Sequence, tokenId: number): SequenceOutput {
  const output: SequenceOutput = {
    seqId: sequence.seqId,
    requestId: sequence.requestId,
    numPromptTokens: sequence.numPromptTokens,
    numOutputTokens: sequence.numOutputs - sequence.numUnknownTokens,
    numCachedTokens: sequence.numCachedTokens,
    tokenId,
  };
  if (output.numOutputTokens === 1) addTimings(output, sequence);
  return output;
}

/** Makes an output the sequence's last. */
export function addEnd(output: SequenceOutput, sequence: Sequence, end: SequenceEnd): void {
  output.finish = end.finish;
  if (end.error !== undefined) output.error = end.error;
  addTimings(output, sequence);
}

function addTimings(output: SequenceOutput, { arrivalMs, scheduledMs, firstTokenMs }: Sequence): void {
  output.timings = { arrivalMs, scheduledMs, firstTokenMs };
}
