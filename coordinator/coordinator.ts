import { HealthImplementation } from "grpc-health-check";
import { checkSupported, kernelPackagesOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { kvGroupsOf } from "../plans/kv-groups.js";
import { lower } from "../plans/lower.js";
import {
  chooseLimits,
  limitsRequestOf,
  provisionalLimits,
  type ChosenLimits,
  type DeviceBytes,
} from "../plans/memory.js";
import type { RankProgram } from "../plans/rank-program.js";
import type { ResolvedPlan } from "../plans/resolved-plan.js";
import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import type { Logger } from "../proto/log.js";
import { PROTOCOL_VERSION, v1 } from "../proto/messages.js";
import { clusterHandlers } from "./api/cluster-service.js";
import { HttpServer } from "./api/http.js";
import { InferenceService, randomIds } from "./api/inference-service.js";
import { openServedModel } from "./api/model.js";
import { trustLoopback } from "./api/request-context.js";
import { ApiServer, type ContextHandlers } from "./api/server.js";
import { RankService } from "./cluster/rank-service.js";
import { Replica } from "./cluster/replica.js";
import { ReplicaExecutor } from "./cluster/replica-executor.js";
import { rankStatus } from "./cluster/rank-status.js";
import { WorkerLauncher, type WorkerCommand } from "./cluster/worker-launcher.js";
import { EngineLoop } from "./engine-loop.js";
import { Metrics } from "./metrics.js";
import { openModelSource, resolveSpecPlan, type ModelSource } from "./model-source.js";
import { Scheduler } from "./scheduler/scheduler.js";

/** Largest gRPC message: a step's logits at 20b's vocabulary fit many times. */
export const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
/** How long the servers wait for streams to end once everything is drained, milliseconds. */
const SERVER_GRACE_MS = 2_000;
/** How long drained workers may take to leave, milliseconds. */
const WORKER_GRACE_MS = 5_000;

export interface CoordinatorOptions {
  spec: ClusterSpec;
  /** Relative paths of the spec are relative to this folder. */
  baseDir: string;
  /** Starts a worker that joins the address. */
  workerCommand: (join: string) => WorkerCommand;
  /** Random weights from this seed: for models given as `dummy:NAME`, of which there is no checkpoint. */
  dummySeed: number;
  build: string;
  clock: Clock;
  log: Logger;
}

/** What there is to serve once the ranks are ready. */
interface Serving {
  scheduler: Scheduler;
  loop: EngineLoop;
  inference: InferenceService;
  limits: ChosenLimits;
}

/**
 * A coordinator with its servers, its replica and its local workers. Read `engine-loop.ts` for what it does all day;
 * this file puts the parts together and takes them apart.
 */
export class Coordinator {
  /** Resolves with the reason when the cluster can never be ready again. */
  readonly failed: Promise<MoesaicError>;
  /** Resolves when a client's drain has finished what ran. */
  readonly drainRequested: Promise<void>;
  grpcAddress = "";
  httpAddress = "";
  readonly #options: CoordinatorOptions;
  readonly #source: ModelSource;
  readonly #plan: ResolvedPlan;
  readonly #provisional: ChosenLimits;
  readonly #replica: Replica;
  readonly #executor: ReplicaExecutor;
  readonly #launcher: WorkerLauncher;
  readonly #metrics = new Metrics(() => this.#serving?.scheduler.stats() ?? null);
  readonly #health = new HealthImplementation({ "": "NOT_SERVING" });
  readonly #api: ApiServer;
  readonly #http: HttpServer;
  readonly #startedMs: number;
  readonly #statusListeners = new Set<() => void>();
  #serving: Serving | null = null;
  #chosen: ChosenLimits | null = null;
  #isDraining = false;
  #onFailed: (error: MoesaicError) => void = () => {};
  #onReady: () => void = () => {};
  #onDrainRequested: () => void = () => {};
  readonly #ready: Promise<void>;

  /** Listens and launches the workers. @throws MoesaicError when the spec, the model or an address cannot be used */
  static async start(options: CoordinatorOptions): Promise<Coordinator> {
    checkSupported(options.spec);
    const source = await openModelSource(options.spec, options.baseDir);
    const plan = await resolveSpecPlan(options.spec, options.baseDir, source.description);
    const coordinator = new Coordinator(options, source, plan);
    await coordinator.#listen();
    return coordinator;
  }

  private constructor(options: CoordinatorOptions, source: ModelSource, plan: ResolvedPlan) {
    const { clock, log } = options;
    this.#options = options;
    this.#source = source;
    this.#plan = plan;
    this.#startedMs = clock.nowMs();
    this.failed = new Promise((resolveFailed) => {
      this.#onFailed = resolveFailed;
    });
    this.drainRequested = new Promise((resolveDrain) => {
      this.#onDrainRequested = resolveDrain;
    });
    this.#ready = new Promise((resolveReady) => {
      this.#onReady = resolveReady;
    });
    this.#provisional = provisionalLimits(limitsRequestOf(options.spec), source.description);
    this.#replica = this.#createReplica();
    this.#executor = new ReplicaExecutor(this.#replica);
    this.#launcher = this.#createLauncher();
    this.#api = new ApiServer({ clock, log, authenticate: trustLoopback, maxMessageBytes: MAX_MESSAGE_BYTES });
    this.#http = new HttpServer({ metrics: this.#metrics, notReadyReason: () => this.#notReadyReason() });
    this.#addServices();
  }

  /** Resolves when requests can be served. @throws MoesaicError when that will never be */
  async whenReady(): Promise<void> {
    const error = await Promise.race([this.#ready, this.failed]);
    if (error !== undefined) throw error;
  }

  status(): v1.StatusResponse.$Properties {
    const { spec, build, clock } = this.#options;
    return {
      name: spec.metadata.name,
      model: spec.spec.servedModelName,
      version: build,
      protocol_version: PROTOCOL_VERSION,
      state: this.#state(),
      reason: this.#replica.reason,
      uptime_ms: clock.nowMs() - this.#startedMs,
      replicas: [this.#replicaStatus()],
    };
  }

  /** @returns a function that stops the notifications */
  onStatus(listener: () => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  /** A client asked for a drain: finishes what runs; whoever owns this coordinator then calls `drain`. */
  async requestDrain(): Promise<number> {
    const numFinished = this.#serving?.scheduler.stats().numRunning ?? 0;
    this.#beginDrain();
    await this.#serving?.loop.drain(Infinity);
    this.#onDrainRequested();
    return numFinished;
  }

  /** Finishes running requests (at most `graceMs`), drains the ranks, closes the servers, and waits for the workers. */
  async drain(graceMs: number): Promise<void> {
    this.#beginDrain();
    await this.#serving?.loop.drain(graceMs);
    this.#serving?.loop.stop();
    this.#launcher.stopRestarting();
    await this.#replica.drain(WORKER_GRACE_MS);
    await this.#launcher.stop(WORKER_GRACE_MS);
    await Promise.all([this.#api.close(SERVER_GRACE_MS), this.#http.close()]);
    this.#options.log.info("cluster drained");
  }

  #beginDrain(): void {
    this.#isDraining = true;
    this.#health.setStatus("", "NOT_SERVING");
    this.#notify();
  }

  // ---- putting together --------------------------------------------------------------------------------------------

  async #listen(): Promise<void> {
    const { api } = this.#options.spec.spec;
    const port = await this.#api.listen(api.grpc);
    this.grpcAddress = `${api.grpc.slice(0, api.grpc.lastIndexOf(":"))}:${port}`;
    try {
      this.httpAddress = await this.#http.listen(api.http);
    } catch (error) {
      await this.#api.close(0);
      throw error;
    }
    const { grpcAddress, httpAddress } = this;
    this.#options.log.info({ grpcAddress, httpAddress }, "coordinator listens");
    this.#launcher.launch(this.#plan.worldSize);
  }

  #addServices(): void {
    const { clock, log } = this.#options;
    const ranks = new RankService((connection) => this.#replica.attach(connection), clock, log);
    this.#api.addService(v1.Inference, this.#inferenceHandlers());
    this.#api.addService(v1.Cluster, clusterHandlers(this));
    this.#api.addService(v1.Rank, { attach: (stream) => ranks.handle(stream) });
    this.#health.addToServer(this.#api.raw);
  }

  /** The services exist before there is a model to serve: until then calls hear why not. */
  #inferenceHandlers(): ContextHandlers<v1.Inference> {
    return {
      generate: (request, context) => this.#require().handlers.generate!(request, context),
      logits: (request, context) => this.#require().handlers.logits!(request, context),
      tokenize: (request, context) => this.#require().handlers.tokenize!(request, context),
      detokenize: (request, context) => this.#require().handlers.detokenize!(request, context),
      listModels: (request, context) => this.#require().handlers.listModels!(request, context),
    };
  }

  #require(): InferenceService {
    const reason = this.#serving === null || this.#isDraining ? this.#notReadyReason() : null;
    if (this.#serving === null || reason !== null) throw new MoesaicError("unavailable", `not ready: ${reason}`);
    return this.#serving.inference;
  }

  #createReplica(): Replica {
    const { spec, clock, log } = this.#options;
    const { engine } = spec.spec;
    const replica = new Replica(
      {
        replicaId: 0,
        worldSize: this.#plan.worldSize,
        programOf: (rank) => this.#programOf(rank),
        modelDir: this.#source.modelDir ?? "",
        dummySeed: this.#source.modelDir === null ? this.#options.dummySeed : null,
        kernelPackages: kernelPackagesOf(spec),
        chooseNumBlocks: (sized) => this.#chooseNumBlocks(sized),
        leaseMs: engine.leaseMs,
        stallMs: engine.stallMs,
      },
      clock,
      log,
    );
    replica.onChange = () => void this.#replicaChanged();
    return replica;
  }

  #programOf(rank: number): RankProgram {
    const { engine } = this.#options.spec.spec;
    const { precision, dequantize } = engine;
    return lower(this.#source.description, this.#plan, rank, {
      limits: this.#provisional.limits,
      precision,
      dequantize,
    });
  }

  #chooseNumBlocks(sized: v1.Sized.$Properties[]): number {
    const request = limitsRequestOf(this.#options.spec);
    const choices = sized.map((rank) =>
      chooseLimits(this.#provisional, request, this.#source.description, deviceBytes(rank)),
    );
    this.#chosen = choices.reduce((least, choice) =>
      choice.limits.numBlocks < least.limits.numBlocks ? choice : least,
    );
    for (const { name, value, why } of this.#chosen.choices)
      this.#options.log.info({ [name]: value, why }, "limit chosen");
    return this.#chosen.limits.numBlocks;
  }

  #createLauncher(): WorkerLauncher {
    const { workerCommand, clock, log } = this.#options;
    const launcher = new WorkerLauncher(() => workerCommand(this.grpcAddress), clock, log);
    launcher.onGiveUp = (reason) => this.#replica.fail(reason);
    return launcher;
  }

  // ---- reacting ----------------------------------------------------------------------------------------------------

  async #replicaChanged(): Promise<void> {
    const { state, reason } = this.#replica;
    this.#executor.replicaChanged();
    if (state === "failed") {
      this.#launcher.stopRestarting();
      this.#onFailed(new MoesaicError("failed_precondition", reason));
    }
    if (state === "ready" && this.#serving === null) await this.#serve();
    this.#health.setStatus("", this.#notReadyReason() === null ? "SERVING" : "NOT_SERVING");
    this.#notify();
  }

  async #serve(): Promise<void> {
    const { clock, log, spec } = this.#options;
    const limits = this.#chosen!;
    const scheduler = new Scheduler(this.#schedulerConfig(limits), log);
    const loop = new EngineLoop(scheduler, this.#executor, this.#metrics, clock, log);
    try {
      const { description, modelDir } = this.#source;
      const model = await openServedModel(spec.spec.servedModelName, description, modelDir, limits.limits.maxSeqLen);
      const inference = new InferenceService(model, loop, this.#metrics, randomIds, clock);
      this.#serving = { scheduler, loop, inference, limits };
    } catch (caught) {
      return this.#replica.fail(MoesaicError.from(caught).describe());
    }
    void loop.run();
    this.#onReady();
  }

  #schedulerConfig({ limits }: ChosenLimits): ConstructorParameters<typeof Scheduler>[0] {
    const { description } = this.#source;
    return {
      vocabSize: description.vocabSize,
      maxSeqLen: limits.maxSeqLen,
      blockSize: limits.blockSize,
      numBlocks: limits.numBlocks,
      kvGroups: kvGroupsOf(description),
      maxBatchedTokens: limits.maxBatchedTokens,
      maxSequences: limits.maxSequences,
      maxLogitRows: Math.min(limits.maxSequences, limits.maxBatchedTokens),
      maxWaiting: this.#options.spec.spec.scheduler.maxWaiting,
    };
  }

  // ---- status ------------------------------------------------------------------------------------------------------

  #state(): string {
    if (this.#isDraining) return "draining";
    if (this.#replica.state === "failed") return "failed";
    return this.#serving !== null && this.#replica.state === "ready" ? "ready" : "starting";
  }

  #notReadyReason(): string | null {
    const state = this.#state();
    if (state === "ready") return null;
    return state === "draining" ? "the cluster is draining" : this.#replica.reason || "the model is being opened";
  }

  #replicaStatus(): v1.ReplicaStatus.$Properties {
    const { epoch, state, seats } = this.#replica;
    const status: v1.ReplicaStatus.$Properties = { replica_id: 0, epoch, state, ranks: seats.map(rankStatus) };
    if (this.#serving !== null) status.scheduler = this.#schedulerStatus(this.#serving);
    return status;
  }

  #schedulerStatus({ scheduler, limits }: Serving): v1.SchedulerStatus.$Properties {
    const stats = scheduler.stats();
    const { totals } = this.#metrics;
    const { maxBatchedTokens, maxSequences, maxSeqLen, blockSize, numBlocks } = limits.limits;
    return {
      num_running: stats.numRunning,
      num_waiting: stats.numWaiting,
      num_blocks: numBlocks,
      num_free_blocks: stats.numBlocksFree,
      kv_groups: kvGroupsOf(this.#source.description).map(({ kind, window }) => ({
        group: kind,
        num_used_blocks: stats.numBlocksUsed[kind],
        window,
      })),
      num_steps: totals.numSteps,
      num_preemptions: stats.numPreemptions,
      num_prompt_tokens: totals.numPromptTokens,
      num_output_tokens: totals.numOutputTokens,
      max_batched_tokens: maxBatchedTokens,
      max_sequences: maxSequences,
      max_model_len: maxSeqLen,
      block_size: blockSize,
    };
  }

  #notify(): void {
    for (const listener of this.#statusListeners) listener();
  }
}

function deviceBytes(sized: v1.Sized.$Properties): DeviceBytes {
  return {
    memoryBytes: sized.memory_bytes ?? 0,
    weightsBytes: sized.weights_bytes ?? 0,
    workspaceBytes: sized.workspace_bytes ?? 0,
    kvBlockBytes: sized.kv_block_bytes ?? 0,
  };
}
