import type { StepTimes } from "./step-times.js";

/**
 * Tokens that a step may always prefill beside its decodes. Fewer would hardly make it shorter: 32 tokens hit 31.6 of
 * 32 experts, so that a step reads all weights from there on.
 */
export const CHUNK_MIN = 64;

/**
 * How many tokens a step may have: as many as fit the target step time by the times measured, when sequences decode, which
 * wait for each step's end; up to the limit that the ranks' buffers were made for. How prompts are cut never shows in
 * the tokens, since rows do not depend on what else is in a step.
 */
export class StepBudget {
  readonly #maxBatchedTokens: number;
  readonly #targetStepMs: number | null;
  readonly #times: StepTimes;

  constructor(maxBatchedTokens: number, targetStepMs: number | null, times: StepTimes) {
    this.#maxBatchedTokens = maxBatchedTokens;
    this.#targetStepMs = targetStepMs;
    this.#times = times;
  }

  /** Most tokens of a step with `numDecodes` decodes, these included. */
  numTokens(numDecodes: number): number {
    if (this.#targetStepMs === null || numDecodes === 0) return this.#maxBatchedTokens;
    const numWithin = this.#times.numTokensWithin(this.#targetStepMs);
    return Math.min(Math.max(numWithin, numDecodes + CHUNK_MIN), this.#maxBatchedTokens);
  }
}
