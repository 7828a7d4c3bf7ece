import assert from "node:assert/strict";
import type { StepPlan, StepResult } from "../../proto/step.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import type { SchedulerConfig } from "../../coordinator/scheduler/scheduler-config.js";
import type { SequenceOutput } from "../../coordinator/scheduler/sequence-output.js";
import { FakeEngine } from "../../worker/fake-engine.js";
import { LazyRanks } from "./lazy-ranks.js";
import { OrderChecker, RequestChecker, TenantChecker } from "./checkers.js";
import { LATE_STEPS_MAX, randomConfig, randomRates, randomSpec, type FaultRates } from "./faults.js";
import { Random } from "../../sim/random.js";

/** What happened in a simulation; tests ask that everything did. */
export interface SimulationCounts {
  steps: number;
  /** Steps planned while others were in flight. */
  ahead: number;
  granted: number;
  /** Plans behind a run. */
  continued: number;
  /** Runs that had to end for something else. */
  ended: number;
  added: number;
  refused: number;
  resets: number;
  preemptions: number;
  /** Tokens that came from the prefix cache: at a first admission, and at a replay. */
  hitTokens: number;
  replayHitTokens: number;
  finishes: Record<string, number>;
}

/**
 * The scheduler and a fake engine in a random world, then until the world is at rest. Every plan is verified by the
 * engine, every output by the checkers, and the scheduler recounts itself twice a step. The same seed, the same run.
 * @throws on the first thing that is wrong
 */
export function simulate(seed: number, numSteps: number): SimulationCounts {
  const world = new World(new Random(seed));
  for (let i = 0; i < numSteps; i++) world.step();
  world.comeToRest();
  return world.counts();
}

/** Bounds the steps that sequences still alive may need; more means that they go in circles. */
const REST_STEPS_MAX = 20_000;

class World {
  readonly #random: Random;
  readonly #config: SchedulerConfig;
  readonly #rates: FaultRates;
  readonly #scheduler: Scheduler;
  readonly #requests: RequestChecker;
  readonly #order: OrderChecker;
  readonly #tenants: TenantChecker;
  readonly #counts = {
    steps: 0,
    ahead: 0,
    granted: 0,
    continued: 0,
    ended: 0,
    added: 0,
    refused: 0,
    resets: 0,
    finishes: {} as Record<string, number>,
  };
  #ranks: LazyRanks;
  /** On their way back, the oldest first. */
  #results: StepResult[] = [];
  /** Of the last step that was planned, granted ones included. */
  #lastStepId = 0;
  #lastResult: StepResult | null = null;
  #lateAborts: { dueStep: number; seqId: number }[] = [];
  #epoch = 1;
  #nowMs = 0;
  #nextSeqId = 0;
  #numUnanswered = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#config = randomConfig(random);
    this.#rates = randomRates(random);
    this.#scheduler = new Scheduler(this.#config, silentLogger);
    this.#requests = new RequestChecker(this.#config);
    this.#order = new OrderChecker(this.#config);
    this.#tenants = new TenantChecker(this.#config);
    this.#ranks = this.#openRanks();
  }

  /** Plans ahead, or not quite as far as allowed, then one result, with whatever goes wrong before and meanwhile. */
  step(): void {
    this.#nowMs += this.#random.integer(0, 10);
    this.#disturb();
    while (this.#scheduler.numStepsInFlight === 0 || this.#random.chance(0.8)) {
      if (!this.#plan()) break;
      this.#nowMs += this.#random.integer(0, 5);
      this.#disturb();
    }
    if (this.#random.chance(0.5)) this.#endRun();
    for (let numSteps = this.#random.integer(0, 4); numSteps > 0; numSteps--) this.#run();
    if (this.#random.chance(this.#rates.reset)) this.#reset();
    this.#repeatResult();
    if (this.#results.length === 0) this.#run();
    this.#land();
    this.#repeatResult();
  }

  /** Lets everything end undisturbed; then nothing may be left. */
  comeToRest(): void {
    for (let i = 0; ; i++) {
      assert.ok(i < REST_STEPS_MAX, "the sequences never end");
      if (!this.#plan() && this.#scheduler.numStepsInFlight === 0) break;
      this.#endRun();
      this.#run();
      this.#land();
    }
    this.#requests.onIdle();
    this.#tenants.onIdle();
    const { numRunning, numWaiting, numBlocksFree, numBlocksTotal } = this.#scheduler.stats();
    assert.deepEqual([numRunning, numWaiting, numBlocksFree], [0, 0, numBlocksTotal]);
  }

  counts(): SimulationCounts {
    const { numPreemptions, prefixCache } = this.#scheduler.stats();
    const hits = { hitTokens: prefixCache.first.numHitTokens, replayHitTokens: prefixCache.replay.numHitTokens };
    return { ...this.#counts, preemptions: numPreemptions, ...hits };
  }

  /** @returns false when there was nothing to plan */
  #plan(): boolean {
    const isAhead = this.#scheduler.numStepsInFlight > 0;
    const plan = this.#scheduler.mayPlan ? this.#schedule() : null;
    if (plan === null) return false;
    this.#counts.ahead += isAhead ? 1 : 0;
    this.#counts.granted += plan.numGrantedSteps;
    this.#counts.continued += plan.followsStepId > 0 ? 1 : 0;
    this.#lastStepId = plan.stepId + plan.numGrantedSteps;
    this.#ranks.give(plan);
    return true;
  }

  #endRun(): void {
    if (!this.#scheduler.mustEndRun) return;
    this.#counts.ended++;
    this.#ranks.endGrants(this.#lastStepId);
  }

  #run(): void {
    const result = this.#ranks.runStep();
    if (result !== null) this.#results.push(result);
  }

  #land(): void {
    const result = this.#results.shift();
    if (result === undefined) return;
    this.#apply(result);
    this.#lastResult = result;
  }

  #schedule(): StepPlan | null {
    const plan = this.#scheduler.schedule(this.#nowMs);
    this.#observe(this.#scheduler.takeEnded());
    this.#scheduler.check();
    if (plan === null && this.#scheduler.numStepsInFlight === 0 && this.#requests.numMasked > 0) {
      // Whoever is alive waits for a mask; a few questions later there is one.
      this.#numUnanswered += 1;
      assert.ok(this.#numUnanswered < 10, "nobody runs though masks are known");
      return this.#schedule();
    }
    this.#numUnanswered = 0;
    if (plan === null) {
      const isIdle = this.#scheduler.numStepsInFlight > 0 || this.#requests.liveSeqIds.length === 0;
      assert.ok(isIdle, "nothing was planned, nothing is in flight, and sequences are alive");
      return null;
    }
    this.#counts.steps++;
    this.#order.onPlan(plan);
    return plan;
  }

  #apply(result: StepResult): void {
    const outputs = this.#scheduler.apply(result, this.#nowMs);
    if (result.epoch < this.#epoch) assert.deepEqual(outputs, [], "a lost world's result was applied");
    this.#observe(outputs);
    this.#scheduler.check();
  }

  #observe(outputs: readonly SequenceOutput[]): void {
    this.#requests.onOutputs(outputs, this.#nowMs);
    this.#order.onOutputs(outputs);
    this.#tenants.onOutputs(outputs);
    for (const { finish } of outputs) {
      if (finish !== undefined) this.#counts.finishes[finish] = (this.#counts.finishes[finish] ?? 0) + 1;
    }
  }

  #disturb(): void {
    while (this.#random.chance(this.#rates.arrival)) this.#add();
    if (this.#random.chance(this.#rates.abort)) this.#abort();
    if (this.#random.chance(this.#rates.lateAbort)) this.#abortLater();
    this.#abortLate();
    this.#observe(this.#scheduler.takeEnded());
  }

  #repeatResult(): void {
    if (this.#lastResult === null || !this.#random.chance(this.#rates.repeat)) return;
    assert.deepEqual(this.#scheduler.apply(this.#lastResult, this.#nowMs), [], "a result was applied twice");
  }

  #add(): void {
    const spec = randomSpec(this.#random, this.#nextSeqId++, this.#nowMs, this.#config);
    try {
      this.#scheduler.add(spec, this.#nowMs);
    } catch (caught) {
      assert.notEqual(MoesaicError.from(caught).code, "internal");
      this.#counts.refused++;
      return;
    }
    this.#counts.added++;
    this.#requests.onAdd(spec);
    this.#order.onAdd(spec);
    this.#tenants.onAdd(spec);
  }

  #abort(): void {
    const live = this.#requests.liveSeqIds;
    if (live.length === 0) return;
    const seqId = this.#random.pick(live);
    const finish = this.#random.pick(["abort", "stop"] as const);
    this.#requests.onAbort(seqId, finish);
    assert.ok(this.#scheduler.abort(seqId, finish));
    assert.ok(!this.#scheduler.abort(this.#nextSeqId), "a sequence that never was got aborted");
  }

  /** A slow client has read what makes it leave, and will say so when others have long gone on. */
  #abortLater(): void {
    const live = this.#requests.liveSeqIds;
    if (live.length === 0) return;
    const dueStep = this.#counts.steps + this.#random.integer(1, LATE_STEPS_MAX);
    this.#lateAborts.push({ dueStep, seqId: this.#random.pick(live) });
  }

  #abortLate(): void {
    const due = this.#lateAborts.filter(({ dueStep }) => dueStep <= this.#counts.steps);
    this.#lateAborts = this.#lateAborts.filter(({ dueStep }) => dueStep > this.#counts.steps);
    for (const { seqId } of due) {
      this.#observe(this.#scheduler.takeEnded());
      const isLive = this.#requests.liveSeqIds.includes(seqId);
      if (isLive) this.#requests.onAbort(seqId, "stop");
      assert.equal(this.#scheduler.abort(seqId, "stop"), isLive);
    }
  }

  /** The ranks are lost with the steps in flight, whose results come all the same; a new world begins. */
  #reset(): void {
    this.#epoch++;
    this.#counts.resets++;
    this.#scheduler.reset(this.#epoch);
    this.#order.onReset(this.#epoch);
    this.#ranks = this.#openRanks();
    this.#observe(this.#scheduler.takeEnded());
  }

  #openRanks(): LazyRanks {
    const { vocabSize, maxLogitRows, kvGroups } = this.#config;
    return new LazyRanks(
      new FakeEngine({ epoch: this.#epoch, vocabSize, limits: this.#config, kvGroups, maxLogitRows }),
    );
  }
}
