import type { MoesaicError } from "../errors.js";

export interface BoundedQueueOptions<T extends object> {
  /** At least 1. */
  maxQueued: number;
  /** Bytes of an item; those that wait stay under `MAX_QUEUED_BYTES` together, unless it is a single one. */
  bytesOf: (item: T) => number;
  /** Items of the same key replace each other while they wait. */
  keyOf?: (item: T) => string;
  /** Called once, when the reader leaves or `end` is called. */
  onEnd?: () => void;
}

/** What waits for one slow reader: never more than `maxQueued`, the oldest are dropped for the next. */
export class BoundedQueue<T extends object> implements AsyncIterableIterator<T> {
  readonly #options: BoundedQueueOptions<T>;
  /** In order of arrival; without `keyOf` the keys are numbers of arrival. */
  readonly #items = new Map<string | number, T>();
  readonly #readers: ((result: Promise<IteratorResult<T>>) => void)[] = [];
  #bytes = 0;
  #numPushed = 0;
  #numDropped = 0;
  #isEnded = false;
  #error: MoesaicError | null = null;

  constructor(options: BoundedQueueOptions<T>) {
    this.#options = options;
  }

  get numDropped(): number {
    return this.#numDropped;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** After the end nothing is taken. */
  push(item: T): void {
    if (this.#isEnded) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) return reader(Promise.resolve({ done: false, value: item }));
    const key = this.#options.keyOf?.(item) ?? this.#numPushed++;
    this.#take(key);
    const bytes = this.#options.bytesOf(item);
    while (this.#items.size >= this.#options.maxQueued || this.#bytes + bytes > MAX_QUEUED_BYTES) {
      if (!this.#dropOldest()) break;
    }
    this.#items.set(key, item);
    this.#bytes += bytes;
  }

  /** What waits is still read; then the iteration is over, or throws `error` once. */
  end(error: MoesaicError | null = null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    for (const reader of this.#readers.splice(0)) reader(this.#ending());
    this.#options.onEnd?.();
  }

  next(): Promise<IteratorResult<T>> {
    const [oldest] = this.#items;
    if (oldest !== undefined) {
      this.#take(oldest[0]);
      return Promise.resolve({ done: false, value: oldest[1] });
    }
    if (this.#isEnded) return this.#ending();
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return(): Promise<IteratorResult<T>> {
    this.#items.clear();
    this.#bytes = 0;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #ending(): Promise<IteratorResult<T>> {
    const error = this.#error;
    this.#error = null;
    return error === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  #dropOldest(): boolean {
    const [oldest] = this.#items.keys();
    if (oldest === undefined) return false;
    this.#take(oldest);
    this.#numDropped += 1;
    return true;
  }

  #take(key: string | number): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    this.#bytes -= this.#options.bytesOf(item);
    this.#items.delete(key);
  }
}

export const MAX_QUEUED_BYTES = 16 * 1024 * 1024;
