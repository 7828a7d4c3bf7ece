import type { StepPlan, StepResult } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { DEFAULT_TENANT } from "../../proto/tenant.js";
import { AdmissionRoom } from "./admission-room.js";
import { checkSpec, expectFirstToken, type Outlook } from "./admission.js";
import type { BlockPool } from "./block-pool.js";
import { KvMemory } from "./kv-memory.js";
import { numBlocksMissing, numStepsThatFit, takeBlocks } from "./granted-steps.js";
import { arrive, type PlannedPart, type PlannedStep } from "./planned-step.js";
import { orderOf, type SequenceOrder } from "./policy.js";
import type { PrefixCacheObserver } from "./prefix-cache.js";
import type { PrefixHit } from "./prefix-chain.js";
import { MaskedSequences } from "./masked-sequences.js";
import { numBlocksUsed, type SchedulerStats } from "./scheduler-stats.js";
import { ResultReader } from "./result-reader.js";
import { RowPool } from "./row-pool.js";
import { checkSchedulerConfig, type SchedulerConfig } from "./scheduler-config.js";
import { isDueBefore, Sequence, type FinishReason } from "./sequence.js";
import type { SequenceEnd, SequenceSpec } from "./sequence.js";
import { outOfBlocks, overdue } from "./sequence-errors.js";
import { checkInFlight, checkOrder, checkQueues, checkRunning } from "./sequence-checks.js";
import { SequenceHeap } from "./sequence-heap.js";
import { addEnd, outputFor, tokenOutput, type SequenceLogits, type SequenceOutput } from "./sequence-output.js";
import { StepDraft } from "./step-draft.js";
import { StepsInFlight } from "./steps-in-flight.js";
import { StepPace } from "./step-pace.js";
import { victimsToAdmit, victimToGrow, type Sharing, type Shortage } from "./victims.js";
import type { TenantAccount } from "./tenant-account.js";
import { WaitingQueue } from "./waiting-queue.js";
import { whoYields } from "./yielding.js";

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
 * From `runAhead` 2 on a plan after which everybody decodes grants steps: a run, which the ranks go through without another
 * plan. Its steps count as planned. Behind it only what continues it is planned, since it may end early: with the first
 * sequence that ends, or because there is something else to do (`mustEndRun`).
 *
 * Starts in epoch 1; step ids start at 1 in each epoch.
 */
export class Scheduler {
  readonly #config: SchedulerConfig;
  readonly #log: Logger;
  readonly #memory: KvMemory;
  readonly #pool: BlockPool;
  readonly #rows: RowPool;
  readonly #room: AdmissionRoom;

  /** Every sequence that has not ended. */
  readonly #sequences = new Map<number, Sequence>();
  readonly #waiting: WaitingQueue;
  /** In the order of `#isBefore`. */
  readonly #running: Sequence[] = [];
  readonly #isBefore: SequenceOrder;
  readonly #sharing: Sharing;
  readonly #deadlines = new SequenceHeap(isDueBefore, ({ state }) => state !== "ended");
  readonly #masked = new MaskedSequences();
  /** Outputs of sequences that ended outside `apply`. */
  #ended: SequenceOutput[] = [];
  readonly #pace: StepPace;
  readonly #outlook: Outlook;

  #epoch = 1;
  /** There is something to do that the run in flight does not. */
  #isRunStale = false;
  /** Steps without a result, the oldest first; at most runAhead + 1. */
  readonly #inFlight = new StepsInFlight();
  /** Who was preempted for the step being planned. */
  readonly #justPreempted = new Set<Sequence>();
  /** The step being planned took blocks from one running sequence for another. */
  #isShort = false;
  /** Tenants that leave the step being planned to others. */
  #yielding: ReadonlySet<TenantAccount> | null = null;
  /** Tokens over weight by which a tenant is far ahead. */
  readonly #lead: number;
  /** Most steps that the ranks of this epoch take beyond the one that runs; the configured depth may be less. */
  runAheadMax = Infinity;
  #numAdded = 0;
  #numPreemptions = 0;
  #numScheduledTokens = 0;

  constructor(config: SchedulerConfig, log: Logger, cacheObserver?: PrefixCacheObserver) {
    checkSchedulerConfig(config);
    this.#config = config;
    this.#log = log;
    this.#memory = new KvMemory(config, cacheObserver);
    this.#pool = this.#memory.pool;
    this.#rows = new RowPool(config.maxSequences);
    this.#room = new AdmissionRoom(config, this.#memory, this.#rows, this.#running);
    const { policy = "fair", tenantWeights = {}, maxBatchedTokens, targetStepMs = null } = config;
    this.#lead = LEAD_STEPS * maxBatchedTokens;
    this.#waiting = new WaitingQueue(policy, tenantWeights, CREDIT_STEPS * maxBatchedTokens);
    this.#isBefore = orderOf(policy);
    this.#sharing = { numRows: config.maxSequences, numBlocks: this.#pool.numTotal };
    this.#pace = new StepPace({ maxBatchedTokens, targetStepMs, stepCost: config.stepCost ?? DEFAULT_STEP_COST });
    this.#outlook = { config, memory: this.#memory, waiting: this.#waiting, pace: this.#pace };
  }

  /**
   * Puts a sequence into the waiting queue.
   * @param nowMs monotonic milliseconds
   * @throws MoesaicError invalid_argument: empty or too long a prompt, a token id outside the vocabulary, a seqId in use.
   *   resource_exhausted: the queue is full, or the first token would come too late (both with retryAfterMs), or the prompt
   *   does not fit the KV blocks at all
   */
  add(spec: SequenceSpec, nowMs: number): void {
    const account = this.#waiting.accountOf(spec.tenant ?? DEFAULT_TENANT);
    const { numWaiting } = account;
    checkSpec(spec, {
      config: this.#config,
      shape: this.#memory.shape,
      numWaiting,
      isLive: this.#sequences.has(spec.seqId),
    });
    const sequence = this.#memory.sequenceOf(spec, account, nowMs, this.#numAdded);
    sequence.expectedMs = expectFirstToken(spec, sequence, this.#outlook, nowMs);
    this.#numAdded++;
    account.numLive++;
    this.#sequences.set(sequence.seqId, sequence);
    this.#waiting.push(sequence);
    this.#isRunStale = true;
    if (sequence.deadlineMs !== null) this.#deadlines.push(sequence);
    this.#masked.add(sequence);
  }

  /** How many tokens of a sequence it would not compute, were it admitted now. Changes nothing. */
  numCachedTokens(spec: SequenceSpec): number {
    const account = this.#waiting.accountOf(spec.tenant ?? DEFAULT_TENANT);
    return this.#memory.numCachedTokens(spec, account);
  }

  /** What a step of so many tokens takes, by those measured last; null: too few were. */
  measuredStepMs(numTokens: number): number | null {
    return this.#pace.measuredStepMs(numTokens);
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

  /** Whether a step may be planned before another result. A run is continued when half of it is left, not at each step. */
  get mayPlan(): boolean {
    const numInFlight = this.#inFlight.count;
    if (this.#inFlight.isRun) return !this.#isRunStale && numInFlight <= Math.floor(this.#runAhead / 2);
    if (numInFlight <= Math.min(1, this.#runAhead)) return true;
    return numInFlight <= this.#runAhead && !this.#running.some(({ needsHost }) => needsHost);
  }

  /** Whether the ranks are to end the run that they are in: only then the next step can be planned. */
  get mustEndRun(): boolean {
    return this.#inFlight.isRun && this.#isRunStale;
  }

  get #runAhead(): number {
    return Math.min(this.#config.runAhead ?? 0, this.runAheadMax);
  }

  /** The step whose result comes next. */
  get oldestInFlight(): PlannedStep | undefined {
    return this.#inFlight.oldest;
  }

  get numStepsInFlight(): number {
    return this.#inFlight.count;
  }

  /**
   * Picks the tokens of the next step: decodes, then prefills and admissions, each in order of service.
   * @param nowMs monotonic milliseconds
   * @returns null when there is nothing to compute: no sequence is alive, or all wait for results of steps in flight or for
   *   their masks
   */
  schedule(nowMs: number): StepPlan | null {
    assert(this.mayPlan, () => `step ${this.#inFlight.oldest?.stepId} has no result yet`);
    this.#memory.nowMs = nowMs;
    this.#endOverdue(nowMs);
    this.#masked.ask((sequence, error) => this.#endNow(sequence, { finish: "error", error }));
    if (this.#inFlight.isRun) return this.#continueRun(nowMs);
    this.#isRunStale = false;
    const draft = new StepDraft(this.#config.maxBatchedTokens, this.#config.maxLogitRows);
    this.#justPreempted.clear();
    this.#isShort = false;
    this.#fill(draft, nowMs);
    if (draft.sequences.length > 0) return this.#dispatch(draft, nowMs);
    const isWaiting = this.#sequences.size === 0 || this.#inFlight.count > 0 || this.#waitsForMask;
    assert(isWaiting, `${this.#sequences.size} sequences are alive and none can run`);
    return null;
  }

  /**
   * Takes the result of the oldest step in flight. A result that comes twice, or from an earlier epoch, changes nothing. The
   * last of a run that ended early says that what was planned behind it is not run.
   * @param nowMs monotonic milliseconds   @returns an output per sequence that got a token or logits or ended, in the plan's order
   */
  apply(result: StepResult, nowMs: number): SequenceOutput[] {
    if (result.epoch < this.#epoch) return [];
    assert(result.epoch === this.#epoch, () => `step ${result.stepId} was never planned`);
    if (this.#inFlight.isTaken(result.stepId)) return [];
    this.#memory.nowMs = nowMs;
    const step = this.#inFlight.take(result);
    if (step.isGranted) this.#numScheduledTokens += step.parts.length;
    // What might not have been run counts from now on.
    if (!step.isCertain) for (const part of step.parts) this.#waiting.ran(part);
    this.#pace.applied(step.size, nowMs);
    const reader = new ResultReader(result, this.#config.vocabSize);
    const outputs: SequenceOutput[] = [];
    for (const part of step.parts) {
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
   * A lost world: its rows, blocks and steps in flight are gone, and with them what the prefix cache knew. Every running
   * sequence waits again, with its tokens and its place in the order of service.
   * @param epoch the new one, above the last
   */
  reset(epoch: number): void {
    assert(epoch > this.#epoch, `epoch ${epoch} does not follow ${this.#epoch}`);
    const numLost = this.#running.length;
    this.#epoch = epoch;
    this.#inFlight.reset();
    for (const sequence of this.#sequences.values()) sequence.forgetSteps();
    for (const sequence of [...this.#running]) this.#putBack(sequence);
    // Who waited already may have waited with tokens that now nobody will sample.
    for (const sequence of this.#sequences.values()) sequence.account.setPending(sequence, sequence.numTokens);
    this.#rows.reset();
    this.#memory.clear();
    this.#log.info({ epoch, numSeqs: numLost }, "running sequences were put back");
  }

  stats(): SchedulerStats {
    return {
      numRunning: this.#running.length,
      numWaiting: this.#sequences.size - this.#running.length,
      numBlocksUsed: numBlocksUsed(this.#running, this.#config.kvGroups),
      numBlocksTotal: this.#pool.numTotal,
      numBlocksFree: this.#pool.numFree,
      numPreemptions: this.#numPreemptions,
      numScheduledTokens: this.#numScheduledTokens,
      prefixCache: this.#memory.cacheStats(),
    };
  }

  /** Recounts every block, reference, row and queue. O(live sequences + blocks). @throws MoesaicError internal */
  check(): void {
    const waiting = this.#waiting.members();
    checkQueues(waiting, this.#running, this.#sequences);
    checkOrder(this.#running, this.#isBefore);
    this.#waiting.check([...this.#sequences.values()]);
    this.#memory.check(this.#sequences.values());
    this.#rows.check(this.#running.map(({ row }) => row));
    for (const sequence of this.#running) checkRunning(sequence);
    const { parts } = this.#inFlight;
    for (const sequence of this.#sequences.values()) checkInFlight(sequence, parts, this.#config.runAhead ?? 0);
  }

  // ---- schedule

  #endOverdue(nowMs: number): void {
    for (;;) {
      const sequence = this.#deadlines.first();
      if (sequence === undefined || sequence.deadlineMs! > nowMs) return;
      this.#deadlines.shift();
      this.#endNow(sequence, { finish: "abort", error: overdue(sequence) });
    }
  }

  /** Who runs and waits for its mask keeps its blocks, and the first of the queue holds back those behind it. */
  get #waitsForMask(): boolean {
    return this.#running.some(({ lacksMask }) => lacksMask) || this.#waiting.first()?.lacksMask === true;
  }

  /** Tenants far ahead of one that prefills leave the step to it, if it can use it. */
  #fill(draft: StepDraft, nowMs: number): void {
    const decodes: Sequence[] = [];
    const prefills: Sequence[] = [];
    for (const sequence of this.#running) {
      if (sequence.isDecoding) decodes.push(sequence);
      else if (sequence.numRemainingTokens > 0) prefills.push(sequence);
    }
    if (prefills.length > 1) prefills.sort((a, b) => (this.#waiting.isServedBefore(a, b) ? -1 : 1));
    this.#yielding = this.#whoYields(decodes, prefills, nowMs);
    this.#scheduleDecodes(decodes, draft);
    this.#schedulePrefills(prefills, draft, nowMs);
    if (this.#yielding === null) return;
    const isUsed = draft.numTokens > draft.numDecodes;
    for (const account of this.#yielding) account.pausedMs = isUsed ? (account.pausedMs ?? nowMs) : null;
    if (isUsed) return;
    this.#yielding = null;
    this.#scheduleDecodes(decodes, draft);
    this.#schedulePrefills(prefills, draft, nowMs);
  }

  #whoYields(decodes: readonly Sequence[], prefills: readonly Sequence[], nowMs: number): Set<TenantAccount> | null {
    const { targetStepMs = null, policy = "fair" } = this.#config;
    const [prefill] = prefills;
    const waiting = this.#waiting.first();
    const isFirst = waiting !== undefined && (prefill === undefined || this.#waiting.isServedBefore(waiting, prefill));
    const first = isFirst ? waiting : prefill;
    if (policy !== "fair" || targetStepMs === null || first === undefined) return null;
    const numStepTokens = this.#pace.numTokens(decodes.length);
    const yielding = whoYields(decodes, first, numStepTokens, { lead: this.#lead, targetStepMs }, nowMs);
    for (const { account } of decodes) if (!yielding.has(account)) account.pausedMs = null;
    return yielding.size === 0 ? null : yielding;
  }

  #scheduleDecodes(decodes: readonly Sequence[], draft: StepDraft): void {
    for (const sequence of decodes) if (this.#isLeft(sequence)) this.#scheduleChunk(sequence, draft);
    draft.limitTokens(this.#pace.numTokens(draft.numDecodes));
  }

  /** Running prefills and admissions in one order: a long prompt does not keep out who is served before it. */
  #schedulePrefills(prefills: readonly Sequence[], draft: StepDraft, nowMs: number): void {
    for (const sequence of prefills) {
      this.#admit(draft, nowMs, sequence);
      if (this.#isLeft(sequence)) this.#scheduleChunk(sequence, draft);
    }
    this.#admit(draft, nowMs, null);
  }

  /** Runs, was not preempted for another, is not in the step yet, and its tenant takes part in it. */
  #isLeft({ state, numScheduledTokens, account }: Sequence): boolean {
    return state === "running" && numScheduledTokens === 0 && this.#yielding?.has(account) !== true;
  }

  #scheduleChunk(sequence: Sequence, draft: StepDraft): void {
    const chunk = draft.chunkFor(sequence);
    if (chunk === 0) return;
    const numTokens = this.#makeRoom(sequence, chunk, draft);
    if (numTokens > 0) this.#schedule(sequence, numTokens, draft);
  }

  /**
   * Finds blocks for up to `chunk` tokens: fewer tokens rather than a preemption, which loses work, but at least one at
   * the cost of others. @returns 0 when the sequence itself had to go
   */
  #makeRoom(sequence: Sequence, chunk: number, draft: StepDraft): number {
    if (sequence.numComputedTokens + chunk <= sequence.kvUnchangedUntil) return chunk;
    sequence.kv.freeBehindWindow(sequence.numComputedTokens);
    for (;;) {
      const numTokens = sequence.kv.numTokensThatFit(sequence.numComputedTokens, chunk);
      if (numTokens > 0) return numTokens;
      if (this.#running.length === 1) {
        // A step in flight may end it otherwise, and has its token for it in any case.
        if (sequence.numStepsInFlight === 0) this.#endOutOfBlocks(sequence);
        return 0;
      }
      const victim = victimToGrow(this.#running, sequence, this.#sharing);
      this.#isShort = true;
      this.#preempt(victim, draft);
      if (victim === sequence) return 0;
    }
  }

  #schedule(sequence: Sequence, numTokens: number, draft: StepDraft): void {
    sequence.growKv(sequence.numComputedTokens + numTokens);
    draft.add(sequence, numTokens);
    sequence.publishPrefix();
  }

  #preempt(sequence: Sequence, draft: StepDraft): void {
    const { seqId, requestId, numComputedTokens } = sequence;
    draft.drop(sequence);
    this.#memory.retract(sequence);
    this.#putBack(sequence);
    this.#justPreempted.add(sequence);
    this.#numPreemptions++;
    this.#log.debug({ seqId, requestId, numComputedTokens }, "sequence was preempted");
  }

  /**
   * Admits in strict order: who comes first and does not fit holds back the rest. A sequence begins behind what the prefix
   * cache has of it, the blocks that this step fills included. It fits when a row is free, and blocks for all of its known tokens, beside what running prefills still need and the margin for decodes: half a prefill
   * that is preempted is work for nothing. What other tenants hold above their share counts as free. One that was preempted
   * with steps in flight waits for their results, which it replays.
   * @param before the running sequence before which who is admitted is served; null: anybody
   */
  #admit(draft: StepDraft, nowMs: number, before: Sequence | null): void {
    let numPromised: number | null = null;
    for (;;) {
      const sequence = this.#nextToAdmit(before);
      if (sequence === undefined || draft.numTokensLeft === 0) return;
      numPromised ??= this.#room.numBlocksPromised;
      if (this.#room.isStillShort(sequence, numPromised)) return;
      let hit = sequence.findPrefix();
      if (draft.chunkFor(sequence, this.#memory.tokensOf(hit)) === 0) return;
      const shortage = this.#room.shortageOf(sequence, hit, numPromised);
      if (shortage !== null) {
        this.#takeShare(sequence.account, shortage, draft);
        numPromised = this.#room.numBlocksPromised;
        hit = sequence.findPrefix();
        if (this.#room.shortageOf(sequence, hit, numPromised) !== null) return;
      }
      const chunk = draft.chunkFor(sequence, this.#memory.tokensOf(hit));
      this.#start(sequence, hit, nowMs);
      // With nothing else running there is nobody to protect: what fits is right, and an empty pool fits at least one token.
      const numTokens = this.#makeRoom(sequence, chunk, draft);
      if (numTokens > 0) this.#schedule(sequence, numTokens, draft);
      numPromised += this.#memory.numBlocksPromised(sequence);
    }
  }

  /** Who was preempted just now would come straight back and be preempted again, unless nothing runs. */
  #nextToAdmit(before: Sequence | null): Sequence | undefined {
    const isFree = this.#running.length === 0;
    if (this.#isShort && !isFree) return undefined;
    const sequence = this.#waiting.first();
    if (sequence === undefined || sequence.numStepsInFlight > 0) return undefined;
    if (this.#justPreempted.has(sequence) && !isFree) return undefined;
    if (this.#yielding?.has(sequence.account) === true) return undefined;
    return before === null || this.#waiting.isServedBefore(sequence, before) ? sequence : undefined;
  }

  /** Takes nothing when other tenants do not hold enough more than this one. */
  #takeShare(account: TenantAccount, shortage: Shortage, draft: StepDraft): void {
    if (account.numRunning === this.#running.length) return;
    const victims = victimsToAdmit(this.#running, account, shortage, this.#sharing);
    for (const victim of victims) this.#preempt(victim, draft);
  }

  #start(sequence: Sequence, hit: PrefixHit, nowMs: number): void {
    this.#waiting.take(sequence);
    this.#memory.begin(sequence, hit);
    sequence.account.setPending(sequence, sequence.numRemainingTokens);
    sequence.state = "running";
    sequence.row = this.#rows.take();
    sequence.isRowNew = true;
    sequence.toldMask = null;
    sequence.scheduledMs ??= nowMs;
    let index = this.#running.length;
    while (index > 0 && this.#isBefore(sequence, this.#running[index - 1]!)) index--;
    this.#running.splice(index, 0, sequence);
    sequence.account.numRunning++;
  }

  /**
   * More of the run in flight, with the sequences that are in it. Its end may still come early; so nothing is given up that
   * an earlier step would need, and nobody is preempted.
   */
  #continueRun(nowMs: number): StepPlan | null {
    const last = this.#inFlight.newest!;
    const sequences = last.parts.map(({ sequence }) => sequence);
    if (this.#isRunStale || sequences.some(({ numRemainingTokens }) => numRemainingTokens === 0)) return null;
    for (const { sequence, row, position } of this.#inFlight.oldest!.parts) {
      if (sequence.row === row) sequence.kv.freeBehindWindow(position);
    }
    if (numBlocksMissing(sequences, 1) > this.#pool.numFree) return null;
    const draft = new StepDraft(this.#config.maxBatchedTokens, this.#config.maxLogitRows);
    for (const sequence of sequences) this.#schedule(sequence, 1, draft);
    return this.#dispatch(draft, nowMs, last.stepId);
  }

  /** Takes the blocks for as many further steps as the ranks may run by themselves. @returns how many */
  #grant({ sequences, canRunOn }: StepDraft): number {
    // Nobody is left behind, and at depth 1 the next plan is as far ahead as the grant would be.
    const isForAll = sequences.length === this.#running.length && this.#sequences.size === this.#running.length;
    if (this.#runAhead < 2 || !canRunOn || !isForAll) return 0;
    const numSteps = numStepsThatFit(sequences, this.#runAhead - this.#inFlight.count, this.#pool.numFree);
    takeBlocks(sequences, numSteps);
    return numSteps;
  }

  /** @param followsStepId the last of the run that it continues, 0 when it continues none */
  #dispatch(draft: StepDraft, nowMs: number, followsStepId = 0): StepPlan {
    const numGrantedSteps = this.#grant(draft);
    const plan = draft.toPlan({
      epoch: this.#epoch,
      stepId: this.#inFlight.nextStepId,
      numGrantedSteps,
      followsStepId,
      numGroups: this.#config.kvGroups.length,
      finishedRows: this.#rows.takeEnded(),
    });
    const isCertain = followsStepId === 0;
    assert(isCertain || plan.finishedRows.length === 0, "a row ended and its run goes on");
    this.#numScheduledTokens += plan.tokenIds.length;
    const isBacklogged = this.#sequences.size > this.#running.length;
    const size = { numTokens: draft.numTokens, numDecodes: draft.numDecodes, isBacklogged, plannedMs: nowMs };
    for (const part of this.#inFlight.send(draft, numGrantedSteps, size, isCertain))
      if (isCertain) this.#waiting.planned(part);
    return plan;
  }

  // ---- apply

  #applyTo(part: PlannedPart, reader: ResultReader, nowMs: number): SequenceOutput | null {
    // Read even for a sequence that has ended meanwhile: the result has its part.
    const sampleIndex = reader.sampleOf(part);
    const logits = reader.logits(part);
    arrive(part);
    const { sequence } = part;
    if (sequence.state === "ended") return null;
    if (logits !== null) return this.#applyLogits(sequence, logits);
    return sampleIndex < 0 ? null : this.#applySample(sequence, reader, sampleIndex, nowMs);
  }

  #applySample(sequence: Sequence, reader: ResultReader, index: number, nowMs: number): SequenceOutput {
    const tokenId = reader.tokenId(index);
    const end = sequence.append(tokenId, reader.finish(index));
    if (sequence.firstTokenMs === null) this.#firstTokenCame(sequence, nowMs);
    const output = tokenOutput(sequence, tokenId);
    reader.addLogprobs(output, index, sequence.numTopLogprobs);
    return end === null ? output : this.#end(sequence, output, end);
  }

  #firstTokenCame(sequence: Sequence, nowMs: number): void {
    sequence.firstTokenMs = nowMs;
    if (sequence.expectedMs !== null) this.#pace.firstTokenCame(sequence.expectedMs, nowMs - sequence.arrivalMs);
  }

  #applyLogits(sequence: Sequence, logits: SequenceLogits): SequenceOutput {
    sequence.numReturnedLogits = logits.position + logits.numTokens;
    const output = { ...outputFor(sequence), logits };
    if (sequence.numReturnedLogits < sequence.numTokens) return output;
    return this.#end(sequence, output, { finish: "length" });
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
    else this.#waiting.drop(sequence);
    sequence.state = "ended";
    sequence.account.setPending(sequence, 0);
    sequence.account.numLive--;
    if (sequence.numStepsInFlight > 0) this.#isRunStale = true;
    this.#sequences.delete(sequence.seqId);
    this.#masked.delete(sequence);
    addEnd(output, sequence, end);
    return output;
  }

  #endNow(sequence: Sequence, end: SequenceEnd): void {
    this.#ended.push(this.#end(sequence, outputFor(sequence), end));
  }

  #endOutOfBlocks(sequence: Sequence): void {
    const { seqId, requestId, numTokens } = sequence;
    const numBlocks = this.#pool.numTotal;
    this.#log.warn({ seqId, requestId, numTokens, numBlocks }, "sequence ran out of KV blocks");
    this.#endNow(sequence, { finish: "error", error: outOfBlocks(sequence, numBlocks) });
  }

  #leave(sequence: Sequence): void {
    const index = this.#running.lastIndexOf(sequence);
    assert(index >= 0, `sequence ${sequence.seqId} is not running`);
    assert(sequence.numScheduledTokens === 0, `sequence ${sequence.seqId} is in the step being planned`);
    this.#running.splice(index, 1);
    sequence.account.numRunning--;
    sequence.publishPrefix();
    sequence.freeKv();
    this.#rows.release(sequence.row, !sequence.isRowNew);
    sequence.row = -1;
  }
}

/** Full steps that a tenant which comes to wait may have before the others, and by which these are far ahead of it. */
const CREDIT_STEPS = 4;
const LEAD_STEPS = 2;
/** Of no machine: a step or two of any put it right. */
const DEFAULT_STEP_COST = { fixedMs: 1, perTokenMs: 0.1 };
