import assert from "node:assert/strict";
import type { StepPlan, StepResult } from "../../proto/step.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import type { SchedulerConfig } from "../../coordinator/scheduler/scheduler-config.js";
import type { SequenceOutput } from "../../coordinator/scheduler/sequence-output.js";
import { FakeEngine } from "../../worker/fake-engine.js";
import { OrderChecker, RequestChecker } from "./checkers.js";
import { randomConfig, randomRates, randomSpec, type FaultRates } from "./faults.js";
import { Random } from "./random.js";

/** What happened in a simulation; tests ask that everything did. */
export interface SimulationCounts {
  steps: number;
  added: number;
  refused: number;
  resets: number;
  preemptions: number;
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
  readonly #order = new OrderChecker();
  readonly #counts: SimulationCounts = { steps: 0, added: 0, refused: 0, resets: 0, preemptions: 0, finishes: {} };
  #engine: FakeEngine;
  #lastResult: StepResult | null = null;
  #epoch = 1;
  #nowMs = 0;
  #nextSeqId = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#config = randomConfig(random);
    this.#rates = randomRates(random);
    this.#scheduler = new Scheduler(this.#config, silentLogger);
    this.#requests = new RequestChecker(this.#config);
    this.#engine = this.#openEngine();
  }

  /** One step with whatever goes wrong before it and while it is in flight. */
  step(): void {
    this.#nowMs += this.#random.integer(0, 10);
    this.#disturb();
    const plan = this.#schedule();
    if (plan === null) return;
    const result = this.#engine.stepNow(plan);
    this.#disturb();
    if (this.#random.chance(this.#rates.reset)) this.#reset();
    this.#repeatResult();
    this.#apply(result);
    this.#lastResult = result;
    this.#repeatResult();
  }

  /** Lets everything end undisturbed; then nothing may be left. */
  comeToRest(): void {
    for (let i = 0; ; i++) {
      assert.ok(i < REST_STEPS_MAX, "the sequences never end");
      const plan = this.#schedule();
      if (plan === null) break;
      this.#apply(this.#engine.stepNow(plan));
    }
    this.#requests.onIdle();
    const { numRunning, numWaiting, numBlocksFree, numBlocksTotal } = this.#scheduler.stats();
    assert.deepEqual([numRunning, numWaiting, numBlocksFree], [0, 0, numBlocksTotal]);
  }

  counts(): SimulationCounts {
    return { ...this.#counts, preemptions: this.#scheduler.stats().numPreemptions };
  }

  #schedule(): StepPlan | null {
    const plan = this.#scheduler.schedule(this.#nowMs);
    this.#observe(this.#scheduler.takeEnded());
    this.#scheduler.check();
    if (plan === null) {
      assert.deepEqual(this.#requests.liveSeqIds, [], "nothing was planned and sequences are alive");
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
    for (const { finish } of outputs) {
      if (finish !== undefined) this.#counts.finishes[finish] = (this.#counts.finishes[finish] ?? 0) + 1;
    }
  }

  #disturb(): void {
    while (this.#random.chance(this.#rates.arrival)) this.#add();
    if (this.#random.chance(this.#rates.abort)) this.#abort();
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

  /** The ranks are lost with the step in flight; a new world begins. */
  #reset(): void {
    this.#epoch++;
    this.#counts.resets++;
    this.#scheduler.reset(this.#epoch);
    this.#order.onReset(this.#epoch);
    this.#engine = this.#openEngine();
    this.#observe(this.#scheduler.takeEnded());
  }

  #openEngine(): FakeEngine {
    const { vocabSize, maxLogitRows, kvGroups } = this.#config;
    return new FakeEngine({ epoch: this.#epoch, vocabSize, limits: this.#config, kvGroups, maxLogitRows });
  }
}
