/**
 * The seam between us and a message bus: NATS with JetStream, or the embedded bus inside one process. The bus tells
 * where a coordinator is, which one holds the lease and what has happened; it never carries a step, a prompt or an
 * output, and who belongs to a replica is decided by the ranks' streams alone.
 *
 * Both implementations promise the same. Delivery is at most once: what is published while nobody listens, or is on
 * the wire when a server dies, is gone. Every wait has a deadline and every queue an end, so a slow or absent peer
 * costs messages, never memory.
 */
export interface Bus {
  /** `embedded`, or `nats://host:port`: for messages and logs. */
  readonly name: string;
  readonly state: BusState;
  readonly stats: BusStats;
  /** Called at every change of `state`; the returned function ends that. `closed` is the last state there is. */
  onState(listener: (state: BusState) => void): () => void;
  /**
   * Sends `payload`, which is copied, to all who subscribe to `subject`. Returns before it has arrived anywhere; see
   * `flush`. While the bus is reconnecting the message is kept, up to a bound, and sent afterwards.
   * @throws MoesaicError resource_exhausted when that bound is reached, invalid_argument for a payload above
   *   MAX_PAYLOAD_BYTES or a subject that is none, failed_precondition after `close`
   */
  publish(subject: string, payload: Uint8Array): void;
  /**
   * Messages whose subject fits `pattern`: `*` stands for one token, a last `>` for one or more. Subscribers with the
   * same `queue` share the messages, each goes to one of them. A subscription outlives an outage.
   * @throws MoesaicError invalid_argument, failed_precondition after `close`
   */
  subscribe(pattern: string, options?: SubscribeOptions): BusSubscription;
  /**
   * The first answer to `payload`.
   * @throws MoesaicError unavailable when nobody listens or the bus is reconnecting, deadline_exceeded
   */
  request(subject: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /**
   * A bucket of keys, made at its first use. All users of a bucket must give the same `ttlMs`, 100 ms to one day: an
   * entry, or the mark of its deletion, is gone that long after it was written. Expiry is silent.
   */
  kv(bucket: string, options: { ttlMs: number }): KeyValue;
  /**
   * Resolves when the bus has received all that was published and subscribed before.
   * @throws MoesaicError unavailable, deadline_exceeded
   */
  flush(timeoutMs: number): Promise<void>;
  /** Sends what can be sent within a second, ends all subscriptions and watches. May be called again. */
  close(): Promise<void>;
}

export type BusState = "connected" | "reconnecting" | "closed";

export interface BusStats {
  /** Messages handed to the bus since it was opened, the kept ones included. */
  numPublished: number;
  /** Messages that `publish` refused because too much was waiting. */
  numPublishesRefused: number;
  /** Messages that wait for the end of an outage now. */
  numPublishesKept: number;
}

export interface SubscribeOptions {
  queue?: string;
  /** Messages that may wait for the reader, 16 MiB at most; the oldest are dropped for the next one. Default 1024. */
  maxQueued?: number;
}

export interface BusMessage {
  readonly subject: string;
  /** Shared with other subscribers of the embedded bus: not to be changed. */
  readonly payload: Uint8Array;
  /** Answers a request, at most once and without a promise that it arrives; null when no answer is wanted. */
  readonly respond: ((payload: Uint8Array) => void) | null;
}

/** For one reader. Leaving the loop unsubscribes. The iteration throws when the server forbids the subscription. */
export interface BusSubscription extends AsyncIterable<BusMessage> {
  /** Messages lost because the reader was slow. */
  readonly numDropped: number;
  unsubscribe(): void;
}

/**
 * Small values under keys such as `demo.offers.w1`: tokens of letters, digits, `_` and `-`, joined by dots. Every
 * method throws `unavailable` while the bus is reconnecting; one that ends with `deadline_exceeded` may have happened.
 * A bucket that exists with another ttlMs is `failed_precondition`.
 */
export interface KeyValue {
  get(key: string): Promise<KvEntry | null>;
  /** @returns the revision of the new entry; revisions of a bucket rise with every write to any of its keys. */
  put(key: string, value: Uint8Array): Promise<number>;
  /** Like `put` where there is no entry. @returns null when there is one */
  create(key: string, value: Uint8Array): Promise<number | null>;
  /** Like `put` where the entry still has `revision`. @returns null when it has another or is gone */
  update(key: string, value: Uint8Array, revision: number): Promise<number | null>;
  /** @returns false when `revision` is given and the entry has another. Deleting what is not there succeeds. */
  delete(key: string, revision?: number): Promise<boolean>;
  /**
   * What fits `pattern` now, then every change; after an outage what is there is told again. A slow reader sees the
   * latest of each key alone. What is asked for during an outage comes after it.
   */
  watch(pattern: string): KvWatch;
}

export interface KvEntry {
  key: string;
  value: Uint8Array;
  revision: number;
}

export interface KvChange {
  key: string;
  /** null: the key was deleted. */
  value: Uint8Array | null;
  revision: number;
}

/** For one reader. Leaving the loop stops the watch. The iteration throws when the bucket cannot be used at all. */
export interface KvWatch extends AsyncIterable<KvChange> {
  stop(): void;
}

/** Largest payload of a message; what a NATS server takes unless it is told otherwise. */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** Largest value of a key. */
export const MAX_VALUE_BYTES = 64 * 1024;
/** Most keys of one bucket that are watched or, on the embedded bus, kept. */
export const MAX_KEYS = 10_000;
export const DEFAULT_MAX_QUEUED = 1024;
