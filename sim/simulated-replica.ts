import type { Lane } from "../coordinator/cluster/router.js";
import { EngineLoop, type OutputListener } from "../coordinator/engine-loop.js";
import { Scheduler } from "../coordinator/scheduler/scheduler.js";
import type { SchedulerConfig } from "../coordinator/scheduler/scheduler-config.js";
import type { FinishReason, SequenceSpec } from "../coordinator/scheduler/sequence.js";
import type { PlanCost } from "../plans/cost.js";
import type { Clock } from "../proto/clock.js";
import { silentLogger } from "../proto/log.js";
import { SimulatedRanks, type StepTotals } from "./simulated-ranks.js";

/** The scheduler and the engine loop of a replica, as they are, on ranks that are not there. It is always ready. */
export class SimulatedReplica implements Lane {
  readonly availability = "ready";
  readonly reason = "";
  readonly replicaId: number;
  /** Most KV blocks in use after any step, a part of the pool. */
  kvUseMost = 0;
  readonly #scheduler: Scheduler;
  readonly #ranks: SimulatedRanks;
  readonly #loop: EngineLoop;
  readonly #maxSequences: number;

  constructor(replicaId: number, cost: PlanCost, config: SchedulerConfig, clock: Clock) {
    this.replicaId = replicaId;
    this.#maxSequences = config.maxSequences;
    this.#scheduler = new Scheduler(config, silentLogger);
    this.#ranks = new SimulatedRanks(cost, clock);
    const observer = { stepFinished: () => this.#stepFinished() };
    this.#loop = new EngineLoop(this.#scheduler, this.#ranks, observer, clock, silentLogger);
    void this.#loop.run();
  }

  get isFull(): boolean {
    return this.#loop.numLive >= this.#maxSequences;
  }

  measuredStepMs(numTokens: number): number | null {
    return this.#scheduler.measuredStepMs(numTokens);
  }

  numCachedTokens(spec: SequenceSpec): number {
    return this.#scheduler.numCachedTokens(spec);
  }

  get totals(): StepTotals {
    return this.#ranks.totals;
  }

  get numPreemptions(): number {
    return this.#scheduler.stats().numPreemptions;
  }

  submit(spec: SequenceSpec, listener: OutputListener): void {
    this.#loop.submit(spec, listener);
  }

  abort(seqId: number, finish?: FinishReason): void {
    this.#loop.abort(seqId, finish);
  }

  stop(): void {
    this.#loop.stop();
  }

  #stepFinished(): void {
    const { numBlocksFree, numBlocksTotal } = this.#scheduler.stats();
    this.kvUseMost = Math.max(this.kvUseMost, 1 - numBlocksFree / numBlocksTotal);
  }
}
