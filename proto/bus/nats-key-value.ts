import type { JetStreamClient, KV, NatsConnection } from "nats";
import { systemClock } from "../clock.js";
import { MAX_VALUE_BYTES, type KeyValue, type KvEntry, type KvWatch } from "./bus.js";
import { otherTtl } from "./bus-errors.js";
import { within } from "./deadline.js";
import { fromNats, isMadeByAnother, isOtherRevision, isUnheard } from "./nats-errors.js";
import type { NatsLink } from "./nats-link.js";
import { watchNats } from "./nats-watch.js";
import { checkPattern, checkPayload, checkRevision, checkSubject } from "./subject.js";

/**
 * A JetStream bucket with history 1 on disk. Its stream is looked for, and made if it is not there, at the first use,
 * after a failure, and for every watch: a server may have come back with an empty disk.
 */
export class NatsKeyValue implements KeyValue {
  readonly ttlMs: number;
  readonly #link: NatsLink;
  readonly #bucket: string;
  #opened: Promise<KV> | null = null;

  constructor(link: NatsLink, bucket: string, ttlMs: number) {
    this.#link = link;
    this.#bucket = bucket;
    this.ttlMs = ttlMs;
  }

  async get(key: string): Promise<KvEntry | null> {
    checkSubject(key, "key");
    const entry = await this.#run(`get ${key}`, (kv) => kv.get(key));
    return entry?.operation === "PUT" ? { key, value: entry.value, revision: entry.revision } : null;
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    checkSubject(key, "key");
    checkPayload(value, MAX_VALUE_BYTES);
    return this.#run(`put ${key}`, (kv) => kv.put(key, value));
  }

  async create(key: string, value: Uint8Array): Promise<number | null> {
    checkSubject(key, "key");
    checkPayload(value, MAX_VALUE_BYTES);
    return this.#run(`create ${key}`, (kv) => orNullIfOther(kv.create(key, value)));
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number | null> {
    checkSubject(key, "key");
    checkPayload(value, MAX_VALUE_BYTES);
    checkRevision(revision);
    return this.#run(`update ${key}`, (kv) => orNullIfOther(kv.update(key, value, revision)));
  }

  async delete(key: string, revision?: number): Promise<boolean> {
    checkSubject(key, "key");
    if (revision !== undefined) checkRevision(revision);
    const options = revision === undefined ? {} : { previousSeq: revision };
    const deleted = await this.#run(`delete ${key}`, (kv) =>
      orNullIfOther(kv.delete(key, options).then(() => true as const)),
    );
    return deleted ?? false;
  }

  watch(pattern: string): KvWatch {
    checkPattern(pattern);
    this.#link.state.checkOpen();
    return watchNats(this.#link, () => this.#reopen(), pattern);
  }

  async #run<T>(what: string, operation: (kv: KV) => Promise<T>): Promise<T> {
    this.#link.state.checkConnected();
    const where = `${what} in bucket ${this.#bucket}`;
    try {
      return await within(systemClock, KV_TIMEOUT_MS, where, this.#whileUnheard(operation));
    } catch (caught) {
      this.#opened = null;
      throw fromNats(caught, where);
    }
  }

  /** A bucket that is being made this very moment is announced before it listens: what nobody heard has not happened. */
  async #whileUnheard<T>(operation: (kv: KV) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const kv = await this.#open();
      try {
        return await operation(kv);
      } catch (caught) {
        if (!isUnheard(caught) || attempt >= NUM_ATTEMPTS) throw caught;
        this.#opened = null;
      }
      await pause(attempt);
    }
  }

  #reopen(): Promise<KV> {
    this.#opened = null;
    return this.#open();
  }

  #open(): Promise<KV> {
    this.#opened ??= openBucket(this.#link.connection, this.#bucket, this.ttlMs);
    return this.#opened;
  }
}

async function openBucket(connection: NatsConnection, bucket: string, ttlMs: number): Promise<KV> {
  const jetstream = connection.jetstream({ timeout: API_TIMEOUT_MS });
  const kv = await findOrMake(jetstream, bucket, ttlMs);
  const { ttl } = await kv.status();
  if (ttl !== ttlMs) throw otherTtl(bucket, ttlMs, ttl);
  return kv;
}

/** Of several that make the same bucket at once the server may refuse all but one: the others then find that one's. */
async function findOrMake(jetstream: JetStreamClient, bucket: string, ttlMs: number): Promise<KV> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await jetstream.views.kv(bucket, { ttl: ttlMs, history: 1, timeout: API_TIMEOUT_MS });
    } catch (caught) {
      if (!isMadeByAnother(caught) || attempt >= NUM_ATTEMPTS) throw caught;
    }
    await pause(attempt);
  }
}

function pause(attempt: number): Promise<void> {
  return new Promise((resolve) => {
    systemClock.setTimer(FIRST_PAUSE_MS * 2 ** (attempt - 1), resolve);
  });
}

async function orNullIfOther<T>(write: Promise<T>): Promise<T | null> {
  try {
    return await write;
  } catch (caught) {
    if (isOtherRevision(caught)) return null;
    throw caught;
  }
}

/** One call to JetStream's API; an operation that also opens the bucket makes four of them. */
const API_TIMEOUT_MS = 2000;
const KV_TIMEOUT_MS = 5000;
/** 10, 20, 40 and 80 ms apart: another client needs a few to make a bucket. */
const NUM_ATTEMPTS = 5;
const FIRST_PAUSE_MS = 10;
