/** What a step takes: `fixedMs` for the weights it reads, and `perTokenMs` for each token. */
export interface StepCostLine {
  fixedMs: number;
  perTokenMs: number;
}

/** Part that each new step has in the means: the last thirty count. */
const NEW_PART = 1 / 32;
/** A single step (a graph that is captured, a pause of the process) moves the line as if it had taken this many times as much. */
const SURPRISE_MAX = 4;
const PER_TOKEN_MS_MIN = 1e-6;

/**
 * The time of a step as a line over its tokens, fitted to the steps seen last. It starts from what the cost model
 * predicts. While all steps have about as many tokens they tell nothing of the slope, and it stays as it was.
 */
export class StepTimes {
  #meanTokens: number;
  #meanMs: number;
  #tokensVariance = 0;
  #covariance = 0;
  #perTokenMs: number;
  #numObserved = 0;

  constructor({ fixedMs, perTokenMs }: StepCostLine) {
    this.#meanTokens = 1;
    this.#meanMs = fixedMs + perTokenMs;
    this.#perTokenMs = Math.max(perTokenMs, PER_TOKEN_MS_MIN);
  }

  /** Whether what was seen outweighs what was predicted at first. */
  get isMeasured(): boolean {
    return this.#numObserved >= 1 / NEW_PART;
  }

  observe(numTokens: number, stepMs: number): void {
    this.#numObserved++;
    const ms = Math.min(stepMs, SURPRISE_MAX * this.predictMs(numTokens));
    const tokensOff = numTokens - this.#meanTokens;
    const msOff = ms - this.#meanMs;
    this.#meanTokens += NEW_PART * tokensOff;
    this.#meanMs += NEW_PART * msOff;
    this.#tokensVariance = (1 - NEW_PART) * (this.#tokensVariance + NEW_PART * tokensOff * tokensOff);
    this.#covariance = (1 - NEW_PART) * (this.#covariance + NEW_PART * tokensOff * msOff);
    // A spread of an eighth of the mean weighs as much as the slope of before.
    const inertia = (this.#meanTokens / 8) ** 2;
    const slope = (this.#covariance + inertia * this.#perTokenMs) / (this.#tokensVariance + inertia);
    // Steps are not read for less than nothing: the line ends at the origin at the lowest.
    this.#perTokenMs = Math.min(Math.max(slope, PER_TOKEN_MS_MIN), this.#meanMs / this.#meanTokens + PER_TOKEN_MS_MIN);
  }

  predictMs(numTokens: number): number {
    return Math.max(this.#meanMs + this.#perTokenMs * (numTokens - this.#meanTokens), PER_TOKEN_MS_MIN);
  }

  /** Most tokens of a step that takes at most `ms`; may be below 1. */
  numTokensWithin(ms: number): number {
    return Math.floor(this.#meanTokens + (ms - this.#meanMs) / this.#perTokenMs);
  }
}
