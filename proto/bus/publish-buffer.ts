import { MoesaicError } from "../errors.js";

/** What is published during an outage: kept up to a bound, then refused, so that the publisher knows. */
export class PublishBuffer {
  #messages: { subject: string; payload: Uint8Array }[] = [];
  #bytes = 0;

  get numMessages(): number {
    return this.#messages.length;
  }

  /** Copies `payload`. @throws MoesaicError resource_exhausted */
  add(subject: string, payload: Uint8Array): void {
    const bytes = this.#bytes + payload.byteLength;
    if (this.#messages.length >= MAX_KEPT_MESSAGES || bytes > MAX_KEPT_BYTES) throw this.#full();
    this.#messages.push({ subject, payload: new Uint8Array(payload) });
    this.#bytes = bytes;
  }

  /** Hands every message to `send` in the order in which they came, and is empty. */
  drain(send: (subject: string, payload: Uint8Array) => void): void {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    for (const { subject, payload } of messages) send(subject, payload);
  }

  #full(): MoesaicError {
    return new MoesaicError(
      "resource_exhausted",
      `the bus is away and ${this.#messages.length} messages (${this.#bytes} bytes) wait for it, which is the most that is kept: ` +
        "drop the message, or send it when the bus is connected again",
      { retryAfterMs: 1000 },
    );
  }
}

export const MAX_KEPT_MESSAGES = 4096;
export const MAX_KEPT_BYTES = 8 * 1024 * 1024;
