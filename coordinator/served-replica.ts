import { randomInt } from "node:crypto";
import type { SchedulerSpec } from "../plans/cluster-spec.js";
import { kvGroupsOf } from "../plans/kv-groups.js";
import type { ChosenLimits } from "../plans/memory.js";
import type { ModelDescription } from "../plans/model-description.js";
import type { Clock } from "../proto/clock.js";
import { assert, MoesaicError } from "../proto/errors.js";
import type { Logger } from "../proto/log.js";
import type { v1 } from "../proto/messages.js";
import { PlacementPolicy, type PlacementOptions } from "./cluster/placement.js";
import { rankStatus } from "./cluster/rank-status.js";
import type { Replica } from "./cluster/replica.js";
import { ReplicaExecutor } from "./cluster/replica-executor.js";
import type { Lane } from "./cluster/router.js";
import { EngineLoop, type LiveSequence, type OutputListener } from "./engine-loop.js";
import type { ReplicaMetrics } from "./metrics.js";
import { keyedBlockHash } from "./scheduler/block-hash.js";
import type { SchedulerStats } from "./scheduler/scheduler-stats.js";
import { Scheduler } from "./scheduler/scheduler.js";
import { schedulingPoliciesOf, type SchedulerConfig } from "./scheduler/scheduler-config.js";
import type { StepCostLine } from "./scheduler/step-times.js";
import type { FinishReason, SequenceSpec } from "./scheduler/sequence.js";

/** One for all replicas, which share what they hash; with a key that whoever sends prompts cannot know. */
const BLOCK_HASH = keyedBlockHash([randomInt(2 ** 32), randomInt(2 ** 32)]);

export interface ServedReplicaOptions {
  replica: Replica;
  placement: PlacementOptions;
  description: ModelDescription;
  scheduler: SchedulerSpec;
  runAhead: number;
  recoveryTimeoutMs: number;
  metrics: ReplicaMetrics;
  clock: Clock;
  log: Logger;
}

interface Serving {
  scheduler: Scheduler;
  loop: EngineLoop;
  limits: ChosenLimits;
}

/** Who takes over what a replica that leaves has not finished. */
export interface Heirs {
  areReady(): boolean;
  adopt(sequences: LiveSequence[]): void;
}

/** A replica with what serves it, from its first world on: a scheduler and an engine loop of its own. */
export class ServedReplica implements Lane {
  readonly replica: Replica;
  readonly replicaId: number;
  readonly #options: ServedReplicaOptions;
  readonly #placement: PlacementPolicy;
  readonly #executor: ReplicaExecutor;
  #serving: Serving | null = null;
  #isLeaving = false;

  constructor(options: ServedReplicaOptions) {
    const { replica, placement, log } = options;
    this.replica = replica;
    this.replicaId = replica.replicaId;
    this.#options = options;
    this.#placement = new PlacementPolicy(placement, log.child({ replicaId: replica.replicaId }));
    this.#executor = new ReplicaExecutor(replica, this.#placement);
  }

  get isServing(): boolean {
    return this.#serving !== null;
  }

  /** Whether it may still come to serve: it has not failed, is not drained, and nobody drains it. */
  get isOpen(): boolean {
    return !this.#isLeaving && this.replica.state !== "failed" && this.replica.state !== "closed";
  }

  get availability(): Lane["availability"] {
    const { state, seats } = this.replica;
    if (this.#serving === null || !this.isOpen) return "away";
    if (state === "ready") return "ready";
    return seats.every(({ connection }) => connection !== null) ? "recovering" : "away";
  }

  get reason(): string {
    return this.#isDraining ? "it is being drained" : this.replica.reason;
  }

  get #isDraining(): boolean {
    return this.#isLeaving && this.replica.state !== "closed" && this.replica.state !== "failed";
  }

  get isFull(): boolean {
    return this.#serving !== null && this.#serving.loop.numLive >= this.#serving.limits.limits.maxSequences;
  }

  measuredStepMs(numTokens: number): number | null {
    return this.#serving?.scheduler.measuredStepMs(numTokens) ?? null;
  }

  numCachedTokens(spec: SequenceSpec): number {
    return this.#serving?.scheduler.numCachedTokens(spec) ?? 0;
  }

  /** To be called on every change of the replica. */
  replicaChanged(): void {
    this.#executor.replicaChanged();
  }

  /** Begins to serve. @param onFailed takes the sequences when the replica has failed for good */
  serve(limits: ChosenLimits, onFailed: (orphans: LiveSequence[]) => void): void {
    assert(this.#serving === null, "a replica begins to serve once");
    const { clock, log, metrics, recoveryTimeoutMs } = this.#options;
    const scheduler = new Scheduler(schedulerConfigOf(this.#options, limits), log, metrics.prefixCache);
    const loop = new EngineLoop(scheduler, this.#executor, metrics, clock, log, recoveryTimeoutMs);
    loop.onFailed = onFailed;
    this.#serving = { scheduler, loop, limits };
    void loop.run();
  }

  submit(spec: SequenceSpec, listener: OutputListener): void {
    if (this.#serving === null) throw new MoesaicError("unavailable", `replica ${this.replicaId}: ${this.reason}`);
    this.#serving.loop.submit(spec, (output) => {
      if (output.finish !== undefined) this.#options.metrics.sequenceEnded(spec.promptTokenIds.length);
      listener(output);
    });
  }

  abort(seqId: number, finish?: FinishReason): void {
    this.#serving?.loop.abort(seqId, finish);
  }

  /** Finishes what runs, in at most `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    await this.#serving?.loop.drain(graceMs);
  }

  stop(): void {
    this.#serving?.loop.stop();
  }

  /**
   * Leaves the cluster: accepts nothing new and finishes what runs. Whenever `graceMs` have passed what is left is handed over,
   * if there is somebody to take it. Then the ranks leave, in `rankGraceMs`.
   * @returns sequences that were finished here
   */
  async leave(graceMs: number, rankGraceMs: number, heirs: Heirs): Promise<number> {
    this.#isLeaving = true;
    const numFinished = this.#serving === null ? 0 : await this.#runOut(this.#serving.loop, graceMs, heirs);
    this.stop();
    await this.replica.drain(rankGraceMs);
    return numFinished;
  }

  async #runOut(loop: EngineLoop, graceMs: number, heirs: Heirs): Promise<number> {
    const numLive = loop.numLive;
    let isIdle = false;
    let numHandedOver = 0;
    const idle = loop.drain(Infinity).then(() => (isIdle = true));
    for (;;) {
      await this.#within(graceMs, idle);
      if (isIdle) return numLive - numHandedOver;
      if (!heirs.areReady()) continue;
      const sequences = loop.handOver();
      numHandedOver += sequences.length;
      heirs.adopt(sequences);
    }
  }

  async #within(ms: number, done: Promise<unknown>): Promise<void> {
    let cancelTimer = () => {};
    const timeout = new Promise<void>((resolve) => {
      cancelTimer = this.#options.clock.setTimer(ms, resolve);
    });
    await Promise.race([done, timeout]);
    cancelTimer();
  }

  stats(): SchedulerStats | null {
    return this.#serving?.scheduler.stats() ?? null;
  }

  status(): v1.ReplicaStatus.$Properties {
    const { epoch, state, seats } = this.replica;
    return {
      replica_id: this.replicaId,
      epoch,
      state: this.#isDraining ? "draining" : state,
      reason: this.reason,
      ranks: seats.map((seat) => rankStatus(seat, this.replica)),
      placements: this.#placement.records().map((record) => ({
        num_tokens_max: record.numTokensMax,
        placement: record.placement,
        replicated_ms: record.replicatedMs,
        sharded_ms: record.shardedMs,
      })),
      ...(this.#serving === null ? {} : { scheduler: this.#schedulerStatus(this.#serving) }),
    };
  }

  #schedulerStatus({ scheduler, limits }: Serving): v1.SchedulerStatus.$Properties {
    const stats = scheduler.stats();
    const { totals } = this.#options.metrics;
    const { maxBatchedTokens, maxSequences, maxSeqLen, blockSize, numBlocks } = limits.limits;
    return {
      num_running: stats.numRunning,
      num_waiting: stats.numWaiting,
      num_blocks: numBlocks,
      num_free_blocks: stats.numBlocksFree,
      kv_groups: kvGroupsOf(this.#options.description).map(({ kind, window }) => ({
        group: kind,
        num_used_blocks: stats.numBlocksUsed[kind],
        window,
      })),
      num_steps: totals.numSteps,
      num_preemptions: stats.numPreemptions,
      num_prompt_tokens: totals.numPromptTokens,
      num_output_tokens: totals.numOutputTokens,
      max_batched_tokens: maxBatchedTokens,
      max_sequences: maxSequences,
      max_model_len: maxSeqLen,
      block_size: blockSize,
    };
  }
}

/** What is decided of a replica's scheduler before its ranks are there. */
export type SchedulerSettings = Pick<ServedReplicaOptions, "description" | "scheduler" | "runAhead" | "placement">;

/** What a replica's scheduler is told: settings, and the limits that its ranks confirmed. */
export function schedulerConfigOf(settings: SchedulerSettings, { limits }: ChosenLimits): SchedulerConfig {
  const { description, scheduler, runAhead, placement } = settings;
  return {
    vocabSize: description.vocabSize,
    maxSeqLen: limits.maxSeqLen,
    blockSize: limits.blockSize,
    numBlocks: limits.numBlocks,
    kvGroups: kvGroupsOf(description),
    maxBatchedTokens: limits.maxBatchedTokens,
    maxSequences: limits.maxSequences,
    maxLogitRows: Math.min(limits.maxSequences, limits.maxBatchedTokens),
    maxWaiting: scheduler.maxWaiting,
    runAhead,
    ...schedulingPoliciesOf(scheduler),
    ...(scheduler.prefixCache ? { blockHash: BLOCK_HASH } : {}),
    stepCost: predictedStep(placement, limits.maxBatchedTokens),
  };
}

/** What steps are predicted to take, as a line through one token and a full step. */
function predictedStep(placement: PlacementOptions, maxBatchedTokens: number): StepCostLine {
  const predict = (numTokens: number): number =>
    Math.min(...placement.placements.map((one) => placement.predictMs(one, numTokens)));
  const perTokenMs = (predict(maxBatchedTokens) - predict(1)) / Math.max(1, maxBatchedTokens - 1);
  return { fixedMs: Math.max(0, predict(1) - perTokenMs), perTokenMs };
}

/** @throws MoesaicError failed_precondition when the replica is not open, or nobody could take its requests */
export function checkDrainable(served: ServedReplica, others: readonly ServedReplica[]): void {
  const { replicaId, isOpen, reason } = served;
  const refusal = (text: string) => new MoesaicError("failed_precondition", `replica ${replicaId} ${text}`);
  if (!isOpen) throw refusal(`has no ranks to drain: ${reason}`);
  if (others.length === 0) throw refusal("is the only one; drain the whole cluster instead (moesaic drain)");
  if (others.some(({ availability }) => availability !== "away")) return;
  const reasons = others.map((other) => `replica ${other.replicaId}: ${other.reason}`).join("; ");
  throw refusal(`is the only one that serves; wait for another, or drain the whole cluster (${reasons})`);
}
