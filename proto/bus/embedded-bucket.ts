import type { Clock } from "../clock.js";
import { MoesaicError } from "../errors.js";
import { MAX_KEYS, type KvChange, type KvEntry } from "./bus.js";
import { subjectMatches } from "./subject.js";

/** One bucket of the embedded bus: what a JetStream stream with one message per key and a maximum age does. */
export class EmbeddedBucket {
  readonly ttlMs: number;
  readonly #clock: Clock;
  /** In order of writing, so that what expires first comes first; a null value is the mark of a deletion. */
  readonly #records = new Map<string, KvChange & { expiresAtMs: number }>();
  readonly #watchers = new Set<(change: KvChange) => void>();
  #lastRevision = 0;

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock;
    this.ttlMs = ttlMs;
  }

  read(key: string): KvEntry | null {
    this.#expire();
    const record = this.#records.get(key);
    return record === undefined || record.value === null
      ? null
      : { key, value: record.value, revision: record.revision };
  }

  /** @returns the new revision @throws MoesaicError resource_exhausted for a key too many */
  write(key: string, value: Uint8Array | null): number {
    this.#expire();
    if (!this.#records.has(key) && this.#records.size >= MAX_KEYS) throw tooManyKeys();
    const change = { key, value: value === null ? null : new Uint8Array(value), revision: ++this.#lastRevision };
    this.#records.delete(key);
    this.#records.set(key, { ...change, expiresAtMs: this.#clock.nowMs() + this.ttlMs });
    for (const watcher of [...this.#watchers]) watcher(change);
    return change.revision;
  }

  /** Tells what is there now, at once, then every change; the returned function ends that. */
  watch(pattern: string, tell: (change: KvChange) => void): () => void {
    for (const change of this.#changes(pattern)) tell(change);
    const watcher = (change: KvChange): void => {
      if (subjectMatches(pattern, change.key)) tell(change);
    };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #changes(pattern: string): KvChange[] {
    this.#expire();
    return [...this.#records.values()]
      .filter(({ key }) => subjectMatches(pattern, key))
      .map(({ key, value, revision }) => ({ key, value, revision }));
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    for (const [key, { expiresAtMs }] of this.#records) {
      if (expiresAtMs > nowMs) return;
      this.#records.delete(key);
    }
  }
}

function tooManyKeys(): MoesaicError {
  return new MoesaicError(
    "resource_exhausted",
    `the embedded bus keeps ${MAX_KEYS} keys a bucket: delete keys that nobody needs, or use a NATS server`,
  );
}
