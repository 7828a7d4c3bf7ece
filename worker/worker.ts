import * as grpc from "@grpc/grpc-js";
import { hostname } from "node:os";
import type { RankProgram } from "../plans/rank-program.js";
import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { fromGrpcStatus } from "../proto/grpc-status.js";
import type { Logger } from "../proto/log.js";
import { PROTOCOL_VERSION, v1 } from "../proto/messages.js";
import { createClient } from "../proto/rpc.js";
import { decodeStepPlan, encodeStepResult } from "../proto/step-codec.js";
import type { Engine, EngineFactory, EngineSetup } from "./engine.js";

export interface WorkerOptions {
  /** host:port of the coordinator. */
  join: string;
  /** Longest wait for the coordinator to be reachable, milliseconds. */
  joinTimeoutMs: number;
  engines: EngineFactory;
  build: string;
  maxMessageBytes: number;
  clock: Clock;
  log: Logger;
  /** Leaves the cluster when aborted. */
  signal: AbortSignal;
}

/** How often a rank reports its progress; the coordinator's stallMs is far longer. */
const PROGRESS_INTERVAL_MS = 250;

/**
 * One rank's life: attach, size, load, step, drain. Resolves when the coordinator drained it or the signal was aborted.
 * @throws MoesaicError: refused, coordinator lost, load or step failed; the failure has been reported upstream if it could be
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const channel = new grpc.Client(options.join, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": options.maxMessageBytes,
    "grpc.max_send_message_length": options.maxMessageBytes,
    "grpc.keepalive_time_ms": 20_000,
    // A proxy for the web is not for the control plane.
    "grpc.enable_http_proxy": 0,
  });
  try {
    await reachable(channel, options);
    await new Attachment(createClient(v1.Rank, channel).attach(), options).run();
  } finally {
    channel.close();
  }
}

function reachable(channel: grpc.Client, options: WorkerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.waitForReady(Date.now() + options.joinTimeoutMs, (error) => {
      if (error === undefined) return resolve();
      const message = `no coordinator answers at ${options.join} within ${options.joinTimeoutMs} ms; is it running there?`;
      reject(new MoesaicError("unavailable", message, { cause: error }));
    });
  });
}

type Stream = grpc.ClientDuplexStream<v1.FromRank.$Properties, v1.ToRank>;

/** The stream to the coordinator and the engine it commands. Messages are handled one after the other. */
class Attachment {
  readonly #stream: Stream;
  readonly #options: WorkerOptions;
  #epoch = 0;
  #assignment: { program: RankProgram; setup: EngineSetup } | null = null;
  #engine: Engine | null = null;
  #loadAborter = new AbortController();
  #inbox: Promise<void> = Promise.resolve();
  #end: (error?: unknown) => void = () => {};
  #cancelProgressTimer: () => void = () => {};

  constructor(stream: Stream, options: WorkerOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  async run(): Promise<void> {
    const ended = new Promise<void>((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(MoesaicError.from(error)));
    });
    this.#listen();
    this.#send({ hello: this.#hello() });
    this.#reportProgress();
    try {
      await ended;
    } finally {
      this.#cancelProgressTimer();
      this.#loadAborter.abort();
      this.#stream.end();
      await this.#inbox;
      this.#engine?.close();
    }
  }

  #listen(): void {
    const { signal, log } = this.#options;
    this.#stream.on("data", (message: v1.ToRank) => {
      this.#inbox = this.#inbox.then(() => this.#handle(message)).catch((error: unknown) => this.#fail(error));
    });
    this.#stream.on("error", (error) => this.#end(this.#lost(error)));
    this.#stream.on("end", () => this.#end(new MoesaicError("unavailable", "the coordinator ended the stream")));
    signal.addEventListener("abort", () => {
      log.info("worker was told to stop");
      this.#end();
    });
  }

  #lost(caught: unknown): MoesaicError {
    const error = fromGrpcStatus(caught);
    return new MoesaicError(error.code, `the coordinator at ${this.#options.join} ended this rank: ${error.message}`, {
      cause: caught,
    });
  }

  #hello(): v1.Hello.$Properties {
    const { engines, build } = this.#options;
    return {
      protocol_version: PROTOCOL_VERSION,
      build,
      host_id: hostname(),
      pid: process.pid,
      device: engines.device(),
    };
  }

  async #handle(message: v1.ToRank): Promise<void> {
    if (message.assignment) this.#assigned(message.assignment);
    else if (message.load) await this.#load(message.load);
    else if (message.step_plan) await this.#step(message.step_plan);
    else if (message.drain) this.#drain();
  }

  /** A new epoch: what ran before is over. */
  #assigned(assignment: v1.Assignment.$Properties): void {
    this.#engine?.close();
    this.#engine = null;
    this.#epoch = assignment.epoch ?? 0;
    const program = JSON.parse(assignment.program_json ?? "null") as RankProgram;
    const setup: EngineSetup = {
      modelDir: assignment.model_dir ?? "",
      dummySeed: assignment.dummy_seed ?? null,
      kernelPackages: assignment.kernel_packages ?? [],
    };
    this.#assignment = { program, setup };
    const description = this.#options.engines.describe(program, setup);
    this.#send({
      sized: {
        epoch: this.#epoch,
        weights_bytes: description.weightsBytes,
        workspace_bytes: description.workspaceBytes,
        kv_block_bytes: description.kvBlockBytes,
        memory_bytes: this.#options.engines.device().memory_bytes ?? 0,
        kernels: description.kernels,
      },
    });
  }

  async #load(load: v1.Load.$Properties): Promise<void> {
    const { program, setup } = this.#requireAssignment();
    const sized: RankProgram = { ...program, limits: { ...program.limits, numBlocks: load.num_blocks ?? 0 } };
    const { weightsBytes, kvBytes, workspaceBytes } = this.#options.engines.describe(sized, setup);
    const onProgress = (bytesDone: number, bytesPlanned: number) =>
      this.#send({ load_progress: { epoch: this.#epoch, bytes_done: bytesDone, bytes_planned: bytesPlanned } });
    const outcome = await this.#options.engines.load(sized, setup, onProgress, this.#loadAborter.signal);
    this.#engine = outcome.engine;
    this.#options.log.info({ epoch: this.#epoch, weightsBytes, loadMs: outcome.loadMs }, "weights loaded");
    this.#send({
      ready: {
        epoch: this.#epoch,
        num_blocks: sized.limits.numBlocks,
        weights_bytes: weightsBytes,
        kv_bytes: kvBytes,
        workspace_bytes: workspaceBytes,
        load_bytes_read: outcome.bytesRead,
        load_ms: outcome.loadMs,
      },
    });
  }

  async #step(columns: v1.StepPlanColumns.$Properties): Promise<void> {
    if (columns.epoch !== this.#epoch) return;
    if (this.#engine === null)
      throw new MoesaicError("failed_precondition", "a step plan came before the weights were loaded");
    const result = await this.#engine.step(decodeStepPlan(columns));
    this.#send({ step_result: encodeStepResult(result) });
  }

  #drain(): void {
    this.#send({ drained: { epoch: this.#epoch } });
    this.#options.log.info({ epoch: this.#epoch }, "worker drained");
    this.#end();
  }

  /** Tells the coordinator why, then ends this worker: a rank that failed is started anew, not patched. */
  #fail(caught: unknown): void {
    const error = MoesaicError.from(caught);
    const progress = this.#engine?.progress();
    this.#send({
      failure: {
        epoch: this.#epoch,
        code: error.code,
        text: error.message,
        place: error.place ?? "",
        step_id: progress?.stepId ?? -1,
        op: progress?.op ?? "",
      },
    });
    this.#end(error);
  }

  #reportProgress(): void {
    const progress = this.#engine?.progress() ?? { counter: 0, stepId: 0, op: "" };
    this.#send({
      progress: {
        epoch: this.#epoch,
        counter: progress.counter,
        step_id: progress.stepId,
        op: progress.op,
        rss_bytes: process.memoryUsage.rss(),
      },
    });
    this.#cancelProgressTimer = this.#options.clock.setTimer(PROGRESS_INTERVAL_MS, () => this.#reportProgress());
  }

  #requireAssignment(): { program: RankProgram; setup: EngineSetup } {
    if (this.#assignment === null) throw new MoesaicError("failed_precondition", "a load came before an assignment");
    return this.#assignment;
  }

  #send(message: v1.FromRank.$Properties): void {
    this.#stream.write(message);
  }
}
