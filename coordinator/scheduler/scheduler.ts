import { OUTPUT_SAMPLE, type StepPlan, type StepResult } from "../../proto/step.js";
import { assert, MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { checkSpec } from "./admission.js";
import { BlockPool } from "./block-pool.js";
import { kvBlocksMax, KvTables, type KvShape } from "./kv-tables.js";
import type { PlannedPart, PlannedStep } from "./planned-step.js";
import { ResultReader, type Sample } from "./result-reader.js";
import { RowPool } from "./row-pool.js";
import { checkSchedulerConfig, type SchedulerConfig } from "./scheduler-config.js";
import { isDueBefore, isServedBefore, Sequence, type FinishReason } from "./sequence.js";
import type { SequenceEnd, SequenceSpec } from "./sequence.js";
import { SequenceHeap } from "./sequence-heap.js";
import { addEnd, outputFor, type SequenceLogits, type SequenceOutput } from "./sequence-output.js";
import { StepDraft } from "./step-draft.js";

/**
 * Continuous batching as a state machine: calls and their times in, step plans and outputs out; the same calls give the
 * same plans. Decode, prefill in chunks and the replay of a preempted sequence are one thing: a number of tokens of a
 * sequence that are known and not computed yet.
 *
 *     add → waiting ──admit──► running ──finish──► ended          schedule() → plan → ranks → result → apply()
 *              ▲                  │
 *              └─────preempt──────┘
 *
 * With `runAhead` 0 a step is planned when the one before has its result. Above, up to so many steps are planned beyond the
 * one that runs, before the tokens that it samples are known: their places are counted, and plans say LAST_SAMPLED. The ranks run
 * plans strictly in order, so whoever ends or is preempted gives row and blocks back at once: a plan that still uses them
 * runs before any that gives them to another. What it sampled for a sequence that has ended is dropped.
 *
 * Starts in epoch 1; step ids start at 1 in each epoch.
 */
export class Scheduler {
  readonly #config: SchedulerConfig;
  readonly #log: Logger;
  readonly #shape: KvShape;
  readonly #pool: BlockPool;
  readonly #rows: RowPool;

  /** Every sequence that has not ended. */
  readonly #sequences = new Map<number, Sequence>();
  readonly #waiting = new SequenceHeap(isServedBefore, ({ state }) => state === "waiting");
  /** In order of service: the last is the youngest. */
  readonly #running: Sequence[] = [];
  readonly #deadlines = new SequenceHeap(isDueBefore, ({ state }) => state !== "ended");
  /** Outputs of sequences that ended outside `apply`. */
  #ended: SequenceOutput[] = [];

  #epoch = 1;
  #stepId = 0;
  /** Steps without a result, the oldest first; at most runAhead + 1. */
  readonly #inFlight: PlannedStep[] = [];
  #numAdded = 0;
  #numPreemptions = 0;
  #numScheduledTokens = 0;

  constructor(config: SchedulerConfig, log: Logger) {
    checkSchedulerConfig(config);
    this.#config = config;
    this.#log = log;
    this.#shape = { blockSize: config.blockSize, windows: config.kvGroups.map(({ window }) => window) };
    this.#pool = new BlockPool(config.numBlocks);
    this.#rows = new RowPool(config.maxSequences);
  }

  /**
   * Puts a sequence into the waiting queue.
   * @param nowMs monotonic milliseconds
   * @throws MoesaicError invalid_argument: empty or too long a prompt, a token id outside the vocabulary, a seqId in use.
   *   resource_exhausted: the queue is full (with retryAfterMs), or the prompt does not fit the KV blocks at all
   */
  add(spec: SequenceSpec, nowMs: number): void {
    const numWaiting = this.#sequences.size - this.#running.length;
    checkSpec(spec, { config: this.#config, shape: this.#shape, numWaiting, isLive: this.#sequences.has(spec.seqId) });
    const sequence = new Sequence(spec, new KvTables(this.#pool, this.#shape), nowMs, this.#numAdded++);
    this.#sequences.set(sequence.seqId, sequence);
    this.#waiting.push(sequence);
    if (sequence.deadlineMs !== null) this.#deadlines.push(sequence);
  }

  /**
   * Ends a sequence from outside: the client left, or a stop string was found (finish reason stop). What steps in flight
   * sample for it is dropped. The end is reported by `takeEnded`.
   * @returns false when no such sequence lives: it may have ended a moment ago, so that is no error
   */
  abort(seqId: number, finish: FinishReason = "abort"): boolean {
    const sequence = this.#sequences.get(seqId);
    if (sequence === undefined) return false;
    this.#endNow(sequence, { finish });
    return true;
  }

  /** Whether a step may be planned before another result. */
  get mayPlan(): boolean {
    return this.#inFlight.length <= (this.#config.runAhead ?? 0);
  }

  /**
   * Picks the tokens of the next step: decodes, then running prefills, then admissions, each in order of service.
   * @param nowMs monotonic milliseconds
   * @returns null when there is nothing to compute: no sequence is alive, or all wait for results of steps in flight
   */
  schedule(nowMs: number): StepPlan | null {
    assert(this.mayPlan, `step ${this.#stepId - this.#inFlight.length + 1} has no result yet`);
    this.#endOverdue(nowMs);
    const draft = new StepDraft(this.#config.maxBatchedTokens, this.#config.maxLogitRows);
    const numPreemptionsBefore = this.#numPreemptions;
    this.#scheduleRunning(draft, (sequence) => sequence.isDecoding);
    this.#scheduleRunning(draft, (sequence) => !sequence.isDecoding);
    // Who was preempted just now would come straight back and be preempted again.
    if (this.#numPreemptions === numPreemptionsBefore) this.#admit(draft, nowMs);
    if (!draft.isEmpty) return this.#dispatch(draft);
    const isWaiting = this.#sequences.size === 0 || this.#inFlight.length > 0;
    assert(isWaiting, `${this.#sequences.size} sequences are alive and none can run`);
    return null;
  }

  /**
   * Takes the result of the oldest step in flight. A result that comes twice, or from an earlier epoch, changes nothing.
   * @param nowMs monotonic milliseconds   @returns an output per sequence that got a token or logits or ended, in the plan's order
   */
  apply(result: StepResult, nowMs: number): SequenceOutput[] {
    const nextId = this.#stepId - this.#inFlight.length + 1;
    if (result.epoch < this.#epoch || (result.epoch === this.#epoch && result.stepId < nextId)) return [];
    const isKnown = result.epoch === this.#epoch && result.stepId <= this.#stepId;
    assert(isKnown, `step ${result.stepId} was never planned`);
    assert(result.stepId === nextId, `the result of step ${result.stepId} came before that of step ${nextId}`);
    const { parts } = this.#inFlight.shift()!;
    const reader = new ResultReader(result, this.#config.vocabSize);
    const outputs: SequenceOutput[] = [];
    for (const part of parts) {
      const output = this.#applyTo(part, reader, nowMs);
      if (output !== null) outputs.push(output);
    }
    reader.close();
    return outputs;
  }

  /** Ends since the last call that no step's result brought: by abort, deadline or lack of blocks. */
  takeEnded(): SequenceOutput[] {
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  /**
   * A lost world: its rows, blocks and steps in flight are gone. Every running sequence waits again, with its tokens and
   * its place in the order of service.
   * @param epoch the new one, above the last
   */
  reset(epoch: number): void {
    assert(epoch > this.#epoch, `epoch ${epoch} does not follow ${this.#epoch}`);
    const numLost = this.#running.length;
    this.#epoch = epoch;
    this.#stepId = 0;
    this.#inFlight.length = 0;
    for (const sequence of this.#sequences.values()) sequence.forgetSteps();
    for (const sequence of [...this.#running]) this.#putBack(sequence);
    this.#rows.reset();
    this.#log.info({ epoch, numSeqs: numLost }, "running sequences were put back");
  }

  stats(): SchedulerStats {
    const numBlocksUsed = { full: 0, sliding: 0 };
    for (const { kv } of this.#running) {
      for (const [index, { kind }] of this.#config.kvGroups.entries()) numBlocksUsed[kind] += kv.numBlocks(index);
    }
    return {
      numRunning: this.#running.length,
      numWaiting: this.#sequences.size - this.#running.length,
      numBlocksUsed,
      numBlocksTotal: this.#pool.numTotal,
      numBlocksFree: this.#pool.numFree,
      numPreemptions: this.#numPreemptions,
      numScheduledTokens: this.#numScheduledTokens,
    };
  }

  /** Recounts every block, reference, row and queue. O(live sequences + blocks). @throws MoesaicError internal */
  check(): void {
    const waiting = this.#waiting.members();
    this.#checkQueues(waiting);
    const references = new Int32Array(this.#pool.numBlocks);
    for (const sequence of this.#sequences.values()) sequence.kv.recount(references);
    this.#pool.check(references);
    this.#rows.check(this.#running.map(({ row }) => row));
    for (const sequence of waiting) {
      assert(sequence.row === -1 && sequence.numComputedTokens === 0, `sequence ${sequence.seqId} waits with state`);
    }
    for (const sequence of this.#running) checkRunning(sequence);
    const parts = this.#inFlight.flatMap((step) => step.parts);
    for (const sequence of this.#sequences.values()) checkInFlight(sequence, parts);
  }

  // ---- schedule

  #endOverdue(nowMs: number): void {
    for (;;) {
      const sequence = this.#deadlines.first();
      if (sequence === undefined || sequence.deadlineMs! > nowMs) return;
      this.#deadlines.shift();
      const { requestId, arrivalMs, deadlineMs } = sequence;
      const text = `wanted an end within ${deadlineMs! - arrivalMs} ms, there were ${sequence.outputTokenIds.length} output tokens by then`;
      this.#endNow(sequence, { finish: "abort", error: new MoesaicError("deadline_exceeded", text, { requestId }) });
    }
  }

  #scheduleRunning(draft: StepDraft, isTurn: (sequence: Sequence) => boolean): void {
    // Preemption takes from the end of `running`, never from before `index`, except the sequence at `index` itself.
    for (let index = 0; index < this.#running.length; index++) {
      const sequence = this.#running[index]!;
      const chunk = isTurn(sequence) ? draft.chunkFor(sequence) : 0;
      if (chunk === 0) continue;
      const numTokens = this.#makeRoom(sequence, chunk, draft);
      if (numTokens > 0) this.#schedule(sequence, numTokens, draft);
    }
  }

  /**
   * Finds blocks for up to `chunk` tokens: fewer tokens rather than a preemption, which loses work, but at least one at
   * the cost of the younger ones. @returns 0 when the sequence itself had to go
   */
  #makeRoom(sequence: Sequence, chunk: number, draft: StepDraft): number {
    sequence.kv.freeBehindWindow(sequence.numComputedTokens);
    for (;;) {
      const numTokens = sequence.kv.numTokensThatFit(sequence.numComputedTokens, chunk);
      if (numTokens > 0) return numTokens;
      const youngest = this.#running.at(-1)!;
      if (this.#running.length === 1) {
        // A step in flight may end it otherwise, and has its token for it in any case.
        if (sequence.numStepsInFlight === 0) this.#endOutOfBlocks(sequence);
        return 0;
      }
      draft.drop(youngest);
      this.#preempt(youngest);
      if (youngest === sequence) return 0;
    }
  }

  #schedule(sequence: Sequence, numTokens: number, draft: StepDraft): void {
    sequence.kv.grow(sequence.numComputedTokens + numTokens);
    draft.add(sequence, numTokens);
  }

  #preempt(sequence: Sequence): void {
    const { seqId, requestId, numComputedTokens } = sequence;
    this.#putBack(sequence);
    this.#numPreemptions++;
    this.#log.debug({ seqId, requestId, numComputedTokens }, "sequence was preempted");
  }

  /**
   * Admits in strict order: who comes first and does not fit holds back the rest. A sequence fits when blocks are free for
   * all of its known tokens, beside what running prefills still need and the margin for decodes: half a prefill that
   * is preempted is work for nothing. One that was preempted with steps in flight waits for their results, which it replays.
   */
  #admit(draft: StepDraft, nowMs: number): void {
    let numPromised = this.#running.reduce((sum, sequence) => sum + this.#blocksPromised(sequence), 0);
    for (;;) {
      const sequence = this.#waiting.first();
      if (sequence === undefined || this.#rows.numFree === 0 || sequence.numStepsInFlight > 0) return;
      const chunk = draft.chunkFor(sequence);
      if (chunk === 0) return;
      const numTokens = this.#numTokensToAdmit(sequence, chunk, numPromised);
      if (numTokens === 0) return;
      this.#start(sequence, nowMs);
      this.#schedule(sequence, numTokens, draft);
      numPromised += this.#blocksPromised(sequence);
    }
  }

  /** With nothing running there is nobody to protect: what fits now is right, and an empty pool fits at least one token. */
  #numTokensToAdmit(sequence: Sequence, chunk: number, numPromised: number): number {
    if (this.#running.length === 0) return sequence.kv.numTokensThatFit(0, chunk);
    const { admissionMargin = 0.01, maxBatchedTokens } = this.#config;
    const margin = Math.max(Math.ceil(admissionMargin * this.#pool.numTotal), this.#running.length);
    const needed = kvBlocksMax(this.#shape, sequence.numTokens, Math.min(sequence.numTokens, maxBatchedTokens));
    return needed + numPromised + margin <= this.#pool.numFree ? chunk : 0;
  }

  #blocksPromised({ kv, numTokens, numRemainingTokens, numScheduledTokens }: Sequence): number {
    const numLeft = numRemainingTokens - numScheduledTokens;
    return numLeft <= 0 ? 0 : kv.blocksPromised(numTokens, Math.min(numLeft, this.#config.maxBatchedTokens));
  }

  #start(sequence: Sequence, nowMs: number): void {
    this.#waiting.shift();
    sequence.state = "running";
    sequence.row = this.#rows.take();
    sequence.isRowNew = true;
    sequence.scheduledMs ??= nowMs;
    let index = this.#running.length;
    while (index > 0 && isServedBefore(sequence, this.#running[index - 1]!)) index--;
    this.#running.splice(index, 0, sequence);
  }

  #dispatch(draft: StepDraft): StepPlan {
    this.#stepId++;
    const plan = draft.toPlan({
      epoch: this.#epoch,
      stepId: this.#stepId,
      numGroups: this.#shape.windows.length,
      finishedRows: this.#rows.takeEnded(),
    });
    this.#numScheduledTokens += plan.tokenIds.length;
    this.#inFlight.push({ stepId: this.#stepId, parts: draft.send() });
    return plan;
  }

  // ---- apply

  #applyTo(part: PlannedPart, reader: ResultReader, nowMs: number): SequenceOutput | null {
    // Read even for a sequence that has ended meanwhile: the result has its part.
    const sample = reader.sample(part);
    const logits = reader.logits(part);
    const { sequence } = part;
    sequence.numStepsInFlight -= 1;
    if (sample !== null) sequence.numUnknownTokens -= 1;
    if (sequence.state === "ended") return null;
    if (logits !== null) return this.#applyLogits(sequence, logits);
    if (sample !== null) return this.#applySample(sequence, sample, nowMs);
    return null;
  }

  #applySample(sequence: Sequence, { tokenId, finish, logprob, topLogprobs }: Sample, nowMs: number): SequenceOutput {
    const end = sequence.append(tokenId, finish);
    sequence.firstTokenMs ??= nowMs;
    const output = outputFor(sequence);
    output.tokenId = tokenId;
    if (logprob !== null) output.logprob = logprob;
    if (topLogprobs !== null) output.topLogprobs = topLogprobs;
    return end === null ? output : this.#end(sequence, output, end);
  }

  #applyLogits(sequence: Sequence, logits: SequenceLogits): SequenceOutput {
    sequence.numReturnedLogits = logits.position + logits.numTokens;
    const output = outputFor(sequence);
    output.logits = logits;
    const isWhole = sequence.numReturnedLogits === sequence.numTokens;
    return isWhole ? this.#end(sequence, output, { finish: "length" }) : output;
  }

  // ---- leaving `running`

  /** Running → waiting: blocks and row are given back, tokens and place in the order stay. */
  #putBack(sequence: Sequence): void {
    this.#leave(sequence);
    sequence.state = "waiting";
    sequence.numComputedTokens = 0;
    this.#waiting.push(sequence);
  }

  #end(sequence: Sequence, output: SequenceOutput, end: SequenceEnd): SequenceOutput {
    assert(sequence.state !== "ended", `sequence ${sequence.seqId} ended twice`);
    if (sequence.state === "running") this.#leave(sequence);
    sequence.state = "ended";
    this.#sequences.delete(sequence.seqId);
    addEnd(output, sequence, end);
    return output;
  }

  #endNow(sequence: Sequence, end: SequenceEnd): void {
    this.#ended.push(this.#end(sequence, outputFor(sequence), end));
  }

  #endOutOfBlocks(sequence: Sequence): void {
    const { seqId, requestId, numTokens } = sequence;
    const text =
      `KV blocks: a sequence of ${numTokens} tokens has the pool of ${this.#pool.numTotal} blocks to itself and needs ` +
      `more; ask for fewer tokens, or give the engine more blocks`;
    this.#log.warn({ seqId, requestId, numTokens, numBlocks: this.#pool.numTotal }, "sequence ran out of KV blocks");
    this.#endNow(sequence, { finish: "error", error: new MoesaicError("resource_exhausted", text, { requestId }) });
  }

  #leave(sequence: Sequence): void {
    const index = this.#running.lastIndexOf(sequence);
    assert(index >= 0, `sequence ${sequence.seqId} is not running`);
    assert(sequence.numScheduledTokens === 0, `sequence ${sequence.seqId} is in the step being planned`);
    this.#running.splice(index, 1);
    sequence.kv.free();
    this.#rows.release(sequence.row);
    sequence.row = -1;
  }

  #checkQueues(waiting: readonly Sequence[]): void {
    const queued = new Set([...waiting, ...this.#running]);
    assert(queued.size === waiting.length + this.#running.length, "a sequence is queued twice");
    assert(queued.size === this.#sequences.size, `${queued.size} sequences queued, ${this.#sequences.size} alive`);
    for (const sequence of queued) assert(this.#sequences.get(sequence.seqId) === sequence, "a stranger is queued");
    for (let i = 1; i < this.#running.length; i++) {
      assert(isServedBefore(this.#running[i - 1]!, this.#running[i]!), "running sequences are out of order");
    }
  }
}

/** A look at the scheduler. Counters count from the start of the process. */
export interface SchedulerStats {
  numRunning: number;
  numWaiting: number;
  /** Blocks owned by all groups of a kind together. */
  numBlocksUsed: { full: number; sliding: number };
  numBlocksTotal: number;
  numBlocksFree: number;
  /** Counter. */
  numPreemptions: number;
  /** Counter, replays included. */
  numScheduledTokens: number;
}

function checkRunning(sequence: Sequence): void {
  const { seqId, numComputedTokens, numScheduledTokens, numTokens, kv } = sequence;
  assert(sequence.state === "running", `sequence ${seqId} is ${sequence.state} and runs`);
  assert(numScheduledTokens === 0, `sequence ${seqId} was planned and not sent`);
  assert(numComputedTokens <= numTokens, `sequence ${seqId} computes tokens it does not have`);
  assert(numComputedTokens <= kv.numTokensMax, `sequence ${seqId} computes tokens it has no blocks for`);
}

/** @param parts of all steps in flight, the oldest first */
function checkInFlight(sequence: Sequence, parts: readonly PlannedPart[]): void {
  const { seqId, row, kv, numStepsInFlight, numUnknownTokens } = sequence;
  const own = parts.filter((part) => part.sequence === sequence);
  const numSampling = own.filter(({ output }) => output === OUTPUT_SAMPLE).length;
  assert(own.length === numStepsInFlight, `sequence ${seqId} is in ${own.length} steps, counted ${numStepsInFlight}`);
  assert(numSampling === numUnknownTokens, `sequence ${seqId} samples ${numSampling}, counted ${numUnknownTokens}`);
  const last = own.at(-1);
  if (last !== undefined && last.row === row) kv.checkBounds(last.numTokens);
}
