/**
 * Joins a producer that pushes with a consumer that awaits, for one consumer. Bounded by its producer: a choice makes at
 * most as many events as it may make tokens.
 */
export class EventQueue<T> implements AsyncIterable<T> {
  readonly #events: T[] = [];
  #wake: () => void = () => {};
  #isClosed = false;
  #error: unknown = null;

  push(event: T): void {
    this.#events.push(event);
    this.#wake();
  }

  /** No more events will come; the consumer ends after what is queued, with the error if there is one. */
  close(error: unknown = null): void {
    this.#isClosed = true;
    this.#error = error;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      while (this.#events.length > 0) yield this.#events.shift()!;
      if (this.#isClosed) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== null) throw this.#error;
  }
}
