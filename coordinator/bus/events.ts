import { z } from "zod";
import type { Bus, BusSubscription } from "../../proto/bus/bus.js";
import { clusterNameField, grpcAddressField, hostIdField, idField, versionField } from "../../proto/bus/bus-fields.js";
import { checkRecord, decodeRecord, encodeRecord } from "../../proto/bus/bus-record.js";
import { ERROR_CODES, MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";

/** What may be told about a cluster. Identifiers, counts and codes: no free text, so no prompt can slip into it. */
export type ClusterEvent = z.infer<typeof eventSchema>;

/** An event with who told it, when by its wall clock (ISO 8601), and the how many-th of its teller it is, from 1. */
export type ClusterEventRecord = z.infer<typeof recordSchema>;

/**
 * Publishes under `moesaic.CLUSTER.events.NAME`. Never throws for the bus: a cluster serves whether or not anybody
 * hears of it. A gap in `sequence` shows that events were lost.
 */
export class EventPublisher {
  readonly #bus: Bus;
  readonly #teller: { clusterName: string; coordinatorId: string };
  readonly #log: Logger;
  readonly #now: () => Date;
  #sequence = 0;
  #numLost = 0;

  constructor(
    bus: Bus,
    teller: { clusterName: string; coordinatorId: string },
    { log, now = () => new Date() }: { log: Logger; now?: () => Date },
  ) {
    this.#bus = bus;
    this.#teller = teller;
    this.#log = log;
    this.#now = now;
  }

  /** Events that the bus did not take: closed, or away for too long. */
  get numLost(): number {
    return this.#numLost;
  }

  /** @throws MoesaicError invalid_argument for an event that is none */
  publish(event: ClusterEvent): void {
    this.#sequence += 1;
    const record = { ...this.#teller, sequence: this.#sequence, at: this.#now().toISOString(), event };
    const bytes = encodeRecord(checkRecord(record, recordSchema, "event"));
    try {
      this.#bus.publish(eventSubject(this.#teller.clusterName, event.name), bytes);
    } catch (caught) {
      this.#numLost += 1;
      this.#log.debug({ name: event.name, code: MoesaicError.from(caught).code }, "event was not published");
    }
  }
}

/** The events of a cluster from now on, for one reader; what is no event is passed over. */
export function subscribeEvents(bus: Bus, clusterName: string): EventSubscription {
  const subscription = bus.subscribe(eventSubject(checkRecord(clusterName, clusterNameField, "clusterName"), "*"));
  return new EventSubscription(subscription);
}

export class EventSubscription implements AsyncIterable<ClusterEventRecord> {
  readonly #messages: BusSubscription;
  #numMalformed = 0;

  constructor(messages: BusSubscription) {
    this.#messages = messages;
  }

  get numMalformed(): number {
    return this.#numMalformed;
  }

  /** Events lost because the reader was slow. */
  get numDropped(): number {
    return this.#messages.numDropped;
  }

  unsubscribe(): void {
    this.#messages.unsubscribe();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ClusterEventRecord> {
    for await (const { payload } of this.#messages) {
      const record = decodeRecord(payload, recordSchema);
      if (record === null) this.#numMalformed += 1;
      else yield record;
    }
  }
}

function eventSubject(clusterName: string, name: string): string {
  return `moesaic.${clusterName}.events.${name}`;
}

const count = z.int().nonnegative();
const replica = { replicaId: count, epoch: count };
const rank = { ...replica, rank: count, hostId: hostIdField };
const phase = z.enum(["attaching", "loading", "serving", "draining"]);
const code = z.enum(ERROR_CODES);

const eventSchema = z.discriminatedUnion("name", [
  z.strictObject({ name: z.literal("coordinator_started"), grpcAddress: grpcAddressField, version: versionField }),
  z.strictObject({ name: z.literal("rank_attached"), ...rank }),
  z.strictObject({ name: z.literal("rank_lost"), ...rank, phase, code }),
  z.strictObject({ name: z.literal("replica_ready"), ...replica, worldSize: count }),
  z.strictObject({ name: z.literal("replica_failed"), ...replica, code }),
  z.strictObject({ name: z.literal("draining"), numRunning: count, numWaiting: count }),
]);

const recordSchema = z.strictObject({
  clusterName: clusterNameField,
  coordinatorId: idField,
  sequence: count,
  at: z.iso.datetime(),
  event: eventSchema,
});
