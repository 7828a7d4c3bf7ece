import { systemClock, type Clock } from "../clock.js";
import { MoesaicError } from "../errors.js";
import type { BoundedQueue } from "./bounded-queue.js";
import {
  type Bus,
  type BusMessage,
  type BusState,
  type BusStats,
  type BusSubscription,
  type KeyValue,
  type SubscribeOptions,
} from "./bus.js";
import { checkNumRequests, nobodyListens, otherTtl } from "./bus-errors.js";
import { BusStateCell } from "./bus-state.js";
import { checkTimeout, tooLate } from "./deadline.js";
import { EmbeddedBucket } from "./embedded-bucket.js";
import { EmbeddedKeyValue } from "./embedded-key-value.js";
import { asSubscription, messageQueue } from "./message-queue.js";
import { PublishBuffer } from "./publish-buffer.js";
import { checkPattern, checkPayload, checkSubject, checkToken, checkTtl, subjectMatches } from "./subject.js";

/**
 * The bus of a cluster without a NATS server: all who connect are in this process. The same calls give the same
 * deliveries in the same order, and time is the clock's. Buckets are in memory and end with the process.
 */
export class EmbeddedBroker {
  readonly #clock: Clock;
  readonly #clients = new Set<EmbeddedBus>();
  readonly #subscriptions = new Set<Subscription>();
  readonly #buckets = new Map<string, EmbeddedBucket>();
  #isUp = true;
  /** Counts what queue groups were given, so that their members take turns. */
  #numShared = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Another client, with its own subscriptions and state. */
  connect(): Bus {
    const client = new EmbeddedBus(this, this.#clock, this.#isUp ? "connected" : "reconnecting");
    this.#clients.add(client);
    return client;
  }

  /** As a server that goes away: clients reconnect until `start`, what is on its way is lost, buckets stay. */
  stop(): void {
    this.#isUp = false;
    for (const client of this.#clients) client.setReachable(false);
  }

  start(): void {
    this.#isUp = true;
    for (const client of this.#clients) client.setReachable(true);
  }

  /** @returns to how many readers it went; 0 as well while the broker is stopped */
  deliver(message: BusMessage): number {
    if (!this.#isUp) return 0;
    const readers = this.#readersOf(message.subject);
    for (const { queue } of readers) queue.push(message);
    return readers.length;
  }

  add(subscription: Subscription): void {
    this.#subscriptions.add(subscription);
  }

  remove(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
  }

  leave(client: EmbeddedBus): void {
    this.#clients.delete(client);
  }

  /** @throws MoesaicError failed_precondition for another ttlMs */
  bucket(name: string, ttlMs: number): EmbeddedBucket {
    const bucket = this.#buckets.get(name) ?? new EmbeddedBucket(this.#clock, ttlMs);
    if (bucket.ttlMs !== ttlMs) throw otherTtl(name, ttlMs, bucket.ttlMs);
    this.#buckets.set(name, bucket);
    return bucket;
  }

  #readersOf(subject: string): Subscription[] {
    const matching = [...this.#subscriptions].filter(({ pattern }) => subjectMatches(pattern, subject));
    const groups = new Map<string, Subscription[]>();
    for (const one of matching) if (one.group !== null) groups.set(one.group, [...(groups.get(one.group) ?? []), one]);
    const chosen = [...groups.values()].map((members) => members[this.#numShared++ % members.length]!);
    return [...matching.filter(({ group }) => group === null), ...chosen];
  }
}

interface Subscription {
  readonly pattern: string;
  /** The name of the queue whose members share; null: takes everything. */
  readonly group: string | null;
  readonly queue: BoundedQueue<BusMessage>;
}

class EmbeddedBus implements Bus {
  readonly name = "embedded";
  readonly stats: BusStats = { numPublished: 0, numPublishesRefused: 0, numPublishesKept: 0 };
  readonly #broker: EmbeddedBroker;
  readonly #clock: Clock;
  readonly #state: BusStateCell;
  readonly #kept = new PublishBuffer();
  readonly #subscriptions = new Set<Subscription>();
  readonly #requests = new Set<(error: MoesaicError) => void>();

  constructor(broker: EmbeddedBroker, clock: Clock, state: BusState) {
    this.#broker = broker;
    this.#clock = clock;
    this.#state = new BusStateCell(this.name, state);
  }

  get state(): BusState {
    return this.#state.state;
  }

  onState(listener: (state: BusState) => void): () => void {
    return this.#state.onState(listener);
  }

  publish(subject: string, payload: Uint8Array): void {
    checkSubject(subject);
    checkPayload(payload);
    this.#state.checkOpen();
    if (this.state === "connected") this.#deliver(subject, payload, null);
    else this.#keep(subject, payload);
    this.stats.numPublished += 1;
  }

  subscribe(pattern: string, options: SubscribeOptions = {}): BusSubscription {
    checkPattern(pattern);
    if (options.queue !== undefined) checkToken(options.queue, "queue");
    this.#state.checkOpen();
    const queue = messageQueue(options, () => this.#forget(subscription));
    const subscription: Subscription = { pattern, group: options.queue ?? null, queue };
    this.#subscriptions.add(subscription);
    this.#broker.add(subscription);
    return asSubscription(queue);
  }

  async request(subject: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    checkSubject(subject);
    checkPayload(payload);
    checkTimeout(timeoutMs);
    this.#state.checkConnected();
    checkNumRequests(this.#requests.size);
    return new Promise((resolve, reject) => {
      const fail = (error: MoesaicError): void => settle(() => reject(error));
      const cancel = this.#clock.setTimer(timeoutMs, () => fail(tooLate(timeoutMs, `the answer to ${subject}`)));
      const settle = (how: () => void): void => {
        cancel();
        this.#requests.delete(fail);
        how();
      };
      this.#requests.add(fail);
      const numReaders = this.#deliver(subject, payload, (answer) => settle(() => resolve(answer)));
      if (numReaders === 0) fail(nobodyListens(subject));
    });
  }

  kv(bucket: string, { ttlMs }: { ttlMs: number }): KeyValue {
    checkToken(bucket, "bucket");
    checkTtl(ttlMs);
    return new EmbeddedKeyValue(this.#state, () => this.#broker.bucket(bucket, ttlMs));
  }

  async flush(timeoutMs: number): Promise<void> {
    checkTimeout(timeoutMs);
    this.#state.checkConnected();
  }

  async close(): Promise<void> {
    if (!this.#state.set("closed")) return;
    this.#broker.leave(this);
    for (const { queue } of this.#subscriptions) queue.end();
    const closed = new MoesaicError("cancelled", "the bus was closed before the answer came");
    for (const fail of this.#requests) fail(closed);
  }

  /** What the broker says; kept messages go out before anyone hears that the bus is back. */
  setReachable(isReachable: boolean): void {
    if (isReachable) this.#kept.drain((subject, payload) => this.#deliver(subject, payload, null));
    this.stats.numPublishesKept = 0;
    this.#state.set(isReachable ? "connected" : "reconnecting");
  }

  #deliver(subject: string, payload: Uint8Array, answer: ((payload: Uint8Array) => void) | null): number {
    return this.#broker.deliver({
      subject,
      payload: new Uint8Array(payload),
      respond: answer && this.#responder(answer),
    });
  }

  /** An answer goes through the broker as well: it is lost while that is stopped. */
  #responder(answer: (payload: Uint8Array) => void): (payload: Uint8Array) => void {
    return (payload) => {
      checkPayload(payload);
      if (this.state === "connected") answer(new Uint8Array(payload));
    };
  }

  #keep(subject: string, payload: Uint8Array): void {
    try {
      this.#kept.add(subject, payload);
    } catch (caught) {
      this.stats.numPublishesRefused += 1;
      throw caught;
    }
    this.stats.numPublishesKept = this.#kept.numMessages;
  }

  #forget(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
    this.#broker.remove(subscription);
  }
}
