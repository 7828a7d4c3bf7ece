import { randomBytes } from "node:crypto";
import type { Misfit } from "../../plans/memory.js";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError, isErrorCode } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import type { v1 } from "../../proto/messages.js";
import { decodeStepResult } from "../../proto/step-codec.js";
import { RUN_AHEAD_MAX, type StepPlan, type StepResult } from "../../proto/step.js";
import { heldByAll, type HeldEpoch } from "./held-epoch.js";
import { PendingSteps } from "./pending-steps.js";
import type { FromRank, RankConnection, ToRank } from "./rank-connection.js";
import { RankWatch } from "./rank-watch.js";
import { digestOf, engineOf, type ReplicaConfig } from "./replica-config.js";
import { STATE_TEXTS, waitingText, type ReplicaEvent, type ReplicaState } from "./replica-state.js";
import { ANYBODY, Seat } from "./seat.js";

/** Epochs that may fail one after the other, with every rank attached and no step finished, before that is for good. */
const FAILED_EPOCHS_MAX = 5;
/** Pause before another epoch of the same ranks; doubles with each that fails. */
const RETRY_DELAY_MS = 250;

/** Protocol versions from which on a rank keeps results for a coordinator that missed them, and knows masks. */
const [RUN_AHEAD_PROTOCOL, MASKS_PROTOCOL] = [2, 2];

/** Longest wait for a rank whose stream broke, milliseconds: it dials again at once, and keeps what it has for longer. */
const AWAY_MS_MAX = 5_000;

/**
 * The ranks of one replica and their membership. A set of attached ranks is an epoch; when one is lost the epoch ends on
 * all of them, its running steps fail with `unavailable`, and the next epoch begins as soon as every seat is taken again.
 *
 *     attach… ──all seats──► Assignment ──all Sized──► Load ──all Ready──► steps
 *                 ▲                     a rank lost, failed or silent                │
 *                 └───────────────── EndEpoch to the others ◄───────────────────────┘
 *
 * A stream that breaks is no loss yet: the rank keeps what it has for a lease, and when it dials again soon the epoch goes on,
 * with the steps that ran. Ranks that all come back to another coordinator bring their epoch along, and load nothing.
 */
export class Replica {
  /** Called on every change of state. */
  onChange: () => void = () => {};
  /** Called when what a status shows of ranks has changed. */
  onProgress: () => void = () => {};
  /** A rank has told what it does, and which steps it has run. */
  onReport: (seat: Seat) => void = () => {};
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
  readonly #steps = new PendingSteps();
  readonly #cancelWait = new Map<Seat, () => void>();

  constructor(config: ReplicaConfig, clock: Clock, log: Logger) {
    const { replicaId, worldSize, requirements = [] } = config;
    this.#config = config;
    this.#clock = clock;
    this.replicaId = replicaId;
    this.#log = log.child({ replicaId });
    this.seats = Array.from({ length: worldSize }, (_, rank) => new Seat(rank, requirements[rank] ?? ANYBODY));
    this.#watch = new RankWatch(this.seats, config, clock, (seat, reason, isSilent) => {
      // Who is silent may only be out of reach, and is welcome back; a rank at fault is to end.
      this.#lose(seat, reason, isSilent ? new MoesaicError("unavailable", reason) : undefined);
    });
  }

  /** Why it is not ready; empty when it is. */
  get reason(): string {
    if (this.state === "ready") return "";
    const empty = this.seats.filter((seat) => seat.connection === null);
    const parts = [this.#trouble, this.state === "waiting" ? waitingText(this.seats, empty) : STATE_TEXTS[this.state]];
    return parts.filter((part) => part !== "").join("; ");
  }

  /** Most plans that the lead takes beyond the step that it runs. */
  get runAheadMax(): number {
    return (this.seats[0]!.hello?.protocol_version ?? 0) < RUN_AHEAD_PROTOCOL ? 0 : RUN_AHEAD_MAX;
  }

  /** Whether its ranks keep to masks: older ones would sample as if there were none. */
  get takesMasks(): boolean {
    return this.seats.every(({ hello }) => (hello?.protocol_version ?? 0) >= MASKS_PROTOCOL);
  }

  /** An epoch has begun and not ended. */
  get isRunning(): boolean {
    return this.state === "sizing" || this.state === "loading" || this.#isServing;
  }

  get #isServing(): boolean {
    return this.state === "ready" || this.state === "interrupted";
  }

  get #isOpen(): boolean {
    return this.state !== "failed" && this.state !== "closed";
  }

  /** The seat that fits best, if one does: free, or that of a rank that is away, which is to be vacated first. */
  bestSeat(hello: v1.Hello.$Properties): { seat: Seat; fit: number } | null {
    const rated = this.seats.map((seat) => ({ seat, fit: this.#fit(seat, hello) }));
    const best = rated.reduce((a, b) => (b.fit > a.fit ? b : a));
    return best.fit > 0 ? best : null;
  }

  /** Who comes from the host of a rank that is away has been started in its place. */
  #fit(seat: Seat, hello: v1.Hello.$Properties): number {
    const isFree = this.state === "waiting" || (seat.state === "away" && seat.hostId === hello.host_id);
    return isFree ? seat.fit(hello) : 0;
  }

  /**
   * Takes in a rank that held on to an epoch when its stream broke: that of this replica, or one of another coordinator's as
   * long as this one has begun none that served.
   * @returns false when it has nothing that can go on here
   */
  resume(connection: RankConnection): boolean {
    const { held } = connection.hello;
    const seat = held?.replica_id === this.replicaId ? this.seats[held.rank ?? -1] : undefined;
    if (!held || seat === undefined) return false;
    return this.#isServing ? this.#comeBack(seat, connection, held) : this.#prefer(seat, connection, held);
  }

  /** Nobody waits any more for the rank that is away; a spare may take its seat. */
  vacate(seat: Seat): void {
    this.#lose(seat, "another process of its host has come in its place");
  }

  /** Gives the rank a seat that is free; the last one to come starts the epoch. */
  attach(connection: RankConnection, seat: Seat): void {
    const { hello } = connection;
    seat.take(connection, this.#clock.nowMs());
    this.#listen(connection, seat);
    this.#log.info({ rank: seat.rank, hostId: hello.host_id, pid: hello.pid }, "rank attached");
    const isHolding = hello.held !== undefined && hello.held !== null;
    this.onEvent({ name: "rank_attached", rank: seat.rank, hostId: seat.hostId, isHolding });
    this.#watch.start();
    this.onChange();
    this.#beginWhenComplete();
  }

  #listen(connection: RankConnection, seat: Seat): void {
    connection.onMessage = (message) => this.#receive(seat, connection, message);
    connection.onLost = (reason) => {
      if (seat.connection !== connection) return;
      if (this.#isServing && seat.state === "ready") this.#part(seat, reason);
      else this.#lose(seat, reason);
    };
  }

  /** The process of a rank has ended: nobody will come back. */
  processEnded(launchId: string): void {
    const seat = this.seats.find(({ hello }) => hello?.launch_id === launchId);
    if (seat !== undefined) this.#lose(seat, "its process has ended");
  }

  /**
   * Runs a plan's step, and those that it grants, on the lead rank, after those that were given before.
   * @returns the last of the results, which go to `onResult`; null when the plan was to go on with a run that ended before
   * @throws MoesaicError unavailable when the epoch ends before the results are there
   */
  async step(plan: StepPlan, onResult: (result: StepResult) => void = () => {}): Promise<StepResult | null> {
    if (!this.#isServing || plan.epoch !== this.epoch) {
      throw new MoesaicError("unavailable", this.reason || `epoch ${plan.epoch} is over`);
    }
    const { columns, result } = this.#steps.begin(plan, onResult);
    if (columns !== null) this.#sendPlan(columns);
    return result;
  }

  /** Ends the runs that the lead was given: the step that runs is the last. */
  endGrants(): void {
    const message = this.#steps.endGrants();
    if (message !== null) this.seats[0]!.connection?.send(message);
  }

  #sendPlan(columns: v1.StepPlanColumns.$Properties): void {
    this.#watch.stepBegan();
    this.seats[0]!.connection?.send({ step_plan: columns });
  }

  /**
   * Lets one rank leave: the running steps are finished, then the epoch ends in order on the others. Resolves when the rank has
   * left, or after `graceMs`. @throws MoesaicError not_found
   */
  async drainRank(rank: number, graceMs: number): Promise<void> {
    const seat = this.seats[rank];
    if (seat === undefined || seat.connection === null || !this.#isOpen) {
      throw new MoesaicError("not_found", `replica ${this.replicaId} has no attached rank ${rank}`);
    }
    const { connection } = seat;
    this.#steps.hold();
    this.endGrants();
    if (this.#steps.isBusy) await this.#steps.whenDone();
    const isGone = seat.connection !== connection || !this.#isOpen;
    if (isGone) return this.#steps.release().forEach((columns) => this.#sendPlan(columns));
    seat.state = "draining";
    const text = `rank ${rank} was drained`;
    this.#log.info({ rank, epoch: this.epoch }, "rank drains");
    connection.send({ drain: { epoch: this.epoch } });
    this.#endEpoch(new MoesaicError("unavailable", text), seat);
    this.#move("waiting", text);
    await this.#within(graceMs, seat.whenLeft());
    if (seat.connection === connection) this.#lose(seat, `it did not leave within ${graceMs} ms`);
  }

  /** Finishes the running steps, tells every rank to leave, and resolves when they have; each part takes `graceMs` at most. */
  async drain(graceMs: number): Promise<void> {
    if (this.#steps.isBusy) await this.#within(graceMs, this.#steps.whenDone());
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
    this.#rejectSteps(new MoesaicError("unavailable", reason));
    this.#giveUpAway();
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
    this.#rejectSteps(new MoesaicError("unavailable", reason));
    this.#move("failed", reason);
    this.onEvent({ name: "replica_failed" });
    this.#giveUpAway();
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
    const held = this.#wasReady ? null : heldByAll(this.seats, (rank) => digestOf(this.#config, rank));
    if (held === null || !this.#adopt(held)) this.#beginEpoch();
  }

  #beginEpoch(): void {
    // What a rank still says of an epoch of another coordinator must not be taken for this one's.
    this.epoch = Math.max(this.epoch, ...this.seats.map(({ hello }) => hello?.held?.epoch ?? 0)) + 1;
    this.#steps.epochBegan();
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
      ...engineOf(config, rank),
      digest: digestOf(config, rank),
      choices: [...config.engineChoices],
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
    if (this.seats.length === 1 || this.seats.some((seat) => seat.hello === null)) return "";
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
    this.onReport(seat);
    this.onProgress();
  }

  #becameReady(seat: Seat, ready: v1.Ready.$Properties): void {
    if (this.state !== "loading") throw new MoesaicError("invalid_argument", `Ready came while ${this.state}`);
    seat.ready = ready;
    seat.state = "ready";
    const { num_blocks: numBlocks, load_ms: loadMs } = ready;
    this.#log.info({ rank: seat.rank, epoch: this.epoch, numBlocks, loadMs }, "rank ready");
    if (this.seats.some((other) => other.ready === null)) return this.onProgress();
    this.#wasReady = true;
    this.#move("ready", "");
    this.onEvent({ name: "replica_ready" });
  }

  #stepFinished(seat: Seat, result: StepResult): void {
    if (seat.rank !== 0) throw new MoesaicError("internal", "only the lead has results of steps");
    if (!this.#steps.finish(result)) return;
    this.#numFailedEpochs = 0;
    this.#watch.stepEnded();
    if (this.#steps.isBusy) this.#watch.stepBegan();
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

  // ---- a stream breaks -------------------------------------------------------------------------------------------------

  #part(seat: Seat, reason: string): void {
    const { rank, hostId } = seat;
    const waitMs = Math.min(AWAY_MS_MAX, this.#config.leaseMs);
    seat.part();
    this.#log.warn({ rank, epoch: this.epoch, reason, waitMs }, "rank is away; the epoch waits for it");
    const lose = (): void => this.#lose(seat, `${reason}; it did not come back within ${waitMs} ms`);
    this.#cancelWait.set(seat, this.#clock.setTimer(waitMs, lose));
    this.#move("interrupted", `rank ${rank} of ${hostId} is away: ${reason}; it has ${waitMs} ms to come back`);
  }

  #comeBack(seat: Seat, connection: RankConnection, held: v1.Held.$Properties): boolean {
    if (held.epoch !== this.epoch || seat.ready === null || !seat.isLast(connection.hello)) return false;
    // The rank may know of a broken stream before this end does.
    seat.connection?.close();
    this.#endWait(seat);
    seat.comeBack(connection, this.#clock.nowMs());
    this.#listen(connection, seat);
    connection.send(this.#resume());
    const missed = seat.rank === 0 ? this.#steps.missedBy(held.last_step_id ?? 0) : [];
    for (const message of missed) connection.send(message);
    this.#log.info({ rank: seat.rank, epoch: this.epoch }, "rank came back; the epoch goes on");
    if (this.seats.some(({ state }) => state === "away")) this.onChange();
    else this.#move("ready", "");
    return true;
  }

  #resume(): ToRank {
    const { lastResultId } = this.#steps;
    return {
      resume: { epoch: this.epoch, fencing_token: this.#config.fencingToken(), last_result_id: lastResultId },
    };
  }

  /** A seat of a replica that has not served goes to the rank that holds its weights, whoever was about to load them. */
  #prefer(seat: Seat, connection: RankConnection, held: v1.Held.$Properties): boolean {
    const isPending = ["waiting", "sizing", "loading"].includes(this.state) && !this.#wasReady;
    if (!isPending || held.digest !== digestOf(this.#config, seat.rank) || !seat.accepts(connection.hello))
      return false;
    if (seat.hello?.held) return false;
    if (seat.connection !== null) this.#lose(seat, "a rank that holds its weights has come back");
    if (seat.connection !== null) return false; // A spare was faster.
    this.attach(connection, seat);
    return true;
  }

  /** Goes on with an epoch of another coordinator; its sequences are not known here, and their rows end. */
  #adopt({ epoch, numBlocks, lastStepId, liveRows }: HeldEpoch): boolean {
    const ranks = this.seats.map((seat) => ({ hostId: seat.hostId, sized: seat.hello!.held!.sized! }));
    try {
      if (this.#config.chooseNumBlocks(ranks) !== numBlocks) return false;
    } catch {
      return false; // The epoch that begins instead says why.
    }
    this.epoch = epoch;
    this.numBlocks = numBlocks;
    this.#steps.epochAdopted(lastStepId, liveRows);
    this.#wasReady = true;
    for (const seat of this.seats) {
      seat.sized = seat.hello!.held!.sized!;
      seat.ready = seat.hello!.held!.ready!;
      seat.state = "ready";
      seat.connection!.send(this.#resume());
    }
    this.#log.info({ epoch, numBlocks, lastStepId }, "ranks came back with their weights; their epoch goes on");
    this.#move("ready", "");
    this.onEvent({ name: "replica_ready" });
    return true;
  }

  #endWait(seat: Seat): void {
    this.#cancelWait.get(seat)?.();
    this.#cancelWait.delete(seat);
  }

  /** Nobody waits any more for those who are away. */
  #giveUpAway(): void {
    for (const seat of this.seats) {
      if (seat.state !== "away") continue;
      this.#endWait(seat);
      seat.leave();
    }
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
    const { connection, hello } = seat;
    if (hello === null) return;
    const event = this.#lossOf(seat, hello);
    const place = `rank ${seat.rank} of ${seat.hostId || "an unknown host"} was lost ${seat.describePhase()}`;
    const text = `${place}: ${reason}`;
    connection?.close(error);
    this.#endWait(seat);
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

  #lossOf(seat: Seat, hello: v1.Hello.$Properties): ReplicaEvent & { name: "rank_lost" } {
    const phases = { waiting: "attaching", sizing: "attaching", loading: "loading" } as const;
    const isOver = this.state === "failed" || this.state === "closed";
    const phase = isOver ? "draining" : this.#isServing ? "serving" : phases[this.state as keyof typeof phases];
    const { launch_id: launchId } = hello;
    return { name: "rank_lost", rank: seat.rank, hostId: seat.hostId, phase, launchId: launchId ?? "" };
  }

  /** Tells everybody but `except`, whose own end is another; ranks of no epoch have nothing to end. */
  #endEpoch(error: MoesaicError, except: Seat | null): void {
    const wasRunning = this.isRunning;
    // First the state: what comes in from now on belongs to no epoch.
    this.state = "waiting";
    this.#giveUpAway();
    if (wasRunning) {
      for (const seat of this.seats) {
        if (seat === except || seat.connection === null || seat.state === "draining") continue;
        seat.state = "attached";
        seat.ready = null;
        seat.connection.send({ end_epoch: { epoch: this.epoch, reason: error.message } });
      }
    }
    this.#rejectSteps(error);
  }

  #rejectSteps(error: MoesaicError): void {
    this.#steps.fail(error);
    this.#watch.stepEnded();
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
