import { grantedPlan, type StepPlan, type StepResult } from "../../proto/step.js";
import type { FakeEngine } from "../../worker/fake-engine.js";

/** A fake rank that runs a step when it is told to: plans wait meanwhile, and grants may end. */
export class LazyRanks {
  readonly #engine: FakeEngine;
  readonly #plans: StepPlan[] = [];
  /** Of the next granted step. */
  #granted: StepPlan | null = null;

  constructor(engine: FakeEngine) {
    this.#engine = engine;
  }

  give(plan: StepPlan): void {
    this.#plans.push(plan);
  }

  endGrants(stepId: number): void {
    this.#engine.endGrants(stepId);
  }

  /** Runs the next step, granted ones before plans that wait, void plans not at all. @returns null when there is none */
  runStep(): StepResult | null {
    let plan = this.#granted ?? this.#plans.shift();
    while (plan !== undefined && this.#engine.isVoid(plan)) plan = this.#plans.shift();
    if (plan === undefined) return null;
    const result = this.#engine.stepNow(plan);
    this.#granted = result.runsOn ? grantedPlan(plan) : null;
    return result;
  }
}
