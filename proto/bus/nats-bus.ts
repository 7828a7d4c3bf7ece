import { Events, type Msg, type NatsConnection } from "nats";
import { systemClock } from "../clock.js";
import { MoesaicError } from "../errors.js";
import type { Logger } from "../log.js";
import type { BoundedQueue } from "./bounded-queue.js";
import {
  MAX_PAYLOAD_BYTES,
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
import { checkTimeout, within } from "./deadline.js";
import { asSubscription, messageQueue } from "./message-queue.js";
import { openNatsConnection, type NatsOptions } from "./nats-connection.js";
import { fromNats } from "./nats-errors.js";
import { NatsKeyValue } from "./nats-key-value.js";
import { PublishBuffer } from "./publish-buffer.js";
import { SendBudget } from "./send-budget.js";
import { checkPattern, checkPayload, checkSubject, checkToken, checkTtl } from "./subject.js";

/**
 * A bus over a NATS server, or a cluster of them, with JetStream on for buckets. Once connected it reconnects for
 * ever; `state` and the log say what it is doing.
 * @throws MoesaicError as `openNatsConnection`
 */
export async function connectNatsBus(options: NatsOptions, log: Logger): Promise<Bus> {
  const connection = await openNatsConnection(options);
  const bus = new NatsBus(options.url, connection, log.child({ bus: options.url }));
  void bus.follow();
  return bus;
}

class NatsBus implements Bus {
  readonly name: string;
  readonly stats: BusStats = { numPublished: 0, numPublishesRefused: 0, numPublishesKept: 0 };
  readonly #connection: NatsConnection;
  readonly #log: Logger;
  readonly #state: BusStateCell;
  readonly #kept = new PublishBuffer();
  readonly #budget: SendBudget;
  readonly #queues = new Set<BoundedQueue<BusMessage>>();
  readonly #buckets = new Map<string, NatsKeyValue>();
  #numRequests = 0;

  constructor(name: string, connection: NatsConnection, log: Logger) {
    this.name = name;
    this.#connection = connection;
    this.#log = log;
    this.#state = new BusStateCell(name, "connected");
    this.#budget = new SendBudget(() => connection.flush());
  }

  get state(): BusState {
    return this.#state.state;
  }

  onState(listener: (state: BusState) => void): () => void {
    return this.#state.onState(listener);
  }

  publish(subject: string, payload: Uint8Array): void {
    checkSubject(subject);
    this.#checkPayload(payload);
    this.#state.checkOpen();
    try {
      if (this.state === "connected") this.#send(subject, payload);
      else this.#kept.add(subject, payload);
    } catch (caught) {
      this.stats.numPublishesRefused += 1;
      throw fromNats(caught, `publish ${subject}`);
    }
    this.stats.numPublished += 1;
    this.stats.numPublishesKept = this.#kept.numMessages;
  }

  subscribe(pattern: string, options: SubscribeOptions = {}): BusSubscription {
    checkPattern(pattern);
    if (options.queue !== undefined) checkToken(options.queue, "queue");
    this.#state.checkOpen();
    const queue = messageQueue(options, () => {
      this.#queues.delete(queue);
      subscription.unsubscribe();
    });
    const subscription = this.#connection.subscribe(pattern, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        if (error !== null) queue.end(fromNats(error, `subscribe ${pattern}`));
        else queue.push(this.#received(message));
      },
    });
    this.#queues.add(queue);
    return asSubscription(queue);
  }

  async request(subject: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    checkSubject(subject);
    this.#checkPayload(payload);
    checkTimeout(timeoutMs);
    this.#state.checkConnected();
    checkNumRequests(this.#numRequests);
    this.#numRequests += 1;
    try {
      this.#budget.spend(payload.byteLength + MESSAGE_OVERHEAD_BYTES);
      const answer = await this.#connection.request(subject, new Uint8Array(payload), { timeout: timeoutMs });
      return answer.data;
    } catch (caught) {
      if ((caught as { code?: unknown }).code === NO_RESPONDERS) throw nobodyListens(subject);
      throw fromNats(caught, `the answer to ${subject} within ${timeoutMs} ms`);
    } finally {
      this.#numRequests -= 1;
    }
  }

  kv(bucket: string, { ttlMs }: { ttlMs: number }): KeyValue {
    checkToken(bucket, "bucket");
    checkTtl(ttlMs);
    const known = this.#buckets.get(bucket);
    if (known !== undefined && known.ttlMs !== ttlMs) throw otherTtl(bucket, ttlMs, known.ttlMs);
    const link = { connection: this.#connection, state: this.#state, log: this.#log };
    const opened = known ?? new NatsKeyValue(link, bucket, ttlMs);
    this.#buckets.set(bucket, opened);
    return opened;
  }

  async flush(timeoutMs: number): Promise<void> {
    checkTimeout(timeoutMs);
    this.#state.checkConnected();
    try {
      await within(systemClock, timeoutMs, `flushing the bus ${this.name}`, this.#connection.flush());
    } catch (caught) {
      throw fromNats(caught, `flushing the bus ${this.name}`);
    }
  }

  async close(): Promise<void> {
    if (this.state === "closed") return;
    if (this.state === "connected") await this.flush(CLOSE_FLUSH_MS).catch(() => {});
    if (this.#kept.numMessages > 0)
      this.#log.warn({ numMessages: this.#kept.numMessages }, "bus closed before it was back; kept messages were lost");
    this.#becomeClosed();
    await this.#connection.close();
  }

  /** Follows what the package says about its connection, until that is closed. */
  async follow(): Promise<void> {
    for await (const { type, data } of this.#connection.status()) {
      if (type === Events.Disconnect) this.#becomeReconnecting();
      else if (type === Events.Reconnect) this.#becomeConnected();
      else if (type === Events.Error) this.#log.warn({ code: data }, "bus server refused something");
    }
    this.#becomeClosed();
  }

  #becomeReconnecting(): void {
    if (this.#state.set("reconnecting")) this.#log.warn("bus lost; reconnecting, serving goes on");
  }

  /** Kept messages go out before anyone hears that the bus is back. */
  #becomeConnected(): void {
    if (this.state !== "reconnecting") return;
    const numMessages = this.#kept.numMessages;
    this.#kept.drain((subject, payload) => this.#sendKept(subject, payload));
    this.stats.numPublishesKept = 0;
    this.#log.info({ numMessages }, "bus reconnected; kept messages sent");
    this.#state.set("connected");
  }

  /** The server that came back may allow less, or be gone again. */
  #sendKept(subject: string, payload: Uint8Array): void {
    try {
      this.#connection.publish(subject, payload);
    } catch (caught) {
      this.stats.numPublishesRefused += 1;
      this.#log.warn({ subject, err: MoesaicError.from(caught).message }, "kept message was not sent");
    }
  }

  #becomeClosed(): void {
    if (!this.#state.set("closed")) return;
    for (const queue of this.#queues) queue.end();
  }

  /** The package writes later in this turn, so it gets its own copy. */
  #send(subject: string, payload: Uint8Array): void {
    this.#budget.spend(payload.byteLength + MESSAGE_OVERHEAD_BYTES);
    this.#connection.publish(subject, new Uint8Array(payload));
  }

  #received(message: Msg): BusMessage {
    const { reply } = message;
    const respond = reply === undefined || reply === "" ? null : (payload: Uint8Array) => this.#respond(reply, payload);
    return { subject: message.subject, payload: message.data, respond };
  }

  /** Whoever asked has a deadline: an answer that cannot be sent now is not worth keeping. */
  #respond(reply: string, payload: Uint8Array): void {
    this.#checkPayload(payload);
    if (this.state !== "connected") return;
    try {
      this.#send(reply, payload);
    } catch (caught) {
      this.#log.warn({ err: MoesaicError.from(caught).message }, "answer on the bus was not sent");
    }
  }

  /** A server may allow less than we do. */
  #checkPayload(payload: Uint8Array): void {
    checkPayload(payload, Math.min(MAX_PAYLOAD_BYTES, this.#connection.info?.max_payload ?? MAX_PAYLOAD_BYTES));
  }
}

const NO_RESPONDERS = "503";
const MESSAGE_OVERHEAD_BYTES = 128;
const CLOSE_FLUSH_MS = 1000;
