import type { StepTimes } from "./step-times.js";

/** What a first token waits for. */
export interface ForecastInput {
  /** Tokens that are computed before the sequence's own. */
  numTokensAhead: number;
  /** The sequence's own known tokens. */
  numTokens: number;
  /** Prefill tokens of a step as things are. */
  numChunkTokens: number;
  /** Tokens of such a step, decodes included. */
  numStepTokens: number;
}

/** The queue is slow to tell its rate where rows or blocks, not tokens, are short: sequences come in now and then. */
const NEW_STEP_PART = 1 / 128;
const NEW_ERROR_PART = 1 / 32;
const ERROR_MAX = 4;
/** As for round trips in TCP: hardly anything is later than the mean by so many mean deviations. */
const NUM_DEVIATIONS = 2;

/**
 * When a sequence that is added now will have its first token. The queue drains at the rate measured while it was not
 * empty, whatever holds it up: tokens of a step, rows or blocks; the sequence's own tokens take the steps they need. How
 * far first tokens came from their forecasts is kept as a mean and a mean deviation.
 */
export class TtftForecast {
  readonly #times: StepTimes;
  /** Over steps that left sequences waiting. */
  #meanPrefillTokens = 0;
  #meanStepMs = 0;
  /** Of first tokens: time it took over time forecast. */
  #meanError = 1;
  #meanDeviation = 0;

  constructor(times: StepTimes) {
    this.#times = times;
  }

  /** A step that left sequences waiting computed so many tokens of prompts. */
  observeBackloggedStep(numPrefillTokens: number, stepMs: number): void {
    const part = this.#meanStepMs === 0 ? 1 : NEW_STEP_PART;
    this.#meanPrefillTokens += part * (numPrefillTokens - this.#meanPrefillTokens);
    this.#meanStepMs += part * (stepMs - this.#meanStepMs);
  }

  /** @param expectedMs what `expectMs` said when the sequence came */
  observeFirstToken(expectedMs: number, ms: number): void {
    const error = Math.min(ms / Math.max(expectedMs, 1), ERROR_MAX);
    const off = error - this.#meanError;
    this.#meanError += NEW_ERROR_PART * off;
    this.#meanDeviation += NEW_ERROR_PART * (Math.abs(off) - this.#meanDeviation);
  }

  /** Milliseconds to the first token, by the queue and the steps alone. */
  expectMs({ numTokensAhead, numTokens, numChunkTokens, numStepTokens }: ForecastInput): number {
    const stepMs = this.#times.predictMs(numStepTokens);
    const rate = this.#meanPrefillTokens > 0 ? this.#meanPrefillTokens / this.#meanStepMs : numChunkTokens / stepMs;
    const numSteps = Math.ceil(numTokens / numChunkTokens);
    const lastStepMs = this.#times.predictMs(numStepTokens - numSteps * numChunkTokens + numTokens);
    // Half a step is what the one in flight has left on average.
    return numTokensAhead / rate + stepMs * (numSteps - 0.5) + lastStepMs;
  }

  /** What an expectation means by experience: hardly any first token comes later. */
  latestMs(expectedMs: number): number {
    return expectedMs * (this.#meanError + NUM_DEVIATIONS * this.#meanDeviation);
  }
}
