import type { Clock } from "../../../proto/clock.js";

export interface LruLimits {
  maxEntries: number;
  /** Of all entries together, in whatever unit their sizes are. */
  maxSize: number;
  /** Since its last use. */
  keepMs: number;
}

interface Entry<V> {
  value: V;
  size: number;
  expiresMs: number;
}

/** A map with bounds: what was not used for longest makes room, or goes when its time is over. */
export class LruMap<V> {
  readonly #clock: Clock;
  readonly #limits: LruLimits;
  /** The last are those that were used last, and expire last. */
  readonly #entries = new Map<string, Entry<V>>();
  #size = 0;

  constructor(clock: Clock, limits: LruLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get numEntries(): number {
    return this.#entries.size;
  }

  /** An entry that is larger than all of the room is not kept. */
  set(key: string, value: V, size: number): void {
    this.delete(key);
    this.#entries.set(key, { value, size, expiresMs: this.#clock.nowMs() + this.#limits.keepMs });
    this.#size += size;
    this.#makeRoom();
  }

  /** Looks without using. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  get(key: string): V | undefined {
    this.#makeRoom();
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, { ...entry, expiresMs: this.#clock.nowMs() + this.#limits.keepMs });
    return entry.value;
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#size -= entry.size;
  }

  #makeRoom(): void {
    const nowMs = this.#clock.nowMs();
    for (const [key, { expiresMs }] of this.#entries) {
      const isOver = this.#entries.size > this.#limits.maxEntries || this.#size > this.#limits.maxSize;
      if (!isOver && expiresMs > nowMs) return;
      this.delete(key);
    }
  }
}
