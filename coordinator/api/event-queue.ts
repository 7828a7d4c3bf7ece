import { turns } from "./turns.js";

/** Puts an event into the one before it. @returns false where they stay two */
export type Join<T> = (last: T, next: T) => boolean;

/**
 * Joins a producer that pushes with a consumer that awaits, for one consumer. Bounded by its producer: a choice makes at
 * most as many events as it may make tokens. The consumer gets what there is when its turn comes; by then events may have been joined.
 */
export class EventQueue<T> implements AsyncIterable<T> {
  readonly #events: T[] = [];
  readonly #join: Join<T>;
  #wake: () => void = () => {};
  #isClosed = false;
  #error: unknown = null;

  /** @param join for events that may become one while they wait; by default they stay as they are */
  constructor(join: Join<T> = () => false) {
    this.#join = join;
  }

  push(event: T): void {
    const last = this.#events.at(-1);
    if (last === undefined || !this.#join(last, event)) this.#events.push(event);
    this.#wake();
  }

  /** No more events will come; the consumer ends after what is queued, with the error if there is one. */
  close(error: unknown = null): void {
    this.#isClosed = true;
    this.#error = error;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (let isBeginner = true; ; isBeginner = false) {
      if (this.#events.length === 0 && !this.#isClosed) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        await turns.next(isBeginner);
      }
      while (this.#events.length > 0) yield this.#events.shift()!;
      if (this.#isClosed) break;
    }
    if (this.#error !== null) throw this.#error;
  }
}
