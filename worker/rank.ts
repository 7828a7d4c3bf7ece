import { MoesaicError } from "../proto/errors.js";
import { PROTOCOL_VERSION, type v1 } from "../proto/messages.js";
import { decodeStepPlan } from "../proto/step-codec.js";
import type { Attachment } from "./attachment.js";
import type { DataPlane } from "./engine.js";
import type { Fence } from "./fence.js";
import { hostId } from "./host-id.js";
import { RankEpoch } from "./rank-epoch.js";
import type { WorkerOptions } from "./worker.js";

/** Of a rank that has had no epoch yet, milliseconds. */
const LEASE_MS = 30_000;
/** A coordinator that keeps a rank for so long has taken it in, though it may have nothing to say to it yet, milliseconds. */
const STEADY_MS = 1_000;

/**
 * One rank: its data plane and the epoch that a coordinator commands. Messages are handled one after the other, but the end
 * of an epoch is felt at once: what is under way may be waiting for a rank that is gone. Plans are handed to the engine as they
 * come, which runs them in order.
 *
 * A rank outlives the stream to its coordinator by its lease. An epoch that was ready is kept meanwhile, weights, KV and running
 * steps included. Whoever takes the rank in again reads in `hello` what it holds, and goes
 * on with it (Resume) or ends it.
 */
export class Rank {
  readonly #dataPlane: DataPlane;
  readonly #fence: Fence;
  readonly #options: WorkerOptions;
  #attachment: Attachment | null = null;
  #current: RankEpoch | null = null;
  #inbox: Promise<void> = Promise.resolve();
  /** Why the rank is over; null while it is not. */
  #fallen: MoesaicError | null = null;
  #attachedMs = 0;
  /** null while no lease runs. */
  #leaseEndMs: number | null = null;
  #cancelLease: () => void = () => {};

  constructor(dataPlane: DataPlane, fence: Fence, options: WorkerOptions) {
    this.#dataPlane = dataPlane;
    this.#fence = fence;
    this.#options = options;
  }

  hello(): v1.Hello.$Properties {
    const { engines, build, launchId } = this.#options;
    const held = this.#current?.held() ?? null;
    return {
      protocol_version: PROTOCOL_VERSION,
      build,
      host_id: hostId(),
      pid: process.pid,
      device: engines.device(),
      launch_id: launchId ?? "",
      data_plane_addresses: this.#dataPlane.addresses,
      ...(held === null ? {} : { held }),
    };
  }

  /** Of the current epoch. */
  progress(): v1.Progress.$Properties {
    return this.#current?.progress() ?? {};
  }

  /** As `RankEpoch.work`. */
  work(): ReturnType<RankEpoch["work"]> {
    return this.#current?.work() ?? {};
  }

  /** Milliseconds in which a coordinator may still take the rank in again; 0 when it does not wait for one. */
  get leaseLeftMs(): number {
    if (this.#leaseEndMs === null || this.#fallen !== null) return 0;
    return Math.max(0, this.#leaseEndMs - this.#options.clock.nowMs());
  }

  get isLeaseOver(): boolean {
    return this.#leaseEndMs !== null && this.leaseLeftMs === 0;
  }

  /** @throws MoesaicError why the rank is over, if it is */
  check(): void {
    if (this.#fallen !== null) throw this.#fallen;
  }

  /** From now on a coordinator hears it. */
  attached(attachment: Attachment): void {
    this.#attachment = attachment;
    this.#attachedMs = this.#options.clock.nowMs();
    if (this.#fallen !== null) attachment.fall(this.#fallen);
  }

  /**
   * Nobody hears it any more. An epoch that is not ready yet is nothing that a coordinator could go on with.
   * @param isBroken nobody meant it to be so: the rank may be taken in again
   */
  parted(isBroken: boolean): void {
    this.#attachment = null;
    const current = this.#current;
    if (current?.held() === null) current.abort("the coordinator was lost");
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    const isRefused = this.#leaseEndMs !== null && nowMs - this.#attachedMs < STEADY_MS;
    if (isBroken && isRefused) return;
    this.#endLease();
    if (!isBroken) return;
    const leaseMs = current?.leaseMs ?? LEASE_MS;
    this.#leaseEndMs = nowMs + leaseMs;
    this.#cancelLease = clock.setTimer(leaseMs, () => current?.abort("its lease ran out without a coordinator"));
  }

  receive(message: v1.ToRank): void {
    this.#feelEnd(message);
    this.#inbox = this.#inbox.then(() => this.#handle(message)).catch((error: unknown) => this.#fail(error));
  }

  /** Ends whatever it does; the peers hear of it. */
  async close(): Promise<void> {
    this.#endLease();
    this.#current?.abort("the rank leaves");
    await this.#inbox;
    await this.#current?.close();
    this.#dataPlane.close();
  }

  #feelEnd(message: v1.ToRank): void {
    if (message.end_epoch && message.end_epoch.epoch === this.#current?.epoch) {
      this.#current?.abort(message.end_epoch.reason ?? "");
    }
    if (message.assignment) this.#current?.abort("another epoch begins");
  }

  async #handle(message: v1.ToRank): Promise<void> {
    if (message.assignment) await this.#assigned(message.assignment);
    else if (message.resume) this.#resumed(message.resume);
    else if (message.load) await this.#load(message.load);
    else if (message.step_plan) this.#step(message.step_plan);
    else if (message.end_grants) this.#epochOf(message.end_grants.epoch)?.endGrants(message.end_grants.step_id ?? 0);
    else if (message.end_epoch) await this.#epochEnded(message.end_epoch);
    else if (message.drain) await this.#drain(message.drain);
  }

  /** A new epoch: what ran before is over. */
  async #assigned(assignment: v1.Assignment.$Properties): Promise<void> {
    this.#endLease();
    await this.#current?.close();
    this.#current = null;
    if (!this.#passesFence(assignment)) return;
    this.#current = new RankEpoch(assignment, this.#options.engines);
    this.#send({ sized: this.#current.sized() });
  }

  /** A coordinator goes on with what was held. Results may have been lost with the stream. */
  #resumed(resume: v1.Resume.$Properties): void {
    if (!this.#passesFence(resume)) return;
    const current = this.#epochOf(resume.epoch);
    if (current === null) {
      const gone = new MoesaicError("unavailable", "the epoch ended before the coordinator went on with it");
      return this.#sendFailure(gone, resume.epoch ?? 0);
    }
    this.#endLease();
    this.#options.log.info({ epoch: current.epoch, rank: current.rank }, "a coordinator goes on with the epoch");
    for (const result of current.resultsAfter(resume.last_result_id ?? 0)) this.#send({ step_result: result });
  }

  #passesFence({ epoch, fencing_token: token }: v1.Assignment.$Properties | v1.Resume.$Properties): boolean {
    try {
      this.#fence.pass(token ?? 0);
      return true;
    } catch (caught) {
      const error = MoesaicError.from(caught);
      this.#sendFailure(error, epoch ?? 0);
      this.#fall(error);
      return false;
    }
  }

  async #load(load: v1.Load.$Properties): Promise<void> {
    const current = this.#epochOf(load.epoch);
    if (current === null) return;
    current.logEngine(this.#options.log);
    const onProgress = (progress: v1.LoadProgress.$Properties) => this.#send({ load_progress: progress });
    const ready = await current.load(load.num_blocks ?? 0, onProgress, (error) => this.#fail(error, current));
    if (current.isEnded) return;
    this.#options.log.info({ epoch: current.epoch, rank: current.rank, loadMs: ready.load_ms }, "weights loaded");
    this.#send({ ready });
  }

  #step(columns: v1.StepPlanColumns.$Properties): void {
    const current = this.#epochOf(columns.epoch);
    if (current === null) return;
    current.forgetResults(columns.last_result_id ?? 0);
    const onResult = (result: v1.StepResultColumns.$Properties) => this.#send({ step_result: result });
    current.step(decodeStepPlan(columns), onResult, (error) => this.#fail(error, current));
  }

  async #epochEnded({ epoch, reason }: v1.EndEpoch.$Properties): Promise<void> {
    const current = this.#current;
    if (current === null || current.epoch !== epoch) return;
    this.#endLease();
    await current.close();
    this.#options.log.info({ epoch, reason }, "epoch ended");
  }

  async #drain({ look_again: looksAgain }: v1.Drain.$Properties): Promise<void> {
    const epoch = this.#current?.epoch ?? 0;
    await this.#current?.leave(this.#options.clock);
    this.#send({ drained: { epoch } });
    this.#options.log.info({ epoch }, "worker drained");
    if (looksAgain) this.#attachment?.letGo("another coordinator of the cluster has the lease");
    else this.#attachment?.left();
  }

  #epochOf(epoch: number | null | undefined): RankEpoch | null {
    const current = this.#current;
    return current === null || current.isEnded || current.epoch !== epoch ? null : current;
  }

  /**
   * Tells the coordinator why. A rank that failed ends, and is started anew, not patched; one whose peers may have failed
   * stays for the next epoch. An epoch that was ended has nothing left to tell.
   */
  #fail(caught: unknown, during: RankEpoch | null = this.#current): void {
    if (during?.isEnded === true) return;
    const error = MoesaicError.from(caught);
    this.#sendFailure(error, during?.epoch ?? 0, during?.progress());
    if (during?.mayBePeers(error) === true) during.abort(error.message);
    else this.#fall(error);
  }

  #fall(error: MoesaicError): void {
    this.#fallen = error;
    this.#attachment?.fall(error);
  }

  #sendFailure(error: MoesaicError, epoch: number, progress?: v1.Progress.$Properties): void {
    this.#send({
      failure: {
        epoch,
        code: error.code,
        text: error.message,
        place: error.place ?? "",
        step_id: progress?.step_id ?? -1,
        op: progress?.op ?? "",
      },
    });
  }

  #send(message: v1.FromRank.$Properties): void {
    this.#attachment?.send(message);
  }

  #endLease(): void {
    this.#cancelLease();
    this.#leaseEndMs = null;
  }
}
