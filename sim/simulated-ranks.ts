import type { StepExecutor } from "../coordinator/engine-loop.js";
import { predictFastestShape, type PlanCost, type StepCost, type StepShape } from "../plans/cost.js";
import { addChunk, emptyShape } from "../plans/step-shape.js";
import type { Clock } from "../proto/clock.js";
import {
  FINISH_LENGTH,
  FINISH_NONE,
  grantedPlan,
  OUTPUT_SAMPLE,
  type StepPlan,
  type StepResult,
} from "../proto/step.js";

/** Parts of the time that steps took, milliseconds, and what was in them. */
export interface StepTotals {
  numSteps: number;
  numTokens: number;
  numSampled: number;
  busyMs: number;
  attentionMs: number;
  expertsMs: number;
  headMs: number;
  collectivesMs: number;
  overheadMs: number;
}

/** What every sampled token is: the simulation knows lengths, not words. */
const ANY_TOKEN = 0;

/**
 * Ranks of a replica that compute nothing and take as long as the cost model says. Steps run one after the other in the order in
 * which they are asked for. A sequence ends at its length.
 */
export class SimulatedRanks implements StepExecutor {
  readonly totals: StepTotals = {
    numSteps: 0,
    numTokens: 0,
    numSampled: 0,
    busyMs: 0,
    attentionMs: 0,
    expertsMs: 0,
    headMs: 0,
    collectivesMs: 0,
    overheadMs: 0,
  };
  readonly #cost: PlanCost;
  readonly #clock: Clock;
  /** By row: the length at which its sequence ends. */
  readonly #lengths = new Map<number, number>();
  /** What was given to them last. */
  #runs: Promise<void> = Promise.resolve();
  /** The last step that they ran. */
  #stepId = 0;
  #givenStepId = 0;
  /** Up to this step no granted one is begun any more. */
  #grantsEndId = 0;

  constructor(cost: PlanCost, clock: Clock) {
    this.#cost = cost;
    this.#clock = clock;
  }

  whenReady(): Promise<number> {
    return Promise.resolve(1);
  }

  step(plan: StepPlan, onResult: (result: StepResult) => void): Promise<void> {
    this.#givenStepId = plan.stepId + plan.numGrantedSteps;
    this.#runs = this.#runs.then(() => this.#run(plan, onResult));
    return this.#runs;
  }

  endGrants(): void {
    this.#grantsEndId = this.#givenStepId;
  }

  async #run(plan: StepPlan, onResult: (result: StepResult) => void): Promise<void> {
    const isVoid = plan.followsStepId !== 0 && plan.followsStepId !== this.#stepId;
    if (isVoid) return;
    for (let next = plan; ; next = grantedPlan(next)) {
      const result = await this.#runStep(next);
      onResult(result);
      if (!result.runsOn) return;
    }
  }

  async #runStep(plan: StepPlan): Promise<StepResult> {
    for (const { row, sampling } of plan.newRows) this.#lengths.set(row, sampling.maxSeqLen);
    this.#stepId = plan.stepId;
    const cost = predictFastestShape(this.#cost, this.#shapeOf(plan));
    this.#count(cost, plan);
    await new Promise<void>((resolve) => {
      this.#clock.setTimer(cost.totalMs, resolve);
    });
    return this.#resultOf(plan, cost);
  }

  #shapeOf(plan: StepPlan): StepShape {
    const shape = emptyShape();
    for (let index = 0; index < plan.seqRows.length; index++) {
      const end = plan.seqLens[index]!;
      const begin = end - (plan.queryStarts[index + 1]! - plan.queryStarts[index]!);
      addChunk(shape, this.#cost.model, begin, end, plan.outputs[index] === OUTPUT_SAMPLE);
    }
    return shape;
  }

  #count(cost: StepCost, plan: StepPlan): void {
    const { totals } = this;
    totals.numSteps += 1;
    totals.numTokens += plan.tokenIds.length;
    totals.numSampled += plan.outputs.filter((output) => output === OUTPUT_SAMPLE).length;
    totals.busyMs += cost.totalMs;
    for (const part of PARTS) totals[part] += cost[part];
  }

  #resultOf(plan: StepPlan, { totalMs, overheadMs }: StepCost): StepResult {
    const sampled = [...plan.seqRows.keys()].filter((index) => plan.outputs[index] === OUTPUT_SAMPLE);
    const isLast = (index: number): boolean => plan.seqLens[index]! + 1 >= this.#lengths.get(plan.seqRows[index]!)!;
    const hasEnded = sampled.some(isLast);
    return {
      epoch: plan.epoch,
      stepId: plan.stepId,
      seqRows: Int32Array.from(sampled, (index) => plan.seqRows[index]!),
      tokenIds: new Int32Array(sampled.length).fill(ANY_TOKEN),
      finishes: Int32Array.from(sampled, (index) => (isLast(index) ? FINISH_LENGTH : FINISH_NONE)),
      logprobs: new Float32Array(sampled.length).fill(NaN),
      numTopLogprobs: 0,
      topTokenIds: new Int32Array(0),
      topLogprobs: new Float32Array(0),
      logits: new Float32Array(0),
      engineUs: 1_000 * (totalMs - overheadMs),
      runsOn: plan.numGrantedSteps > 0 && plan.stepId >= this.#grantsEndId && !hasEnded,
    };
  }
}

export const PARTS = ["attentionMs", "expertsMs", "headMs", "collectivesMs", "overheadMs"] as const;
