import { MoesaicError } from "../errors.js";
import { BoundedQueue } from "./bounded-queue.js";
import { MAX_KEYS, MAX_VALUE_BYTES, type KeyValue, type KvChange, type KvEntry, type KvWatch } from "./bus.js";
import type { BusStateCell } from "./bus-state.js";
import type { EmbeddedBucket } from "./embedded-bucket.js";
import { changeBytes } from "./key-value-change.js";
import { checkPattern, checkPayload, checkRevision, checkSubject } from "./subject.js";

/** A bucket as one client of the embedded bus sees it: not at all while the bus is away. */
export class EmbeddedKeyValue implements KeyValue {
  readonly #state: BusStateCell;
  readonly #openBucket: () => EmbeddedBucket;

  /** `openBucket` throws where the bucket exists with another ttlMs. */
  constructor(state: BusStateCell, openBucket: () => EmbeddedBucket) {
    this.#state = state;
    this.#openBucket = openBucket;
  }

  async get(key: string): Promise<KvEntry | null> {
    return this.#bucketFor(key).read(key);
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    checkPayload(value, MAX_VALUE_BYTES);
    return this.#bucketFor(key).write(key, value);
  }

  async create(key: string, value: Uint8Array): Promise<number | null> {
    checkPayload(value, MAX_VALUE_BYTES);
    const bucket = this.#bucketFor(key);
    return bucket.read(key) === null ? bucket.write(key, value) : null;
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number | null> {
    checkPayload(value, MAX_VALUE_BYTES);
    checkRevision(revision);
    const bucket = this.#bucketFor(key);
    return bucket.read(key)?.revision === revision ? bucket.write(key, value) : null;
  }

  async delete(key: string, revision?: number): Promise<boolean> {
    if (revision !== undefined) checkRevision(revision);
    const bucket = this.#bucketFor(key);
    if (revision !== undefined && bucket.read(key)?.revision !== revision) return false;
    bucket.write(key, null);
    return true;
  }

  watch(pattern: string): KvWatch {
    checkPattern(pattern);
    this.#state.checkOpen();
    return watchAcrossOutages(this.#state, (tell) => this.#openBucket().watch(pattern, tell));
  }

  #bucketFor(key: string): EmbeddedBucket {
    checkSubject(key, "key");
    this.#state.checkConnected();
    return this.#openBucket();
  }
}

/** Attaches whenever the bus becomes connected, so that what is there is told again after an outage. */
function watchAcrossOutages(state: BusStateCell, attach: (tell: (change: KvChange) => void) => () => void): KvWatch {
  let detach = (): void => {};
  const stopListening = state.onState((now) => {
    detach();
    detach = (): void => {};
    if (now === "closed") queue.end();
    if (now === "connected") start();
  });
  const queue = new BoundedQueue<KvChange>({
    maxQueued: MAX_KEYS,
    keyOf: ({ key }) => key,
    bytesOf: changeBytes,
    onEnd: () => {
      detach();
      stopListening();
    },
  });
  const start = (): void => {
    try {
      detach = attach((change) => queue.push(change));
    } catch (caught) {
      queue.end(MoesaicError.from(caught));
    }
  };
  if (state.state === "connected") start();
  return { stop: () => queue.end(), [Symbol.asyncIterator]: () => queue };
}
