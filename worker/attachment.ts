import type * as grpc from "@grpc/grpc-js";
import { MoesaicError } from "../proto/errors.js";
import { fromGrpcStatus } from "../proto/grpc-status.js";
import { PROTOCOL_VERSION, type v1 } from "../proto/messages.js";
import { decodeStepPlan, encodeStepResult } from "../proto/step-codec.js";
import type { DataPlane } from "./engine.js";
import type { Fence } from "./fence.js";
import { hostId } from "./host-id.js";
import { RankEpoch } from "./rank-epoch.js";
import type { WorkerOptions } from "./worker.js";

/** How a rank that is well is done with a coordinator: drained or told to stop, or there is no coordinator any more. */
export type AttachmentEnd = { how: "left" } | { how: "lost"; error: MoesaicError };

export type RankStream = grpc.ClientDuplexStream<v1.FromRank.$Properties, v1.ToRank>;

/** How often a rank reports its progress; the coordinator's stallMs is far longer. */
const PROGRESS_INTERVAL_MS = 250;

/**
 * The stream to the coordinator and the epoch it commands. Messages are handled one after the other, but the end of an
 * epoch is felt at once: what is under way may be waiting for a rank that is gone.
 */
export class Attachment {
  readonly #stream: RankStream;
  readonly #address: string;
  readonly #dataPlane: DataPlane;
  readonly #options: WorkerOptions;
  readonly #fence: Fence;
  #current: RankEpoch | null = null;
  #inbox: Promise<void> = Promise.resolve();
  #end: (end: AttachmentEnd) => void = () => {};
  #fall: (error: unknown) => void = () => {};
  #cancelProgressTimer: () => void = () => {};

  constructor(stream: RankStream, address: string, dataPlane: DataPlane, options: WorkerOptions, fence: Fence) {
    this.#fence = fence;
    this.#stream = stream;
    this.#address = address;
    this.#dataPlane = dataPlane;
    this.#options = options;
  }

  /** Resolves when the rank is done with this coordinator, and well. @throws MoesaicError when it was refused or failed */
  async run(): Promise<AttachmentEnd> {
    const ended = new Promise<AttachmentEnd>((resolve, reject) => {
      this.#end = resolve;
      this.#fall = (error) => reject(MoesaicError.from(error));
    });
    const { signal, log } = this.#options;
    const stop = () => {
      log.info("worker was told to stop");
      this.#end({ how: "left" });
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    this.#listen();
    this.#send({ hello: this.#hello() });
    this.#reportProgress();
    try {
      return await ended;
    } finally {
      signal.removeEventListener("abort", stop);
      this.#cancelProgressTimer();
      this.#current?.abort("the rank leaves");
      this.#stream.end();
      await this.#inbox;
      await this.#current?.close();
    }
  }

  #listen(): void {
    this.#stream.on("data", (message: v1.ToRank) => {
      this.#feelEnd(message);
      this.#inbox = this.#inbox.then(() => this.#handle(message)).catch((error: unknown) => this.#fail(error));
    });
    this.#stream.on("error", (error) => this.#lost(error));
    this.#stream.on("end", () => this.#end(this.#lostBecause("it ended the stream")));
  }

  /** A connection that breaks says so with one of few codes; with any other the coordinator means this rank. */
  #lost(caught: unknown): void {
    const { code, message } = fromGrpcStatus(caught);
    if (["unavailable", "cancelled", "internal"].includes(code)) return this.#end(this.#lostBecause(message, caught));
    const text = `the coordinator at ${this.#address} ended this rank: ${message}`;
    this.#fall(new MoesaicError(code, text, { cause: caught }));
  }

  #lostBecause(reason: string, cause?: unknown): AttachmentEnd {
    const text = `this rank lost the coordinator at ${this.#address}: ${reason}`;
    return { how: "lost", error: new MoesaicError("unavailable", text, { cause }) };
  }

  #hello(): v1.Hello.$Properties {
    const { engines, build, launchId } = this.#options;
    return {
      protocol_version: PROTOCOL_VERSION,
      build,
      host_id: hostId(),
      pid: process.pid,
      device: engines.device(),
      launch_id: launchId ?? "",
      data_plane_addresses: this.#dataPlane.addresses,
    };
  }

  #feelEnd(message: v1.ToRank): void {
    if (message.end_epoch && message.end_epoch.epoch === this.#current?.epoch) {
      this.#current?.abort(message.end_epoch.reason ?? "");
    }
    if (message.assignment) this.#current?.abort("another epoch begins");
  }

  async #handle(message: v1.ToRank): Promise<void> {
    if (message.assignment) await this.#assigned(message.assignment);
    else if (message.load) await this.#load(message.load);
    else if (message.step_plan) await this.#step(message.step_plan);
    else if (message.end_epoch) await this.#epochEnded(message.end_epoch);
    else if (message.drain) await this.#drain(message.drain);
  }

  /** A new epoch: what ran before is over. */
  async #assigned(assignment: v1.Assignment.$Properties): Promise<void> {
    await this.#current?.close();
    this.#current = null;
    try {
      this.#fence.pass(assignment.fencing_token ?? 0);
    } catch (caught) {
      const error = MoesaicError.from(caught);
      this.#sendFailure(error, assignment.epoch ?? 0);
      return this.#fall(error);
    }
    this.#current = new RankEpoch(assignment, this.#options.engines);
    this.#send({ sized: this.#current.sized() });
  }

  async #load(load: v1.Load.$Properties): Promise<void> {
    const current = this.#epochOf(load.epoch);
    if (current === null) return;
    const onProgress = (progress: v1.LoadProgress.$Properties) => this.#send({ load_progress: progress });
    const ready = await current.load(load.num_blocks ?? 0, onProgress, (error) => this.#fail(error, current));
    if (current.isEnded) return;
    this.#options.log.info({ epoch: current.epoch, rank: current.rank, loadMs: ready.load_ms }, "weights loaded");
    this.#send({ ready });
  }

  async #step(columns: v1.StepPlanColumns.$Properties): Promise<void> {
    const current = this.#epochOf(columns.epoch);
    if (current === null) return;
    const result = await current.step(decodeStepPlan(columns));
    if (!current.isEnded) this.#send({ step_result: encodeStepResult(result) });
  }

  async #epochEnded({ epoch, reason }: v1.EndEpoch.$Properties): Promise<void> {
    const current = this.#current;
    if (current === null || current.epoch !== epoch) return;
    await current.close();
    this.#options.log.info({ epoch, reason }, "epoch ended");
  }

  async #drain({ look_again: looksAgain }: v1.Drain.$Properties): Promise<void> {
    const epoch = this.#current?.epoch ?? 0;
    await this.#current?.leave(this.#options.clock);
    this.#send({ drained: { epoch } });
    this.#options.log.info({ epoch }, "worker drained");
    this.#end(looksAgain ? this.#lostBecause("another coordinator of the cluster has the lease") : { how: "left" });
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

  #reportProgress(): void {
    const progress = this.#current?.progress() ?? {};
    this.#send({ progress: { ...progress, rss_bytes: process.memoryUsage.rss() } });
    this.#cancelProgressTimer = this.#options.clock.setTimer(PROGRESS_INTERVAL_MS, () => this.#reportProgress());
  }

  #send(message: v1.FromRank.$Properties): void {
    this.#stream.write(message);
  }
}
