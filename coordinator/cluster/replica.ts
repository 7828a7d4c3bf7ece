import type { RankProgram } from "../../plans/rank-program.js";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError, isErrorCode } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { PROTOCOL_VERSION, type v1 } from "../../proto/messages.js";
import { decodeStepResult, encodeStepPlan } from "../../proto/step-codec.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import type { FromRank, RankConnection } from "./rank-connection.js";
import { Seat } from "./seat.js";

/**
 * waiting: seats are empty; sizing and loading: all ranks attached, on their way; ready: runs steps; failed: for good, with
 * a reason; closed: drained.
 */
export type ReplicaState = "waiting" | "sizing" | "loading" | "ready" | "failed" | "closed";

export interface ReplicaConfig {
  replicaId: number;
  worldSize: number;
  /** The rank's program; its limits.numBlocks is decided once the ranks have said what they take. */
  programOf(rank: number): RankProgram;
  modelDir: string;
  /** Random weights from this seed instead of the checkpoint's. */
  dummySeed: number | null;
  kernelPackages: string[];
  /** KV blocks that fit every rank. @throws MoesaicError resource_exhausted */
  chooseNumBlocks(sized: v1.Sized.$Properties[]): number;
  leaseMs: number;
  stallMs: number;
}

/**
 * The ranks of one replica and their membership. A set of attached ranks is an epoch; when one is lost the epoch ends, its
 * running step fails with `unavailable`, and the next epoch begins as soon as every seat is taken again.
 */
export class Replica {
  /** Called on every change that a status shows. */
  onChange: () => void = () => {};
  state: ReplicaState = "waiting";
  /** Why it is not ready. */
  reason = "no rank has attached yet";
  epoch = 0;
  numBlocks = 0;
  readonly seats: Seat[];
  readonly #config: ReplicaConfig;
  readonly #clock: Clock;
  readonly #log: Logger;
  #pending: { stepId: number; resolve: (result: StepResult) => void; reject: (error: MoesaicError) => void } | null =
    null;
  #cancelStallTimer: () => void = () => {};

  constructor(config: ReplicaConfig, clock: Clock, log: Logger) {
    this.#config = config;
    this.#clock = clock;
    this.#log = log.child({ replicaId: config.replicaId });
    this.seats = Array.from({ length: config.worldSize }, (_, rank) => new Seat(rank));
  }

  /**
   * Gives the rank a seat; the last one to come starts the epoch.
   * @throws MoesaicError failed_precondition: another protocol version, or no free seat
   */
  attach(connection: RankConnection): void {
    const { hello } = connection;
    checkProtocol(hello);
    if (this.state === "failed" || this.state === "closed") {
      throw new MoesaicError("failed_precondition", `the replica is ${this.state}: ${this.reason}`);
    }
    const seat = this.seats.find((candidate) => candidate.connection === null);
    if (seat === undefined) {
      throw new MoesaicError(
        "failed_precondition",
        `no free seat: the plan has ${this.seats.length} ranks, all attached`,
      );
    }
    seat.take(connection);
    connection.onMessage = (message) => this.#receive(seat, message);
    connection.onLost = (reason) => this.#lose(seat, reason);
    this.#log.info({ rank: seat.rank, hostId: hello.host_id, pid: hello.pid }, "rank attached");
    this.#move("waiting", `${this.#numAttached()} of ${this.seats.length} ranks attached`);
    if (this.#numAttached() === this.seats.length) this.#beginEpoch();
  }

  /** Runs one step on the lead rank. @throws MoesaicError unavailable when the epoch ends before the result is there */
  step(plan: StepPlan): Promise<StepResult> {
    return new Promise((resolve, reject) => {
      if (this.state !== "ready" || plan.epoch !== this.epoch)
        return reject(new MoesaicError("unavailable", this.reason));
      this.#pending = { stepId: plan.stepId, resolve, reject };
      this.#watchProgress();
      this.#lead().connection!.send({ step_plan: encodeStepPlan(plan) });
    });
  }

  /** Tells every rank to leave and resolves when they have, or after `graceMs`. No step may be running. */
  async drain(graceMs: number): Promise<void> {
    const leaving = this.seats.filter((seat) => seat.connection !== null);
    this.#move("closed", "drained");
    const gone = leaving.map((seat) => seat.whenLeft());
    for (const seat of leaving) {
      seat.state = "draining";
      seat.connection!.send({ drain: { epoch: this.epoch } });
    }
    let cancelTimer = () => {};
    const timeout = new Promise<void>((resolve) => {
      cancelTimer = this.#clock.setTimer(graceMs, resolve);
    });
    await Promise.race([Promise.all(gone), timeout]);
    cancelTimer();
    for (const seat of leaving) seat.connection?.close();
  }

  /** Ends the replica for good: nothing that is tried again would go better. */
  fail(reason: string): void {
    this.#endEpoch(new MoesaicError("unavailable", reason));
    this.#move("failed", reason);
    for (const seat of this.seats) {
      if (seat.connection === null) continue;
      seat.connection.close(new MoesaicError("failed_precondition", reason));
      seat.leave();
    }
  }

  #beginEpoch(): void {
    this.epoch += 1;
    this.#move("sizing", "ranks are binding their programs");
    for (const seat of this.seats) {
      seat.sized = null;
      seat.ready = null;
      seat.connection!.send({ assignment: this.#assignment(seat.rank) });
    }
  }

  #assignment(rank: number): v1.Assignment.$Properties {
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
      lease_ms: config.leaseMs,
      stall_ms: config.stallMs,
    };
  }

  #receive(seat: Seat, message: FromRank): void {
    try {
      if (this.#isStale(message)) return;
      if (message.sized) this.#sized(seat, message.sized);
      else if (message.load_progress) this.#loadProgressed(seat, message.load_progress);
      else if (message.ready) this.#becameReady(seat, message.ready);
      else if (message.progress) seat.progress = message.progress;
      else if (message.step_result) this.#stepFinished(decodeStepResult(message.step_result));
      else if (message.failure) this.#rankFailed(seat, message.failure);
      else if (message.drained) seat.leave();
    } catch (caught) {
      this.#lose(seat, `the rank sent what cannot be used: ${MoesaicError.from(caught).describe()}`);
    }
  }

  /** Messages carry the epoch they belong to; what an ended epoch still says is dropped. */
  #isStale(message: FromRank): boolean {
    const body =
      message.sized ??
      message.load_progress ??
      message.ready ??
      message.progress ??
      message.step_result ??
      message.failure ??
      message.drained;
    return body?.epoch !== this.epoch;
  }

  #sized(seat: Seat, sized: v1.Sized.$Properties): void {
    seat.sized = sized;
    const all = this.seats.map((other) => other.sized);
    if (all.some((other) => other === null)) return;
    try {
      // A later epoch keeps the number: the scheduler's tables are made for it.
      this.numBlocks ||= this.#config.chooseNumBlocks(all as v1.Sized.$Properties[]);
    } catch (caught) {
      return this.fail(MoesaicError.from(caught).describe());
    }
    this.#move("loading", "weights are loading");
    for (const other of this.seats) {
      other.state = "loading";
      other.connection!.send({ load: { epoch: this.epoch, num_blocks: this.numBlocks } });
    }
  }

  #loadProgressed(seat: Seat, progress: v1.LoadProgress.$Properties): void {
    seat.loadBytesDone = progress.bytes_done ?? 0;
    seat.loadBytesPlanned = progress.bytes_planned ?? 0;
    this.onChange();
  }

  #becameReady(seat: Seat, ready: v1.Ready.$Properties): void {
    seat.ready = ready;
    seat.state = "ready";
    this.#log.info(
      { rank: seat.rank, epoch: this.epoch, numBlocks: ready.num_blocks, loadMs: ready.load_ms },
      "rank ready",
    );
    if (this.seats.every((other) => other.ready !== null)) this.#move("ready", "");
  }

  #stepFinished(result: StepResult): void {
    const pending = this.#pending;
    if (pending === null || pending.stepId !== result.stepId) {
      throw new MoesaicError(
        "internal",
        `a result of step ${result.stepId}, expected step ${pending?.stepId ?? "none"}`,
      );
    }
    this.#pending = null;
    this.#cancelStallTimer();
    pending.resolve(result);
  }

  #rankFailed(seat: Seat, failure: v1.Failure.$Properties): void {
    const code = isErrorCode(failure.code) ? failure.code : "internal";
    const text = new MoesaicError(code, failure.text ?? "", failure.place ? { place: failure.place } : {}).describe();
    this.#log.error(
      { rank: seat.rank, code, place: failure.place, op: failure.op, stepId: failure.step_id },
      "rank failed",
    );
    const isAboutInput = code !== "internal" && code !== "unavailable" && code !== "cancelled";
    if (isAboutInput && this.state !== "ready") this.fail(`rank ${seat.rank}: ${text}`);
    else this.#lose(seat, text);
  }

  /** Ends the epoch; the others stay attached and take part in the next. */
  #lose(seat: Seat, reason: string): void {
    if (seat.connection === null) return;
    const wasClosed = this.state === "closed";
    const phase = seat.describePhase();
    seat.connection.close();
    seat.leave();
    if (wasClosed || this.state === "failed") return;
    const text = `rank ${seat.rank} was lost ${phase}: ${reason}`;
    this.#log.warn({ rank: seat.rank, epoch: this.epoch, reason, phase }, "rank lost");
    this.#endEpoch(new MoesaicError("unavailable", text));
    this.#move("waiting", text);
  }

  #endEpoch(error: MoesaicError): void {
    this.#cancelStallTimer();
    const pending = this.#pending;
    this.#pending = null;
    pending?.reject(error);
  }

  /** A stall is a counter that does not move for stallMs while a step runs, however long the step takes. */
  #watchProgress(): void {
    const lead = this.#lead();
    const before = lead.progress?.counter ?? 0;
    this.#cancelStallTimer();
    this.#cancelStallTimer = this.#clock.setTimer(this.#config.stallMs, () => {
      if (this.#pending === null) return;
      if ((lead.progress?.counter ?? 0) !== before) return this.#watchProgress();
      this.#lose(lead, `no progress for ${this.#config.stallMs} ms, last op ${lead.progress?.op || "unknown"}`);
    });
  }

  #lead(): Seat {
    return this.seats[0]!;
  }

  #numAttached(): number {
    return this.seats.filter((seat) => seat.connection !== null).length;
  }

  #move(state: ReplicaState, reason: string): void {
    this.state = state;
    this.reason = reason;
    this.onChange();
  }
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
