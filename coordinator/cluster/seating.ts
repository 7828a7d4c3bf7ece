import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { PROTOCOL_VERSION, type v1 } from "../../proto/messages.js";
import type { FromRank, RankConnection } from "./rank-connection.js";
import type { Replica } from "./replica.js";

/**
 * Decides where a worker that attaches belongs: in the seat that fits it best, replicas in order, else among the spares,
 * which take over a lost rank's seat at once, else nowhere.
 */
export class Seating {
  readonly #replicas: readonly Replica[];
  readonly #numSparesMax: number;
  readonly #log: Logger;
  readonly #spares: RankConnection[] = [];
  readonly #rssBytes = new Map<RankConnection, number>();
  onChange: () => void = () => {};

  constructor(replicas: readonly Replica[], numSparesMax: number, log: Logger) {
    this.#replicas = replicas;
    this.#numSparesMax = numSparesMax;
    this.#log = log;
    for (const replica of replicas) replica.onSeatFree = () => this.#fill();
  }

  /** @throws MoesaicError failed_precondition: another protocol version, or no place */
  attach(connection: RankConnection): void {
    const { hello } = connection;
    checkProtocol(hello);
    if (this.#replicas.some((replica) => replica.resume(connection))) return;
    if (hello.held) {
      const reason = "the coordinator does not go on with it";
      connection.send({ end_epoch: { epoch: hello.held.epoch ?? 0, reason } });
    }
    if (this.#seat(connection)) return;
    if (this.#spares.length < this.#numSparesMax && this.#replicas.some(isOpen)) return this.#keep(connection);
    throw new MoesaicError("failed_precondition", this.#whyNot());
  }

  /** Spares as `status` shows them. */
  spares(): v1.RankStatus.$Properties[] {
    return this.#spares.map((connection) => ({
      rank: -1,
      host_id: connection.hello.host_id ?? "",
      pid: connection.hello.pid ?? 0,
      state: "spare",
      device: connection.hello.device?.name ?? "",
      memory_bytes: connection.hello.device?.memory_bytes ?? 0,
      rss_bytes: this.#rssBytes.get(connection) ?? 0,
    }));
  }

  /** Lets the spares go. @param how with `look_again` they look for the coordinator that has the lease */
  drain(how: v1.Drain.$Properties = {}): void {
    for (const connection of this.#spares.splice(0)) {
      connection.onLost = () => {};
      connection.send({ drain: { epoch: 0, ...how } });
      connection.close();
    }
  }

  #seat(connection: RankConnection): boolean {
    const places = this.#replicas.flatMap((replica) => {
      const best = replica.bestSeat(connection.hello);
      return best === null ? [] : [{ replica, ...best }];
    });
    const [first, ...others] = places;
    if (first === undefined) return false;
    const place = others.reduce((a, b) => (b.fit > a.fit ? b : a), first);
    if (place.seat.state === "away") {
      place.replica.vacate(place.seat);
      return this.#seat(connection);
    }
    place.replica.attach(connection, place.seat);
    return true;
  }

  #keep(connection: RankConnection): void {
    this.#spares.push(connection);
    connection.onMessage = (message) => this.#receive(connection, message);
    connection.onLost = () => this.#forget(connection);
    this.#log.info({ hostId: connection.hello.host_id, pid: connection.hello.pid }, "spare attached");
    this.onChange();
  }

  #receive(connection: RankConnection, message: FromRank): void {
    if (message.progress) this.#rssBytes.set(connection, message.progress.rss_bytes ?? 0);
    if (message.failure || message.drained) {
      connection.close();
      this.#forget(connection);
    }
  }

  #forget(connection: RankConnection): void {
    const index = this.#spares.indexOf(connection);
    if (index < 0) return;
    this.#spares.splice(index, 1);
    this.#rssBytes.delete(connection);
    this.onChange();
  }

  #fill(): void {
    for (const connection of [...this.#spares]) {
      if (!this.#seat(connection)) continue;
      this.#log.info({ hostId: connection.hello.host_id, pid: connection.hello.pid }, "spare took a seat");
      this.#forget(connection);
    }
  }

  #whyNot(): string {
    const open = this.#replicas.filter(isOpen);
    if (open.length === 0)
      return this.#replicas.map(({ state, reason }) => `the replica is ${state}: ${reason}`).join("; ");
    const free = open.flatMap(({ seats }) => seats.filter(({ hello }) => hello === null));
    const spares = this.#numSparesMax === 0 ? "" : ` and ${this.#numSparesMax} spares are there`;
    const numSeats = open.reduce((sum, { seats }) => sum + seats.length, 0);
    if (free.length === 0) return `no free seat: the plan has ${numSeats} ranks, all attached${spares}`;
    return `no seat for this worker: free are ${free.map((seat) => seat.describeWanted()).join(", ")}${spares}`;
  }
}

function isOpen({ state }: Replica): boolean {
  return state !== "failed" && state !== "closed";
}

/** A coordinator accepts its own protocol and the one before. */
function checkProtocol(hello: v1.Hello.$Properties): void {
  const version = hello.protocol_version ?? 0;
  if (version === PROTOCOL_VERSION || (version > 0 && version === PROTOCOL_VERSION - 1)) return;
  throw new MoesaicError(
    "failed_precondition",
    `protocol: the rank speaks version ${version}, this coordinator ${PROTOCOL_VERSION}; install the same moesaic on both`,
    { place: `rank of host ${hello.host_id ?? "?"}` },
  );
}
