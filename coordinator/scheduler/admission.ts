import { MoesaicError } from "../../proto/errors.js";
import { kvBlocksMin, type KvShape } from "./kv-tables.js";
import type { SchedulerConfig } from "./scheduler-config.js";
import type { KvMemory } from "./kv-memory.js";
import type { Sequence, SequenceSpec } from "./sequence.js";
import type { StepPace } from "./step-pace.js";
import type { WaitingQueue } from "./waiting-queue.js";

/** A guess for clients: long enough that a place has mostly come free, short enough that it has not stood empty long. */
const RETRY_AFTER_MS = 1000;
const SEQ_ID_MAX = 2 ** 31 - 1;

/** What a spec is held against. */
export interface Door {
  config: SchedulerConfig;
  shape: KvShape;
  numWaiting: number;
  /** A sequence with the spec's seqId lives. */
  isLive: boolean;
}

/** Refuses what could never run, and what there is no room to keep. @throws MoesaicError as Scheduler.add says */
export function checkSpec(spec: SequenceSpec, door: Door): void {
  checkIds(spec, door);
  checkLength(spec, door.config);
  checkReturnedLogits(spec);
  checkTokenIds(spec, door.config.vocabSize);
  checkBlocks(spec, door);
  const { maxWaiting } = door.config;
  // What another scheduler took in is not refused here.
  if (door.numWaiting < maxWaiting || spec.outputTokenIds !== undefined) return;
  const text = `queue: ${maxWaiting} sequences may wait, and as many do; try again later`;
  throw new MoesaicError("resource_exhausted", text, { requestId: spec.requestId, retryAfterMs: RETRY_AFTER_MS });
}

/** A client that comes again sooner is hardly better off; one that waits longer leaves a place empty. */
const RETRY_AFTER_MS_MIN = 100;
const RETRY_AFTER_MS_MAX = 60_000;

/**
 * Refuses a sequence whose first token would come after its deadline or the target: waiting would be for nothing, and what is
 * computed for it would be late for everybody behind it.
 * @param latestMs by when the first token has come, from now
 * @throws MoesaicError resource_exhausted with retryAfterMs: until what waits now has become short enough
 */
function checkForecast(
  { requestId, deadlineMs }: SequenceSpec,
  latestMs: number,
  { targetTtftMs }: SchedulerConfig,
  nowMs: number,
): void {
  const limitMs = Math.min(targetTtftMs ?? Infinity, deadlineMs === null ? Infinity : deadlineMs - nowMs);
  // A deadline that has passed is told as such.
  if (limitMs <= 0 || latestMs <= limitMs) return;
  const retryAfterMs = Math.ceil(Math.min(Math.max(latestMs - limitMs, RETRY_AFTER_MS_MIN), RETRY_AFTER_MS_MAX));
  const text = `time to first token: wanted within ${Math.round(limitMs)} ms, ${Math.round(latestMs)} ms are forecast; try again later`;
  throw new MoesaicError("resource_exhausted", text, { requestId, retryAfterMs });
}

function checkIds({ seqId, requestId, priority, deadlineMs }: SequenceSpec, { isLive }: Door): void {
  if (!Number.isSafeInteger(seqId) || seqId < 0 || seqId > SEQ_ID_MAX) {
    throw invalid(requestId, "seqId", `wanted an integer from 0 to ${SEQ_ID_MAX}, got ${seqId}`);
  }
  if (isLive) throw invalid(requestId, "seqId", `wanted one that is not in use, got ${seqId}`);
  if (!Number.isSafeInteger(priority)) {
    throw invalid(requestId, "priority", `wanted an integer, got ${priority}`);
  }
  if (deadlineMs !== null && !Number.isFinite(deadlineMs)) {
    throw invalid(requestId, "deadlineMs", `wanted milliseconds or null, got ${deadlineMs}`);
  }
}

function checkLength(
  { requestId, promptTokenIds, outputTokenIds = [], sampling, wantsLogits }: SequenceSpec,
  config: SchedulerConfig,
): void {
  const numTokens = promptTokenIds.length + outputTokenIds.length;
  if (promptTokenIds.length === 0) throw invalid(requestId, "promptTokenIds", "wanted at least one token, got none");
  // Logits are asked of the prompt alone; everything else leaves room for one output.
  const numTokensMin = wantsLogits ? numTokens : numTokens + 1;
  if (numTokensMin > config.maxSeqLen) {
    const text = `wanted at most ${config.maxSeqLen} tokens with the output, got ${numTokensMin}; shorten the prompt`;
    throw invalid(requestId, "promptTokenIds", text);
  }
  const { maxSeqLen } = sampling;
  if (!Number.isSafeInteger(maxSeqLen) || maxSeqLen < numTokensMin || maxSeqLen > config.maxSeqLen) {
    const text = `wanted an integer from ${numTokensMin} to ${config.maxSeqLen}, got ${maxSeqLen}`;
    throw invalid(requestId, "sampling.maxSeqLen", text);
  }
}

/** With the logits of all its tokens out a sequence would have ended. */
function checkReturnedLogits({ requestId, promptTokenIds, numReturnedLogits = 0 }: SequenceSpec): void {
  const numMax = promptTokenIds.length - 1;
  if (Number.isSafeInteger(numReturnedLogits) && numReturnedLogits >= 0 && numReturnedLogits <= numMax) return;
  throw invalid(requestId, "numReturnedLogits", `wanted an integer from 0 to ${numMax}, got ${numReturnedLogits}`);
}

function checkTokenIds(spec: SequenceSpec, vocabSize: number): void {
  for (const [name, tokenIds] of [
    ["token_ids", spec.promptTokenIds],
    ["output_token_ids", spec.outputTokenIds ?? []],
  ] as const) {
    for (let i = 0; i < tokenIds.length; i++) {
      const tokenId = tokenIds[i]!;
      if (Number.isSafeInteger(tokenId) && tokenId >= 0 && tokenId < vocabSize) continue;
      const text = `wanted a token id from 0 to ${vocabSize - 1}, got ${tokenId}`;
      throw invalid(spec.requestId, `${name}[${i}]`, text);
    }
  }
}

function checkBlocks({ requestId, promptTokenIds, outputTokenIds = [] }: SequenceSpec, { config, shape }: Door): void {
  const numTokens = promptTokenIds.length + outputTokenIds.length;
  const needed = kvBlocksMin(shape, numTokens);
  const total = config.numBlocks - 1;
  if (needed <= total) return;
  const text = `KV blocks: a prompt of ${numTokens} tokens needs ${needed}, the pool has ${total}; shorten it, or give the engine more blocks`;
  throw new MoesaicError("resource_exhausted", text, { requestId });
}

function invalid(requestId: string, place: string, text: string): MoesaicError {
  return new MoesaicError("invalid_argument", text, { requestId, place });
}

/** What the time to a first token follows from. */
export interface Outlook {
  config: SchedulerConfig;
  memory: KvMemory;
  waiting: WaitingQueue;
  pace: StepPace;
}

/**
 * When a new sequence will have its first token, in milliseconds from now; null: it is no new one, or returns none.
 * @throws MoesaicError resource_exhausted when that is too late
 */
export function expectFirstToken(
  spec: SequenceSpec,
  sequence: Sequence,
  { config, memory, waiting, pace }: Outlook,
  nowMs: number,
): number | null {
  // What another scheduler took in is not refused here.
  if (spec.outputTokenIds !== undefined) return null;
  const numTokens = sequence.numTokens - memory.tokensOf(sequence.findPrefix());
  const numTokensAhead = waiting.numTokensAhead(sequence.account, spec.priority, numTokens);
  const expectedMs = pace.expectMs(numTokens, numTokensAhead);
  // Who has nobody before it is taken whatever is expected: it cannot be served sooner later on.
  if (numTokensAhead > 0) checkForecast(spec, pace.latestMs(expectedMs), config, nowMs);
  return spec.wantsLogits ? null : expectedMs;
}
