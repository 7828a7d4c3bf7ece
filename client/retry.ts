import { setTimeout as sleep } from "node:timers/promises";
import { MoesaicError } from "../proto/errors.js";

const MAX_RETRIES = 4;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 2_000;

/**
 * The pauses between attempts of one call: doubling, or as long as the server asks for. Only `unavailable` is worth a
 * retry: the server did not take the request.
 */
export class RetryPolicy {
  readonly #maxRetries: number;
  #numRetries = 0;

  constructor(maxRetries = MAX_RETRIES) {
    this.#maxRetries = maxRetries;
  }

  /** Waits and returns, or throws the error when trying again would not help. */
  async pause(error: MoesaicError, signal: AbortSignal | undefined): Promise<void> {
    if (error.code !== "unavailable" || this.#numRetries >= this.#maxRetries) throw error;
    const delayMs = Math.min(error.retryAfterMs ?? FIRST_DELAY_MS * 2 ** this.#numRetries, MAX_DELAY_MS);
    this.#numRetries += 1;
    try {
      await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
    } catch {
      throw new MoesaicError("cancelled", "cancelled by the caller while waiting to try again", { cause: error });
    }
  }
}
