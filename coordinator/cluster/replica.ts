import { randomBytes } from "node:crypto";
import type { Misfit } from "../../plans/memory.js";
import type { RankProgram } from "../../plans/rank-program.js";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError, isErrorCode } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import type { v1 } from "../../proto/messages.js";
import { decodeStepResult, encodeStepPlan } from "../../proto/step-codec.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import type { FromRank, RankConnection } from "./rank-connection.js";
import { RankWatch } from "./rank-watch.js";
import { ANYBODY, Seat, type SeatRequirement } from "./seat.js";

/**
 * waiting: seats are empty, or the next epoch is about to begin; sizing and loading: all ranks attached, on their way;
 * ready: runs steps; failed: for good, with a reason; closed: drained.
 */
export type ReplicaState = "waiting" | "sizing" | "loading" | "ready" | "failed" | "closed";

export interface ReplicaConfig {
  replicaId: number;
  worldSize: number;
  /** By rank; absent: anybody. */
  requirements?: readonly SeatRequirement[];
  /** The rank's program; its limits.numBlocks is decided once the ranks have said what they take. */
  programOf(rank: number): RankProgram;
  modelDir: string;
  /** Random weights from this seed instead of the checkpoint's. */
  dummySeed: number | null;
  kernelPackages: string[];
  deterministic: boolean;
  /** KV blocks that fit every rank. @throws MoesaicError resource_exhausted */
  chooseNumBlocks(ranks: SizedRank[]): number;
  /** Ranks that have no room for the KV blocks chosen before; null when all have. */
  misfitOf(ranks: SizedRank[], numBlocks: number): Misfit | null;
  leaseMs: number;
  stallMs: number;
  peerDeadlineMs: number;
  /** Of the coordinator's lease at this moment; 0: there is no fencing. */
  fencingToken(): number;
}

/** What a rank's program takes, and on which host. */
export interface SizedRank {
  hostId: string;
  sized: v1.Sized.$Properties;
}

/** What happened to a replica's membership, for events and for whoever looks after the processes. */
export type ReplicaEvent =
  | { name: "rank_attached"; rank: number; hostId: string }
  | { name: "rank_lost"; rank: number; hostId: string; phase: RankPhase; launchId: string }
  | { name: "replica_ready" }
  | { name: "replica_failed" };

export type RankPhase = "attaching" | "loading" | "serving" | "draining";

/** Epochs that may fail one after the other, with every rank attached and no step finished, before that is for good. */
const FAILED_EPOCHS_MAX = 5;
/** Pause before another epoch of the same ranks; doubles with each that fails. */
const RETRY_DELAY_MS = 250;

/**
 * The ranks of one replica and their membership. A set of attached ranks is an epoch; when one is lost the epoch ends on
 * all of them, its running step fails with `unavailable`, and the next epoch begins as soon as every seat is taken again.
 *
 *     attach… ──all seats──► Assignment ──all Sized──► Load ──all Ready──► steps
 *                 ▲                     a rank lost, failed or silent                │
 *                 └───────────────── EndEpoch to the others ◄───────────────────────┘
 */
export class Replica {
  /** Called on every change of state. */
  onChange: () => void = () => {};
  /** Called when what a status shows of ranks has changed. */
  onProgress: () => void = () => {};
  onEvent: (event: ReplicaEvent) => void = () => {};
  /** A rank was lost and its seat is free: whoever has a spare attaches it now. */
  onSeatFree: () => void = () => {};
  state: ReplicaState = "waiting";
  epoch = 0;
  numBlocks = 0;
  readonly replicaId: number;
  readonly seats: Seat[];
  readonly #config: ReplicaConfig;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #watch: RankWatch;
  /** What happened last, if it was bad. */
  #trouble = "";
  /** Program, checkpoint and settings are known to be good: what goes wrong with one rank is about that rank. */
  #wasReady = false;
  #numFailedEpochs = 0;
  #cancelRetryTimer: (() => void) | null = null;
  #pending: { stepId: number; resolve: (result: StepResult) => void; reject: (error: MoesaicError) => void } | null =
    null;
  #stepListeners: (() => void)[] = [];

  constructor(config: ReplicaConfig, clock: Clock, log: Logger) {
    const { replicaId, worldSize, requirements = [] } = config;
    this.#config = config;
    this.#clock = clock;
    this.replicaId = replicaId;
    this.#log = log.child({ replicaId });
    this.seats = Array.from({ length: worldSize }, (_, rank) => new Seat(rank, requirements[rank] ?? ANYBODY));
    this.#watch = new RankWatch(this.seats, config, clock, (seat, reason) => this.#lose(seat, reason));
  }

  /** Why it is not ready; empty when it is. */
  get reason(): string {
    if (this.state === "ready") return "";
    const empty = this.seats.filter((seat) => seat.connection === null);
    const parts = [this.#trouble, this.state === "waiting" ? waitingText(this.seats, empty) : STATE_TEXTS[this.state]];
    return parts.filter((part) => part !== "").join("; ");
  }

  /** An epoch has begun and not ended. */
  get isRunning(): boolean {
    return this.state === "sizing" || this.state === "loading" || this.state === "ready";
  }

  get #isOpen(): boolean {
    return this.state !== "failed" && this.state !== "closed";
  }

  /** The free seat that fits best, if one does. */
  bestSeat(hello: v1.Hello.$Properties): { seat: Seat; fit: number } | null {
    if (this.state !== "waiting") return null;
    const rated = this.seats.map((seat) => ({ seat, fit: seat.fit(hello) }));
    const best = rated.reduce((a, b) => (b.fit > a.fit ? b : a));
    return best.fit > 0 ? best : null;
  }

  /** Gives the rank a seat that is free; the last one to come starts the epoch. */
  attach(connection: RankConnection, seat: Seat): void {
    const { hello } = connection;
    seat.take(connection, this.#clock.nowMs());
    connection.onMessage = (message) => this.#receive(seat, connection, message);
    connection.onLost = (reason) => {
      if (seat.connection === connection) this.#lose(seat, reason);
    };
    this.#log.info({ rank: seat.rank, hostId: hello.host_id, pid: hello.pid }, "rank attached");
    this.onEvent({ name: "rank_attached", rank: seat.rank, hostId: seat.hostId });
    this.#watch.start();
    this.onChange();
    this.#beginWhenComplete();
  }

  /** Runs one step on the lead rank. @throws MoesaicError unavailable when the epoch ends before the result is there */
  step(plan: StepPlan): Promise<StepResult> {
    return new Promise((resolve, reject) => {
      if (this.state !== "ready" || plan.epoch !== this.epoch) {
        return reject(new MoesaicError("unavailable", this.reason || `epoch ${plan.epoch} is over`));
      }
      this.#pending = { stepId: plan.stepId, resolve, reject };
      this.#watch.stepBegan();
      this.seats[0]!.connection!.send({ step_plan: encodeStepPlan(plan) });
    });
  }

  /**
   * Lets one rank leave: the running step is finished, then the epoch ends in order on the others. Resolves when the rank has
   * left, or after `graceMs`. @throws MoesaicError not_found
   */
  async drainRank(rank: number, graceMs: number): Promise<void> {
    const seat = this.seats[rank];
    if (seat === undefined || seat.connection === null || !this.#isOpen) {
      throw new MoesaicError("not_found", `replica ${this.replicaId} has no attached rank ${rank}`);
    }
    const { connection } = seat;
    if (this.#pending !== null) await this.#whenStepEnded();
    if (seat.connection !== connection || !this.#isOpen) return;
    seat.state = "draining";
    const text = `rank ${rank} was drained`;
    this.#log.info({ rank, epoch: this.epoch }, "rank drains");
    connection.send({ drain: { epoch: this.epoch } });
    this.#endEpoch(new MoesaicError("unavailable", text), seat);
    this.#move("waiting", text);
    await this.#within(graceMs, seat.whenLeft());
    if (seat.connection === connection) this.#lose(seat, `it did not leave within ${graceMs} ms`);
  }

  /** Finishes the running step, tells every rank to leave, and resolves when they have; each part takes `graceMs` at most. */
  async drain(graceMs: number): Promise<void> {
    if (this.#pending !== null) await this.#within(graceMs, this.#whenStepEnded());
    if (this.#isOpen) this.#close("drained", {});
    await this.#within(graceMs, Promise.all(this.seats.map((seat) => seat.whenLeft())));
    for (const seat of this.seats) seat.connection?.close();
  }

  /** Ends the replica at once, since its ranks belong to another coordinator now: they are told to look for that one. */
  letGo(reason: string): void {
    if (this.#isOpen) this.#close(reason, { look_again: true });
  }

  #close(reason: string, how: v1.Drain.$Properties): void {
    this.#cancelRetry();
    this.#watch.stop();
    // First the state: what comes in from now on belongs to no epoch.
    this.#move("closed", reason);
    this.#rejectStep(new MoesaicError("unavailable", reason));
    for (const seat of this.seats) {
      if (seat.connection === null || seat.state === "draining") continue;
      seat.state = "draining";
      seat.connection.send({ drain: { epoch: this.epoch, ...how } });
    }
  }

  /** Ends the replica for good: nothing that is tried again would go better. */
  fail(reason: string): void {
    if (!this.#isOpen) return;
    this.#cancelRetry();
    this.#watch.stop();
    this.#rejectStep(new MoesaicError("unavailable", reason));
    this.#move("failed", reason);
    this.onEvent({ name: "replica_failed" });
    for (const seat of this.seats) {
      if (seat.connection === null) continue;
      seat.connection.close(new MoesaicError("failed_precondition", reason));
      seat.leave();
    }
  }

  // ---- an epoch begins -----------------------------------------------------------------------------------------------

  #beginWhenComplete(): void {
    if (this.state !== "waiting" || this.#cancelRetryTimer !== null) return;
    // A rank that drains still sits there and takes part in nothing.
    if (this.seats.some((seat) => seat.connection === null || seat.state === "draining")) return;
    this.#beginEpoch();
  }

  #beginEpoch(): void {
    this.epoch += 1;
    const nowMs = this.#clock.nowMs();
    for (const seat of this.seats) seat.beginEpoch(nowMs);
    this.#watch.epochBegan();
    this.#move("sizing", this.#trouble);
    const key = randomBytes(32);
    for (const seat of this.seats) seat.connection!.send({ assignment: this.#assignment(seat.rank, key) });
  }

  #assignment(rank: number, key: Uint8Array): v1.Assignment.$Properties {
    const config = this.#config;
    return {
      epoch: this.epoch,
      replica_id: config.replicaId,
      rank,
      world_size: config.worldSize,
      program_json: JSON.stringify(config.programOf(rank)),
      model_dir: config.modelDir,
      ...(config.dummySeed === null ? {} : { dummy_seed: config.dummySeed }),
      kernel_packages: config.kernelPackages,
      deterministic: config.deterministic,
      peers: this.seats.map((seat) => ({
        rank: seat.rank,
        host_id: seat.hostId,
        data_plane_addresses: seat.connection!.hello.data_plane_addresses ?? [],
      })),
      data_plane_key: key,
      lease_ms: config.leaseMs,
      stall_ms: config.stallMs,
      transport: this.transport || "auto",
      peer_deadline_ms: config.peerDeadlineMs,
      fencing_token: config.fencingToken(),
    };
  }

  /** What the ranks' data plane uses: empty in a world of one, or while seats are empty. */
  get transport(): string {
    if (this.seats.length === 1 || this.seats.some((seat) => seat.connection === null)) return "";
    return new Set(this.seats.map((seat) => seat.hostId)).size === 1 ? "shm" : "tcp";
  }

  // ---- what ranks say ------------------------------------------------------------------------------------------------

  #receive(seat: Seat, connection: RankConnection, message: FromRank): void {
    if (seat.connection !== connection) return;
    seat.heardMs = this.#clock.nowMs();
    try {
      if (message.drained) this.#drained(seat, connection);
      else if (this.#isOfEpoch(message)) this.#receiveInEpoch(seat, message);
    } catch (caught) {
      this.#lose(seat, `the rank sent what cannot be used: ${MoesaicError.from(caught).describe()}`);
    }
  }

  #receiveInEpoch(seat: Seat, message: FromRank): void {
    if (message.sized) this.#sized(seat, message.sized);
    else if (message.load_progress) this.#loadProgressed(seat, message.load_progress);
    else if (message.ready) this.#becameReady(seat, message.ready);
    else if (message.progress) this.#progressed(seat, message.progress);
    else if (message.step_result) this.#stepFinished(seat, decodeStepResult(message.step_result));
    else if (message.failure) this.#rankFailed(seat, message.failure);
  }

  /** Messages carry the epoch they belong to; what an ended epoch still says is dropped. */
  #isOfEpoch(message: FromRank): boolean {
    const body =
      message.sized ??
      message.load_progress ??
      message.ready ??
      message.progress ??
      message.step_result ??
      message.failure;
    return this.isRunning && body?.epoch === this.epoch;
  }

  #sized(seat: Seat, sized: v1.Sized.$Properties): void {
    if (this.state !== "sizing") throw new MoesaicError("invalid_argument", `Sized came while ${this.state}`);
    seat.sized = sized;
    seat.movedMs = seat.heardMs;
    if (this.seats.some((other) => other.sized === null)) return;
    const ranks = this.seats.map((other) => ({ hostId: other.hostId, sized: other.sized! }));
    // A later epoch keeps the number: the scheduler's tables are made for it.
    const misfit = this.numBlocks > 0 ? this.#config.misfitOf(ranks, this.numBlocks) : null;
    if (misfit !== null) return this.#refuse(misfit);
    try {
      this.numBlocks ||= this.#config.chooseNumBlocks(ranks);
    } catch (caught) {
      return this.fail(MoesaicError.from(caught).describe());
    }
    for (const other of this.seats) {
      other.state = "loading";
      other.movedMs = seat.heardMs;
    }
    this.#move("loading", this.#trouble);
    for (const other of this.seats) {
      other.connection?.send({ load: { epoch: this.epoch, num_blocks: this.numBlocks } });
    }
  }

  /** Of the ranks that do not fit their host together the last to come goes, with the arithmetic; its seat waits for another. */
  #refuse({ ranks, error }: Misfit): void {
    const seats = ranks.map((rank) => this.seats[rank]!);
    const last = seats.reduce((a, b) => (b.takenMs >= a.takenMs ? b : a));
    this.#lose(last, error.describe(), error);
  }

  #loadProgressed(seat: Seat, progress: v1.LoadProgress.$Properties): void {
    seat.loadBytesDone = progress.bytes_done ?? 0;
    seat.loadBytesPlanned = progress.bytes_planned ?? 0;
    seat.movedMs = seat.heardMs;
    this.onProgress();
  }

  #progressed(seat: Seat, progress: v1.Progress.$Properties): void {
    seat.progressed(progress, this.#clock.nowMs());
    this.onProgress();
  }

  #becameReady(seat: Seat, ready: v1.Ready.$Properties): void {
    if (this.state !== "loading") throw new MoesaicError("invalid_argument", `Ready came while ${this.state}`);
    seat.ready = ready;
    seat.state = "ready";
    this.#log.info(
      { rank: seat.rank, epoch: this.epoch, numBlocks: ready.num_blocks, loadMs: ready.load_ms },
      "rank ready",
    );
    if (this.seats.some((other) => other.ready === null)) return this.onProgress();
    this.#wasReady = true;
    this.#move("ready", "");
    this.onEvent({ name: "replica_ready" });
  }

  #stepFinished(seat: Seat, result: StepResult): void {
    const pending = this.#pending;
    if (seat.rank !== 0 || pending === null || pending.stepId !== result.stepId) {
      const text = `a result of step ${result.stepId}, expected step ${pending?.stepId ?? "none"} of rank 0`;
      throw new MoesaicError("internal", text);
    }
    this.#numFailedEpochs = 0;
    this.#stepEnded();
    pending.resolve(result);
  }

  #rankFailed(seat: Seat, failure: v1.Failure.$Properties): void {
    const code = isErrorCode(failure.code) ? failure.code : "internal";
    const text = new MoesaicError(code, failure.text ?? "", failure.place ? { place: failure.place } : {}).describe();
    this.#log.error(
      { rank: seat.rank, code, place: failure.place, op: failure.op, stepId: failure.step_id, text },
      "rank failed",
    );
    const isPeers = ["unavailable", "deadline_exceeded", "cancelled"].includes(code);
    if (isPeers && this.seats.length > 1) return this.#epochFailed(`rank ${seat.rank} reported: ${text}`);
    const isAboutInput = code !== "internal" && !isPeers;
    if (isAboutInput && !this.#wasReady) this.fail(`rank ${seat.rank}: ${text}`);
    else this.#lose(seat, text);
  }

  // ---- an epoch ends -------------------------------------------------------------------------------------------------

  /** The ranks cannot work together and none of them is known to be lost: after a pause they try again. */
  #epochFailed(reason: string): void {
    this.#numFailedEpochs += 1;
    if (this.#numFailedEpochs >= FAILED_EPOCHS_MAX) {
      return this.fail(`${FAILED_EPOCHS_MAX} epochs ended before a step was finished: ${reason}`);
    }
    this.#endEpoch(new MoesaicError("unavailable", reason), null);
    this.#cancelRetryTimer = this.#clock.setTimer(RETRY_DELAY_MS * 2 ** this.#numFailedEpochs, () => {
      this.#cancelRetryTimer = null;
      this.#beginWhenComplete();
    });
    this.#move("waiting", reason);
  }

  /** Ends the epoch; the others stay attached and take part in the next. @param error what the rank is told */
  #lose(seat: Seat, reason: string, error?: MoesaicError): void {
    const { connection } = seat;
    if (connection === null) return;
    const event = this.#lossOf(seat, connection);
    const place = `rank ${seat.rank} of ${seat.hostId || "an unknown host"} was lost ${seat.describePhase()}`;
    const text = `${place}: ${reason}`;
    connection.close(error);
    seat.leave();
    if (!this.#isOpen) return;
    this.#log.warn({ rank: seat.rank, epoch: this.epoch, reason, phase: event.phase }, "rank lost");
    this.#cancelRetry();
    this.#endEpoch(new MoesaicError("unavailable", text), seat);
    this.#move("waiting", text);
    this.onEvent(event);
    this.onSeatFree();
  }

  #drained(seat: Seat, connection: RankConnection): void {
    if (this.isRunning) return this.#lose(seat, "it left without being told to");
    connection.close();
    seat.leave();
    this.onProgress();
    if (this.state === "waiting") this.onSeatFree();
  }

  #lossOf(seat: Seat, { hello }: RankConnection): ReplicaEvent & { name: "rank_lost" } {
    const phases = { waiting: "attaching", sizing: "attaching", loading: "loading", ready: "serving" } as const;
    const phase = this.state === "failed" || this.state === "closed" ? "draining" : phases[this.state];
    const { launch_id: launchId } = hello;
    return { name: "rank_lost", rank: seat.rank, hostId: seat.hostId, phase, launchId: launchId ?? "" };
  }

  /** Tells everybody but `except`, whose own end is another; ranks of no epoch have nothing to end. */
  #endEpoch(error: MoesaicError, except: Seat | null): void {
    const wasRunning = this.isRunning;
    // First the state: what comes in from now on belongs to no epoch.
    this.state = "waiting";
    if (wasRunning) {
      for (const seat of this.seats) {
        if (seat === except || seat.connection === null || seat.state === "draining") continue;
        seat.state = "attached";
        seat.ready = null;
        seat.connection.send({ end_epoch: { epoch: this.epoch, reason: error.message } });
      }
    }
    this.#rejectStep(error);
  }

  #rejectStep(error: MoesaicError): void {
    const pending = this.#pending;
    this.#stepEnded();
    pending?.reject(error);
  }

  #stepEnded(): void {
    this.#pending = null;
    this.#watch.stepEnded();
    for (const listener of this.#stepListeners.splice(0)) listener();
  }

  #whenStepEnded(): Promise<void> {
    return new Promise((resolve) => this.#stepListeners.push(resolve));
  }

  #cancelRetry(): void {
    this.#cancelRetryTimer?.();
    this.#cancelRetryTimer = null;
  }

  async #within(graceMs: number, done: Promise<unknown>): Promise<void> {
    let cancelTimer = () => {};
    const timeout = new Promise<void>((resolve) => {
      cancelTimer = this.#clock.setTimer(graceMs, resolve);
    });
    await Promise.race([done, timeout]);
    cancelTimer();
  }

  #move(state: ReplicaState, trouble: string): void {
    this.state = state;
    this.#trouble = trouble;
    this.onChange();
  }
}

const STATE_TEXTS = {
  sizing: "ranks are binding their programs",
  loading: "weights are loading",
  ready: "",
  failed: "",
  closed: "",
} as const;

function waitingText(seats: readonly Seat[], empty: readonly Seat[]): string {
  if (empty.length === 0) return "the next epoch is about to begin";
  const numAttached = seats.length - empty.length;
  const wanted = empty.map((seat) => seat.describeWanted()).join(", ");
  return `${numAttached} of ${seats.length} ranks attached, waiting for ${wanted}`;
}
