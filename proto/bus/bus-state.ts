import { MoesaicError } from "../errors.js";
import type { BusState } from "./bus.js";

/** The state of one bus and those who want to know; `closed` is final. */
export class BusStateCell {
  readonly #busName: string;
  readonly #listeners = new Set<(state: BusState) => void>();
  #state: BusState;

  constructor(busName: string, initial: BusState) {
    this.#busName = busName;
    this.#state = initial;
  }

  get state(): BusState {
    return this.#state;
  }

  /** @returns false when nothing changed */
  set(state: BusState): boolean {
    if (this.#state === state || this.#state === "closed") return false;
    this.#state = state;
    for (const listener of [...this.#listeners]) listener(state);
    return true;
  }

  onState(listener: (state: BusState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws MoesaicError failed_precondition */
  checkOpen(): void {
    if (this.#state === "closed") {
      throw new MoesaicError("failed_precondition", `the bus ${this.#busName} was closed: open another one`);
    }
  }

  /** @throws MoesaicError unavailable, failed_precondition */
  checkConnected(): void {
    this.checkOpen();
    if (this.#state === "connected") return;
    throw new MoesaicError(
      "unavailable",
      `the bus ${this.#busName} is away and being reconnected: retry, and see that its server runs`,
      { retryAfterMs: 1000 },
    );
  }
}
