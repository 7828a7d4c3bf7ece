import type { StepSize } from "./planned-step.js";
import { StepBudget } from "./step-budget.js";
import { StepTimes, type StepCostLine } from "./step-times.js";
import { TtftForecast } from "./ttft-forecast.js";

export interface PaceConfig {
  maxBatchedTokens: number;
  targetStepMs: number | null;
  stepCost: StepCostLine;
}

/** How fast steps go: measured by their results, and what follows for the size of the next and for who waits. */
export class StepPace {
  readonly #times: StepTimes;
  readonly #budget: StepBudget;
  readonly #forecast: TtftForecast;
  /** Of the last step. */
  #numDecodes = 0;
  #appliedMs = -Infinity;

  constructor({ maxBatchedTokens, targetStepMs, stepCost }: PaceConfig) {
    this.#times = new StepTimes(stepCost);
    this.#budget = new StepBudget(maxBatchedTokens, targetStepMs, this.#times);
    this.#forecast = new TtftForecast(this.#times);
  }

  /** Most tokens of a step with `numDecodes` decodes, these included. */
  numTokens(numDecodes: number): number {
    return this.#budget.numTokens(numDecodes);
  }

  /** What a step of so many tokens takes; null while too few steps were measured. */
  measuredStepMs(numTokens: number): number | null {
    return this.#times.isMeasured ? this.#times.predictMs(numTokens) : null;
  }

  /** A step's result has come. The engine begins a step when the one before has ended, however early it was planned. */
  applied({ numTokens, numDecodes, isBacklogged, plannedMs }: StepSize, nowMs: number): void {
    this.#numDecodes = numDecodes;
    const stepMs = nowMs - Math.max(plannedMs, this.#appliedMs);
    this.#appliedMs = nowMs;
    this.#times.observe(numTokens, stepMs);
    if (isBacklogged) this.#forecast.observeBackloggedStep(numTokens - numDecodes, stepMs);
  }

  /** @param expectedMs as `expectMs` said when the sequence came, `ms` before now */
  firstTokenCame(expectedMs: number, ms: number): void {
    this.#forecast.observeFirstToken(expectedMs, ms);
  }

  /** Milliseconds until the first token of a sequence of `numTokens` that has `numTokensAhead` before it. */
  expectMs(numTokens: number, numTokensAhead: number): number {
    const numStepTokens = this.#budget.numTokens(this.#numDecodes);
    const numChunkTokens = Math.max(1, numStepTokens - this.#numDecodes);
    return this.#forecast.expectMs({ numTokensAhead, numTokens, numChunkTokens, numStepTokens });
  }

  /** By when an expected first token has come, by experience. */
  latestMs(expectedMs: number): number {
    return this.#forecast.latestMs(expectedMs);
  }
}
