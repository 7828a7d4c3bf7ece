import { FINISH_LENGTH, FINISH_NONE, FINISH_STOP, LAST_SAMPLED } from "../../proto/step.js";
import type { RowSampling, TokenMask } from "../../proto/step.js";
import { assert, type MoesaicError } from "../../proto/errors.js";
import type { KvTables } from "./kv-tables.js";
import type { TenantAccount } from "./tenant-account.js";
import type { TokenMasker } from "./token-masker.js";

/** What a caller adds: one choice of a request. */
export interface SequenceSpec {
  /** Unique among the live ones, 0 to 2^31 - 1. */
  seqId: number;
  requestId: string;
  /** At least one token; copied. */
  promptTokenIds: ArrayLike<number>;
  /** Outputs that another scheduler produced already: the sequence goes on after them. */
  outputTokenIds?: readonly number[];
  /** Prompt tokens, the first ones, whose logits another scheduler handed out: they are computed and not returned again. */
  numReturnedLogits?: number;
  /** `sampling.maxSeqLen` bounds the outputs. */
  sampling: RowSampling;
  /** On whose account it runs; absent: everybody's who names none. */
  tenant?: string;
  /** The smaller is served the earlier; 0 is the usual one. */
  priority: number;
  /** On the clock of `nowMs`; null: none. */
  deadlineMs: number | null;
  /** Returns the logits after every prompt token, and samples nothing. */
  wantsLogits: boolean;
  /** Constrains what is sampled; absent: any token. */
  masker?: TokenMasker;
  /** Its text is compared with stop strings: any token may be its last. Default false. */
  endsByText?: boolean;
}

export type FinishReason = "stop" | "length" | "abort" | "error";

/** How a sequence ended. `error` says why with finish reason error, and with abort when a deadline passed. */
export interface SequenceEnd {
  finish: FinishReason;
  error?: MoesaicError;
}

/** State of one running generation. Its fields are written by the scheduler alone. */
export class Sequence {
  readonly seqId: number;
  readonly requestId: string;
  readonly promptTokenIds: Int32Array;
  readonly outputTokenIds: number[];
  readonly sampling: RowSampling;
  readonly priority: number;
  readonly arrivalMs: number;
  readonly deadlineMs: number | null;
  readonly wantsLogits: boolean;
  readonly masker: TokenMasker | null;
  readonly endsByText: boolean;
  /** Rank among equal priorities: how many sequences were added before. A clock's reading could be equal for two. */
  readonly arrivalOrder: number;
  readonly kv: KvTables;
  readonly account: TenantAccount;

  state: "waiting" | "running" | "ended" = "waiting";
  /** Persistent row on the ranks; -1 while waiting. */
  row = -1;
  /** The ranks have not heard of the row yet. */
  isRowNew = false;
  /** Tokens that have KV once every plan that was sent has run: the ranks run them in order. */
  numComputedTokens = 0;
  numCachedTokens = 0;
  /** Tokens in the step being planned. */
  numScheduledTokens = 0;
  /** Steps without a result that it takes part in. */
  numStepsInFlight = 0;
  /** Outputs that steps in flight will sample: their places are taken, their ids not known. */
  numUnknownTokens = 0;
  /** Prompt tokens whose logits have been handed out: a replay computes these again and returns nothing. */
  numReturnedLogits: number;
  /** As its tenant's account has it: tokens to be computed before it decodes, and not scheduled. */
  numPendingTokens = 0;
  /** Tokens that its tenant was charged for: the first ones. */
  numChargedTokens = 0;
  /** When its first token was expected, by the forecast of its arrival; null: it is not compared. */
  expectedMs: number | null = null;
  /** Of the token to be sampled next; null: without a masker, or not known yet. */
  mask: TokenMask | null = null;
  /** The mask that the ranks have for the row. */
  toldMask: TokenMask | null = null;
  scheduledMs: number | null = null;
  firstTokenMs: number | null = null;

  constructor(spec: SequenceSpec, kv: KvTables, account: TenantAccount, arrivalMs: number, arrivalOrder: number) {
    this.seqId = spec.seqId;
    this.requestId = spec.requestId;
    this.promptTokenIds = Int32Array.from(spec.promptTokenIds);
    this.outputTokenIds = [...(spec.outputTokenIds ?? [])];
    this.sampling = spec.sampling;
    this.priority = spec.priority;
    this.deadlineMs = spec.deadlineMs;
    this.wantsLogits = spec.wantsLogits;
    this.masker = spec.masker ?? null;
    this.endsByText = spec.endsByText ?? false;
    this.numReturnedLogits = spec.numReturnedLogits ?? 0;
    this.kv = kv;
    this.account = account;
    this.arrivalMs = arrivalMs;
    this.arrivalOrder = arrivalOrder;
  }

  /** Prompt and outputs together, those that steps in flight will sample included. */
  get numTokens(): number {
    return this.promptTokenIds.length + this.numOutputs;
  }

  /** Tokens to be computed. The one that will end the sequence by its length never is. */
  get numRemainingTokens(): number {
    const isEnding = this.numUnknownTokens > 0 && this.numTokens === this.sampling.maxSeqLen;
    return this.numTokens - this.numComputedTokens - (isEnding ? 1 : 0);
  }

  /** It may compute what is known, and not sample. */
  get lacksMask(): boolean {
    return this.masker !== null && this.mask === null;
  }

  /** Only the token sampled last is to be computed; everything else is prefill. */
  get isDecoding(): boolean {
    return this.numRemainingTokens === 1 && this.numOutputs > 0;
  }

  /** Somebody beside the ranks looks at each token before the one after next is sampled. */
  get needsHost(): boolean {
    return this.endsByText || this.masker !== null;
  }

  get numOutputs(): number {
    return this.outputTokenIds.length + this.numUnknownTokens;
  }

  /** Writes the token ids of the scheduled positions to `tokenIds` from `at` on; LAST_SAMPLED for one not known yet. */
  copyScheduledTokens(tokenIds: Int32Array, at: number): void {
    const begin = this.numComputedTokens;
    const end = begin + this.numScheduledTokens;
    const numPrompt = this.promptTokenIds.length;
    if (begin < numPrompt) tokenIds.set(this.promptTokenIds.subarray(begin, Math.min(end, numPrompt)), at);
    for (let position = Math.max(begin, numPrompt); position < end; position++) {
      tokenIds[at + position - begin] = this.outputTokenIds[position - numPrompt] ?? LAST_SAMPLED;
    }
  }

  /** Steps in flight are lost with all that they would have sampled. */
  forgetSteps(): void {
    this.numStepsInFlight = 0;
    this.numUnknownTokens = 0;
  }

  /**
   * Takes a sampled token. Stop ids are the engine's to know; the length rule is simple enough to hold it to.
   * @returns how the token ended the sequence, or null
   */
  append(tokenId: number, finish: number): SequenceEnd | null {
    this.outputTokenIds.push(tokenId);
    const numKnownTokens = this.promptTokenIds.length + this.outputTokenIds.length;
    const isFull = numKnownTokens === this.sampling.maxSeqLen;
    assert(numKnownTokens <= this.sampling.maxSeqLen, () => `sequence ${this.seqId} grew past its length`);
    assert(finish !== FINISH_NONE || !isFull, () => `sequence ${this.seqId} has its full length and did not end`);
    const endsRightly = finish !== FINISH_LENGTH || isFull;
    assert(endsRightly, () => `sequence ${this.seqId} ended by length at ${numKnownTokens} tokens`);
    if (finish === FINISH_NONE) return null;
    assert(finish === FINISH_STOP || finish === FINISH_LENGTH, () => `unknown finish ${finish}`);
    return { finish: finish === FINISH_STOP ? "stop" : "length" };
  }
}

/** Order in which deadlines pass. */
export function isDueBefore(a: Sequence, b: Sequence): boolean {
  const difference = a.deadlineMs! - b.deadlineMs!;
  return difference === 0 ? a.arrivalOrder < b.arrivalOrder : difference < 0;
}
