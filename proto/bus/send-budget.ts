import { MoesaicError } from "../errors.js";

/**
 * Bounds what is on its way to a server that is connected but does not read: the package would keep it all in memory.
 * From a quarter of the bound on, confirmations are asked for; what none came for yet counts.
 */
export class SendBudget {
  readonly #confirm: () => Promise<void>;
  #unconfirmedBytes = 0;
  #isAsking = false;

  /** `confirm` resolves when the server has read all that was sent before; a rejection means that it is all lost. */
  constructor(confirm: () => Promise<void>) {
    this.#confirm = confirm;
  }

  /** @throws MoesaicError resource_exhausted */
  spend(bytes: number): void {
    if (this.#unconfirmedBytes + bytes > MAX_UNCONFIRMED_BYTES) throw exhausted(this.#unconfirmedBytes);
    this.#unconfirmedBytes += bytes;
    if (this.#unconfirmedBytes > MAX_UNCONFIRMED_BYTES / 4 && !this.#isAsking) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    // What is spent in this turn goes to the server before the question does.
    await Promise.resolve();
    const bytes = this.#unconfirmedBytes;
    try {
      await this.#confirm();
      this.#unconfirmedBytes -= bytes;
    } catch {
      this.#unconfirmedBytes = 0;
    } finally {
      this.#isAsking = false;
    }
  }
}

function exhausted(bytes: number): MoesaicError {
  return new MoesaicError(
    "resource_exhausted",
    `the server of the bus has not read ${bytes} bytes yet, which is the most that is sent ahead: retry later`,
    { retryAfterMs: 100 },
  );
}

export const MAX_UNCONFIRMED_BYTES = 8 * 1024 * 1024;
