import { FINISH_LENGTH, FINISH_NONE, FINISH_STOP, LAST_SAMPLED, OUTPUT_NONE } from "../../proto/step.js";
import type { RowSampling, TokenMask } from "../../proto/step.js";
import type { MoesaicError } from "../../proto/errors.js";
import type { KvTables } from "./kv-tables.js";
import { NO_HIT, type PrefixChain, type PrefixHit, type TokenList } from "./prefix-chain.js";
import { broken } from "./sequence-errors.js";
import type { TenantAccount } from "./tenant-account.js";
import type { TokenMasker } from "./token-masker.js";

/** What a caller adds: one choice of a request. */
export interface SequenceSpec {
  /** Unique among the live ones, 0 to 2^31 - 1. */
  seqId: number;
  requestId: string;
  /** At least one token; copied. */
  promptTokenIds: ArrayLike<number>;
  /** Outputs that another scheduler, which had accepted it, produced already, maybe none: the sequence goes on after them. */
  outputTokenIds?: readonly number[];
  /** Prompt tokens, the first ones, whose logits another scheduler handed out: they are computed and not returned again. */
  numReturnedLogits?: number;
  /** `sampling.maxSeqLen` bounds the outputs. */
  sampling: RowSampling;
  /** On whose account it runs, and with whom it shares cached prefixes; absent: everybody's who names none. */
  tenant?: string;
  /** The smaller is served the earlier; 0 is the usual one. */
  priority: number;
  /** On the clock of `nowMs`; null: none. */
  deadlineMs: number | null;
  /** Returns the logits after every prompt token, and samples nothing. */
  wantsLogits: boolean;
  /** Whether its listener wants to know how far its prompt is. */
  wantsPrefill?: boolean;
  /** Constrains what is sampled; absent: any token. */
  masker?: TokenMasker;
  /** Its text is compared with stop strings: any token may be its last. Default false. */
  endsByText?: boolean;
  /** Hashes of its tokens' full blocks, as far as a scheduler has needed them; grows. For schedulers of one block hash and size. */
  blockHashes?: number[];
}

export type FinishReason = "stop" | "length" | "abort" | "error";

/** How a sequence ended. `error` says why with finish reason error, and with abort when a deadline passed. */
export interface SequenceEnd {
  finish: FinishReason;
  error?: MoesaicError;
}

/** State of one running generation. Its fields are written by the scheduler alone. */
export class Sequence implements TokenList {
  // What each step reads or writes stands first: fields lie in memory as they stand here, and a step looks at every sequence
  // several times.
  state: "waiting" | "running" | "ended" = "waiting";
  /** Persistent row on the ranks; -1 while waiting. */
  row = -1;
  /** The ranks have not heard of the row yet. */
  isRowNew = false;
  readonly numPromptTokens: number;
  /** Those whose ids are known, prompt and outputs. */
  numKnownTokens: number;
  /** Outputs that steps in flight will sample: their places are taken, their ids not known. */
  numUnknownTokens = 0;
  /** Most tokens, prompt and outputs. */
  readonly maxSeqLen: number;
  /** Tokens that have KV once every plan that was sent has run: the ranks run them in order. */
  numComputedTokens = 0;
  /** Tokens in the step being planned. */
  numScheduledTokens = 0;
  /** What these give back: an OUTPUT_* value. */
  scheduledOutput = OUTPUT_NONE;
  /** Steps without a result that it takes part in. */
  numStepsInFlight = 0;
  /** As its tenant's account has it: tokens to be computed before it decodes, and not scheduled. */
  numPendingTokens = 0;
  /** Tokens that its tenant was charged for: the first ones. */
  numChargedTokens = 0;
  /** Up to so many tokens its tables have room and lose no block: most decodes need not look at them. */
  kvUnchangedUntil = 0;
  /** With fewer tokens there is nothing to publish. */
  #publishesAt = 0;
  readonly account: TenantAccount;
  readonly kv: KvTables;
  /** null: there is no prefix cache. */
  readonly prefix: PrefixChain | null;
  readonly outputTokenIds: number[];
  readonly masker: TokenMasker | null;
  /** Of the token to be sampled next; null: without a masker, or not known yet. */
  mask: TokenMask | null = null;
  readonly endsByText: boolean;
  readonly wantsLogits: boolean;
  /** As RowSampling. */
  readonly numTopLogprobs: number;
  readonly seqId: number;
  readonly requestId: string;
  /** Prompt tokens that came from the prefix cache when the sequence was first admitted. */
  numCachedTokens = 0;
  firstTokenMs: number | null = null;

  readonly promptTokenIds: Int32Array;
  readonly sampling: RowSampling;
  readonly priority: number;
  readonly arrivalMs: number;
  readonly deadlineMs: number | null;
  /** Rank among equal priorities: how many sequences were added before. A clock's reading could be equal for two. */
  readonly arrivalOrder: number;
  /** Prompt tokens whose logits have been handed out: a replay computes these again and returns nothing. */
  numReturnedLogits: number;
  /** When its first token was expected, by the forecast of its arrival; null: it is not compared. */
  expectedMs: number | null = null;
  /** The mask that the ranks have for the row. */
  toldMask: TokenMask | null = null;
  scheduledMs: number | null = null;

  /** @param prefixOf makes the sequence's part of the prefix cache; null: there is no cache */
  constructor(
    spec: SequenceSpec,
    kv: KvTables,
    account: TenantAccount,
    arrivalMs: number,
    arrivalOrder: number,
    prefixOf: (tokens: TokenList) => PrefixChain | null = () => null,
  ) {
    this.seqId = spec.seqId;
    this.requestId = spec.requestId;
    this.promptTokenIds = Int32Array.from(spec.promptTokenIds);
    this.numPromptTokens = this.promptTokenIds.length;
    this.outputTokenIds = [...(spec.outputTokenIds ?? [])];
    this.numKnownTokens = this.numPromptTokens + this.outputTokenIds.length;
    this.sampling = spec.sampling;
    this.maxSeqLen = spec.sampling.maxSeqLen;
    this.numTopLogprobs = spec.sampling.numTopLogprobs;
    this.priority = spec.priority;
    this.deadlineMs = spec.deadlineMs;
    this.wantsLogits = spec.wantsLogits;
    this.masker = spec.masker ?? null;
    this.endsByText = spec.endsByText ?? false;
    this.numReturnedLogits = spec.numReturnedLogits ?? 0;
    this.kv = kv;
    this.account = account;
    this.prefix = prefixOf(this);
    this.arrivalMs = arrivalMs;
    this.arrivalOrder = arrivalOrder;
  }

  /** Prompt and outputs together, those that steps in flight will sample included. */
  get numTokens(): number {
    return this.numKnownTokens + this.numUnknownTokens;
  }

  /** Tokens to be computed. The one that will end the sequence by its length never is. */
  get numRemainingTokens(): number {
    const isEnding = this.numUnknownTokens > 0 && this.numTokens === this.maxSeqLen;
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
    return this.numTokens - this.numPromptTokens;
  }

  /** What the prefix cache has now of what the sequence need not compute: the last token gives the sample, others logits. */
  findPrefix(): PrefixHit {
    const numTokensMax = Math.min(this.numTokens - 1, this.wantsLogits ? this.numReturnedLogits : Infinity);
    return this.prefix?.find(numTokensMax) ?? NO_HIT;
  }

  /** Makes room for so many tokens in all; the caller has asked that they fit. */
  growKv(numTokens: number): void {
    if (numTokens <= this.kvUnchangedUntil) return;
    this.kv.grow(numTokens);
    this.kvUnchangedUntil = this.kv.unchangedUntil;
  }

  freeKv(): void {
    this.kv.free();
    this.kvUnchangedUntil = 0;
  }

  /** It is admitted, behind a prefix of so many tokens whose blocks were found. */
  beginWith(hit: PrefixHit, numHitTokens: number): void {
    this.prefix?.beginWith(hit);
    this.kv.beginWith(hit.numBlocks, hit.blockIds);
    this.#publishesAt = 0;
    this.numComputedTokens = numHitTokens;
    if (this.scheduledMs === null) this.numCachedTokens = Math.min(numHitTokens, this.numPromptTokens);
  }

  /**
   * Lets others find the blocks that the sequence's tokens fill, those of the step being planned included. Where a token is
   * not known yet its block has no name: it gets one with the step after.
   */
  publishPrefix(): void {
    const numTokens = Math.min(this.numComputedTokens + this.numScheduledTokens, this.numKnownTokens);
    if (this.prefix === null || numTokens < this.#publishesAt) return;
    this.prefix.publish(numTokens, this.kv);
    this.#publishesAt = this.prefix.publishesAt;
  }

  /** Takes back what was published for a step that will do without the sequence. @returns the blocks */
  retractPrefix(): number[] {
    this.#publishesAt = 0;
    return this.prefix?.retract(this.numComputedTokens, this.kv) ?? [];
  }

  /** Writes the token ids of the scheduled positions to `tokenIds` from `at` on. */
  copyScheduledTokens(tokenIds: Int32Array, at: number): void {
    this.copyTokens(this.numComputedTokens, this.numComputedTokens + this.numScheduledTokens, tokenIds, at);
  }

  /** LAST_SAMPLED stands for one that is not known yet. */
  copyTokens(begin: number, end: number, tokenIds: Int32Array, at: number): void {
    const numPrompt = this.numPromptTokens;
    let position = begin;
    for (; position < end && position < numPrompt; position++) tokenIds[at++] = this.promptTokenIds[position]!;
    for (; position < end; position++) tokenIds[at++] = this.outputTokenIds[position - numPrompt] ?? LAST_SAMPLED;
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
    const numKnownTokens = ++this.numKnownTokens;
    const { maxSeqLen } = this;
    const isFull = numKnownTokens === maxSeqLen;
    if (numKnownTokens > maxSeqLen) throw broken(this, "grew past its length");
    if (finish === FINISH_NONE) {
      if (isFull) throw broken(this, "has its full length and did not end");
      return null;
    }
    if (finish === FINISH_LENGTH && !isFull) throw broken(this, `ended by length at ${numKnownTokens} tokens`);
    if (finish !== FINISH_STOP && finish !== FINISH_LENGTH) throw broken(this, `has the unknown finish ${finish}`);
    return { finish: finish === FINISH_STOP ? "stop" : "length" };
  }
}

/** Order in which deadlines pass. */
export function isDueBefore(a: Sequence, b: Sequence): boolean {
  const difference = a.deadlineMs! - b.deadlineMs!;
  return difference === 0 ? a.arrivalOrder < b.arrivalOrder : difference < 0;
}
