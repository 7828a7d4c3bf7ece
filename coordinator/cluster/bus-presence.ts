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
/** Between two tries to get a lost lease back, milliseconds: far less than a lease lives. */
const REGAIN_INTERVAL_MS = 2_000;

/**
 * A coordinator on the bus: holds the lease of its cluster, lets workers find it, tells what happens. The bus going away
 * changes nothing for those who are served: ranks are attached by streams of their own. Only when another coordinator has
 * the lease is this one deposed.
 */
export class BusPresence {
  /** Called when the state of the bus changes. */
  onChange: () => void = () => {};
  /** Called with everything that happens, whether or not the bus takes it. */
  onEvent: (event: ClusterEvent) => void = () => {};
  /** Called once, when another coordinator has the lease that this one held: it must not command ranks any more. */
  onDeposed: (error: MoesaicError) => void = () => {};
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

  /** What later coordinators' tokens are above; 0 where there is no fencing: the embedded bus counts anew in each process. */
  get fencingToken(): number {
    return this.#bus.name === "embedded" ? 0 : this.#lease.lastToken;
  }

  /**
   * Resolves when this coordinator is the one of its cluster: at once where no other holds the lease, else as soon as that
   * one lets go or dies. @param onStandby called when it has to wait   @returns false when it was closed before
   */
  async lead(onStandby: () => void): Promise<boolean> {
    if ((await this.#ask()) === "held") return true;
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
    if (this.#isClosed) return;
    this.onEvent(event);
    this.#events.publish(event);
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

  /** While the bus is away nobody knows who has it, and serving goes on; when it is another, this coordinator is deposed. */
  async #regain(loss: string): Promise<void> {
    this.#log.warn({ loss }, "coordinator lease lost; serving goes on while it is asked for again");
    for (;;) {
      const answer = await this.#ask();
      if (this.#isClosed) return;
      if (answer === "held") return this.#log.info("coordinator lease held again");
      if (answer === "taken") return this.#deposed();
      await this.#pause();
    }
  }

  async #ask(): Promise<"held" | "taken" | "unknown"> {
    try {
      return (await this.#lease.tryAcquire()) === null ? "taken" : "held";
    } catch (caught) {
      const error = MoesaicError.from(caught);
      const isOutage = error.code === "unavailable" || error.code === "deadline_exceeded" || this.#isClosed;
      // A server that forgot its tokens keeps what was written: nobody else has the lease while it is asked for.
      this.#log[isOutage ? "debug" : "error"]({ text: error.describe() }, "coordinator lease was not to be had");
      return "unknown";
    }
  }

  #deposed(): void {
    void this.#announcement?.stop();
    this.#announcement = null;
    this.onDeposed(
      new MoesaicError(
        "unavailable",
        `another coordinator of the cluster ${this.#clusterName} has the lease now, so this one let its ranks go; ` +
          "start it again to have it stand by",
      ),
    );
  }

  /** Ends at once when the state of the bus changes. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        stopListening();
        resolve();
      };
      const cancel = this.#clock.setTimer(REGAIN_INTERVAL_MS, wake);
      const stopListening = this.#bus.onState(wake);
    });
  }
}
