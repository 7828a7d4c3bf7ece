import { randomUUID } from "node:crypto";
import { headers, type JetStreamClient, type JetStreamManager, type MsgHdrs, type NatsConnection } from "nats";
import { openNatsConnection, type NatsOptions } from "../../proto/bus/nats-connection.js";
import { fromNats, isOtherRevision } from "../../proto/bus/nats-errors.js";
import { systemClock } from "../../proto/clock.js";
import { within } from "../../proto/bus/deadline.js";
import { assert, MoesaicError } from "../../proto/errors.js";
import { v1 } from "../../proto/messages.js";
import { JOB_ID, type JobLog, type KeptRecord, type LogKind, type RecordPlace } from "./job-log.js";

/** A body in parts: servers take 1 MiB unless they are told otherwise, with headers and protocol around it. */
const PART_BYTES = 960 * 1024;
const API_TIMEOUT_MS = 5_000;
const NUM_ATTEMPTS = 3;
/** Of the last message of a record: the record's head, base64. */
const HEAD = "Moesaic-Job-Record";
const NUM_PARTS = "Moesaic-Job-Parts";
const WRITER = "Moesaic-Job-Writer";

/**
 * Jobs in JetStream: one stream per cluster, a subject per job, a record in one message or several that follow each other.
 * Heads travel in headers, so that a coordinator that starts reads those alone.
 *
 * There is one writer, and the server sees to it: each message says which one it follows. A coordinator that was succeeded
 * without knowing it writes nothing any more. A message whose fate is unknown is sent again under the same id, which the
 * server takes once; when that fails too, it is looked for before the next one, and removed.
 */
export class JetStreamLog implements JobLog {
  bytes = 0;
  readonly #connection: NatsConnection;
  readonly #jetstream: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #stream: string;
  readonly #subject: string;
  readonly #writer = randomUUID();
  #lastSeq = 0;
  /** The last message may have arrived or not. */
  #isUnsure = false;
  #appending: Promise<unknown> = Promise.resolve();

  /** @param clusterName a DNS label   @throws MoesaicError as openNatsConnection; unavailable without JetStream */
  static async open(options: NatsOptions, clusterName: string, kind: LogKind): Promise<JetStreamLog> {
    const connection = await openNatsConnection(options);
    try {
      const manager = await connection.jetstreamManager({ timeout: API_TIMEOUT_MS });
      const log = new JetStreamLog(connection, manager, clusterName, kind);
      await log.#makeStream();
      return log;
    } catch (caught) {
      await connection.close();
      throw fromNats(caught, "opening the stream of jobs");
    }
  }

  private constructor(connection: NatsConnection, manager: JetStreamManager, clusterName: string, kind: LogKind) {
    this.#connection = connection;
    this.#manager = manager;
    this.#jetstream = connection.jetstream({ timeout: API_TIMEOUT_MS });
    this.#stream = `moesaic-${kind}-${clusterName}`;
    this.#subject = `moesaic.${kind}.${clusterName}`;
  }

  /** Begins with a message of its own: whoever wrote before has not seen it, and its next write is refused. */
  async *recover(): AsyncIterable<KeptRecord> {
    const { seq: ownSeq } = await this.#run("taking over jobs", () => this.#jetstream.publish(this.#subject));
    this.#lastSeq = ownSeq;
    const consumer = await this.#run("reading jobs", () =>
      this.#jetstream.consumers.get(this.#stream, { headers_only: true }),
    );
    const messages = await consumer.consume({ max_messages: 1_000 });
    let isWhole = false;
    try {
      for await (const { seq, subject, headers: head } of messages) {
        isWhole = seq >= ownSeq;
        if (isWhole) break;
        const record = recordOf(subject.slice(this.#subject.length + 1), seq, head);
        if (record !== null) yield record;
      }
    } finally {
      messages.stop();
    }
    if (!isWhole) throw new MoesaicError("unavailable", "the connection to NATS ended while jobs were read");
    await this.#purge({ filter: this.#subject, keep: 1 });
  }

  append(jobId: string, head: v1.JobRecord.$Properties, body: Uint8Array): Promise<RecordPlace> {
    const appended = this.#appending.then(() => this.#append(jobId, head, body));
    this.#appending = appended.catch(() => {});
    return appended;
  }

  async read(_jobId: string, { at, size: numParts }: RecordPlace): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let seq = at; seq < at + numParts; seq += 1) {
      const { data } = await this.#run("reading a job", () => this.#manager.streams.getMessage(this.#stream, { seq }));
      parts.push(data);
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  drop(jobId: string): Promise<void> {
    return this.#purge({ filter: `${this.#subject}.${jobId}` });
  }

  async close(): Promise<void> {
    await this.#appending;
    await this.#connection.close();
  }

  // ---- writing -----------------------------------------------------------------------------------------------------

  async #append(jobId: string, head: v1.JobRecord.$Properties, body: Uint8Array): Promise<RecordPlace> {
    assert(JOB_ID.test(jobId), `${jobId} is no subject`);
    if (this.#isUnsure) await this.#makeSure();
    const numParts = Math.max(1, Math.ceil(body.length / PART_BYTES));
    for (let part = 0; part < numParts; part += 1) {
      const extra = part < numParts - 1 ? {} : { [HEAD]: encodeHead(head), [NUM_PARTS]: String(numParts) };
      await this.#publish(jobId, body.subarray(part * PART_BYTES, (part + 1) * PART_BYTES), extra);
    }
    return { at: this.#lastSeq - numParts + 1, size: numParts };
  }

  async #publish(jobId: string, data: Uint8Array, extra: Readonly<Record<string, string>>): Promise<void> {
    const messageHeaders = headers();
    for (const [name, value] of Object.entries({ ...extra, [WRITER]: this.#writer })) messageHeaders.set(name, value);
    const options = { msgID: randomUUID(), headers: messageHeaders, expect: { lastSequence: this.#lastSeq } };
    for (let attempt = 1; ; attempt += 1) {
      try {
        // The package writes later in this turn, so it gets its own copy.
        const { seq } = await this.#jetstream.publish(`${this.#subject}.${jobId}`, new Uint8Array(data), options);
        this.#lastSeq = seq;
        this.bytes += data.length;
        return;
      } catch (caught) {
        if (isOtherRevision(caught)) throw this.#succeeded();
        const error = fromNats(caught, "keeping a job");
        const isWorthIt = error.code === "deadline_exceeded" || error.code === "unavailable";
        if (isWorthIt && attempt < NUM_ATTEMPTS) continue;
        this.#isUnsure = isWorthIt;
        throw isWorthIt
          ? new MoesaicError("unavailable", error.message, { cause: caught, retryAfterMs: 1_000 })
          : error;
      }
    }
  }

  /** What was said to have failed must not be there after a restart. */
  async #makeSure(): Promise<void> {
    const { state } = await this.#run("keeping a job", () => this.#manager.streams.info(this.#stream));
    for (let seq = this.#lastSeq + 1; seq <= state.last_seq; seq += 1) {
      const message = await this.#run("keeping a job", () => this.#manager.streams.getMessage(this.#stream, { seq }));
      if (message.header.get(WRITER) !== this.#writer) throw this.#succeeded();
      await this.#run("keeping a job", () => this.#manager.streams.deleteMessage(this.#stream, seq));
    }
    this.#lastSeq = state.last_seq;
    this.#isUnsure = false;
  }

  async #purge(what: { filter: string; keep?: number }): Promise<void> {
    await this.#run("deleting jobs", () => this.#manager.streams.purge(this.#stream, what));
    const { state } = await this.#run("counting jobs", () => this.#manager.streams.info(this.#stream));
    this.bytes = state.bytes;
  }

  #succeeded(): MoesaicError {
    const text = `another coordinator writes to ${this.#stream}: this one keeps no jobs any more; start it again`;
    return new MoesaicError("failed_precondition", text);
  }

  async #makeStream(): Promise<void> {
    const config = {
      name: this.#stream,
      subjects: [this.#subject, `${this.#subject}.*`],
      description: "what a Moesaic cluster keeps",
    };
    const known = await this.#manager.streams.info(this.#stream).catch(() => null);
    if (known === null) await this.#manager.streams.add(config);
  }

  async #run<T>(what: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await within(systemClock, API_TIMEOUT_MS, what, operation());
    } catch (caught) {
      const error = fromNats(caught, what);
      if (error.code !== "deadline_exceeded") throw error;
      throw new MoesaicError("unavailable", error.message, { cause: caught, retryAfterMs: 1_000 });
    }
  }
}

function encodeHead(head: v1.JobRecord.$Properties): string {
  return Buffer.from(v1.JobRecord.encode(head).finish()).toString("base64");
}

/** @returns null for a part that others follow, and for what is none of ours */
function recordOf(jobId: string, seq: number, head: MsgHdrs | undefined): KeptRecord | null {
  const [encoded, parts] = [head?.get(HEAD) ?? "", Number(head?.get(NUM_PARTS))];
  if (encoded === "" || !Number.isInteger(parts) || parts < 1 || !JOB_ID.test(jobId)) return null;
  return {
    jobId,
    head: v1.JobRecord.decode(Buffer.from(encoded, "base64")),
    place: { at: seq - parts + 1, size: parts },
  };
}
