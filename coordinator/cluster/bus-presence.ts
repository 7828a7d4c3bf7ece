import { randomUUID } from "node:crypto";
import type { Bus } from "../../proto/bus/bus.js";
import { announceCoordinator } from "../../proto/bus/discovery.js";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { EventPublisher, type ClusterEvent } from "../bus/events.js";
import { CoordinatorLease } from "../bus/lease.js";

/** One try to get the lease; several follow each other. */
const ACQUIRE_MS = 60_000;

/**
 * A coordinator on the bus: holds the lease of its cluster, lets workers find it, tells what happens. The bus going away
 * changes nothing for those who are served: ranks are attached by streams of their own.
 */
export class BusPresence {
  /** Called when the state of the bus changes. */
  onChange: () => void = () => {};
  readonly #bus: Bus;
  readonly #clusterName: string;
  readonly #coordinatorId = randomUUID();
  readonly #lease: CoordinatorLease;
  readonly #events: EventPublisher;
  readonly #clock: Clock;
  readonly #log: Logger;
  #announcement: { stop(): Promise<void> } | null = null;
  #isClosed = false;

  constructor(bus: Bus, clusterName: string, clock: Clock, log: Logger) {
    this.#bus = bus;
    this.#clusterName = clusterName;
    this.#clock = clock;
    this.#log = log;
    this.#lease = new CoordinatorLease(bus, { clusterName, holderId: this.#coordinatorId, clock, log });
    this.#lease.onLost((loss) => void this.#regain(loss));
    this.#events = new EventPublisher(bus, { clusterName, coordinatorId: this.#coordinatorId }, { log });
    bus.onState((state) => {
      if (!this.#isClosed) log.warn({ bus: bus.name, state }, "bus changed its state; serving goes on");
      this.onChange();
    });
  }

  get status(): { name: string; state: string } {
    return { name: this.#bus.name, state: this.#bus.state };
  }

  /**
   * Resolves when this coordinator is the one of its cluster: at once where no other holds the lease, else as soon as that
   * one lets go or dies. @param onStandby called when it has to wait   @returns false when it was closed before
   */
  async lead(onStandby: () => void): Promise<boolean> {
    if ((await this.#lease.tryAcquire()) !== null) return true;
    onStandby();
    const clusterName = this.#clusterName;
    this.#log.warn({ clusterName }, "another coordinator of this cluster holds the lease; waiting as standby");
    return this.#acquire();
  }

  /** @param grpcAddress as workers reach it */
  announce(grpcAddress: string, version: string): void {
    const announcement = { clusterName: this.#clusterName, coordinatorId: this.#coordinatorId, grpcAddress, version };
    this.#announcement = announceCoordinator(this.#bus, announcement, { clock: this.#clock, log: this.#log });
    this.tell({ name: "coordinator_started", grpcAddress, version });
  }

  tell(event: ClusterEvent): void {
    if (!this.#isClosed) this.#events.publish(event);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#announcement?.stop();
    await this.#lease.release();
    await this.#bus.close();
  }

  async #acquire(): Promise<boolean> {
    while (!this.#isClosed) {
      try {
        await this.#lease.acquire(ACQUIRE_MS);
        return true;
      } catch (caught) {
        const error = MoesaicError.from(caught);
        if (!this.#isClosed && error.code !== "deadline_exceeded") throw error;
      }
    }
    return false;
  }

  /** Nobody else can have it while the bus is away; one who has it now is told of by the log, and ranks stay where they are. */
  async #regain(loss: string): Promise<void> {
    this.#log.warn({ loss }, "coordinator lease lost; serving goes on while it is asked for again");
    try {
      await this.#acquire();
    } catch (caught) {
      this.#log.error({ text: MoesaicError.from(caught).describe() }, "coordinator lease cannot be had again");
    }
  }
}
