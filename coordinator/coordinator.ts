import type { Tracer } from "@opentelemetry/api";
import { randomBytes } from "node:crypto";
import {
  checkSupported,
  isLoopbackAddress,
  kernelPackagesOf,
  precisionOf,
  runAheadOf,
  type ClusterSpec,
} from "../plans/cluster-spec.js";
import { costOf, placementsOf, predictStep, USUAL_SEQ_LEN } from "../plans/cost.js";
import { lower } from "../plans/lower.js";
import { limitsRequestOf } from "../plans/memory.js";
import type { RankProgram } from "../plans/rank-program.js";
import type { ResolvedPlan } from "../plans/resolved-plan.js";
import { openBus } from "../proto/bus/open-bus.js";
import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { checkJoinToken } from "../proto/join-token.js";
import type { Logger } from "../proto/log.js";
import { PROTOCOL_VERSION, v1 } from "../proto/messages.js";
import { clusterHandlers } from "./api/cluster-service.js";
import { Health } from "./api/health.js";
import { HttpServer } from "./api/http.js";
import { BackgroundKeeper } from "./api/openai/background-keeper.js";
import { BatchKeeper } from "./api/openai/batch-keeper.js";
import { handlersOf, InferenceService, randomIds } from "./api/inference-service.js";
import { jobsHandlers } from "./api/jobs-service.js";
import { openServedModel } from "./api/model.js";
import { addReflection } from "./api/reflection.js";
import { loopbackOrJoinToken } from "./api/request-context.js";
import { ApiServer } from "./api/server.js";
import { BusPresence } from "./cluster/bus-presence.js";
import { rankProfileOf, requirementsOf } from "./cluster/local-ranks.js";
import { localWorkers } from "./cluster/local-workers.js";
import { Replica } from "./cluster/replica.js";
import type { ReplicaEvent } from "./cluster/replica-state.js";
import type { ReplicaConfig } from "./cluster/replica-config.js";
import { ReplicaLimits } from "./cluster/replica-limits.js";
import { RankService } from "./cluster/rank-service.js";
import { Router } from "./cluster/router.js";
import { launchIdOf, type SeatRequirement } from "./cluster/seat.js";
import { Seating } from "./cluster/seating.js";
import { WorkerLauncher, type LaunchedWorker, type WorkerCommand } from "./cluster/worker-launcher.js";
import { ClusterWatch } from "./dashboard/cluster-watch.js";
import { Jobs } from "./jobs/jobs.js";
import { Metrics } from "./metrics.js";
import { openModelSource, resolveSpecPlan, type ModelSource } from "./model-source.js";
import { isOfAllInterfaces, reachableAddress } from "./reachable-address.js";
import { checkDrainable, ServedReplica } from "./served-replica.js";
import { Tracing } from "./tracing.js";

/** Largest gRPC message: a step's logits at 20b's vocabulary fit many times. */
export const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
/** How long the servers wait for streams to end once everything is drained, milliseconds. */
const SERVER_GRACE_MS = 2_000;
/** How long drained workers may take to leave, milliseconds. */
const WORKER_GRACE_MS = 5_000;
/** How long a drained rank may take to leave, milliseconds. */
const RANK_GRACE_MS = 10_000;
/** How long a drained replica goes on with what runs before another takes it over, milliseconds. */
const REPLICA_GRACE_MS = 30_000;

export interface CoordinatorOptions {
  spec: ClusterSpec;
  engineChoices: ReplicaConfig["engineChoices"];
  /** Relative paths of the spec are relative to this folder. */
  baseDir: string;
  /** Starts a worker of this machine that joins the address. */
  workerCommand: (join: string, worker: LaunchedWorker & { joinToken: string }) => WorkerCommand;
  /** What ranks of other machines have to present; when absent it is drawn at random, and there can be none. */
  joinToken?: string;
  /** Random weights from this seed: for models given as `dummy:NAME`, of which there is no checkpoint. */
  dummySeed: number;
  /** Cores that the local workers share; by default those that this process may run on. */
  numCores?: number;
  /** Replaced by tests of several coordinators in one process. */
  openBus?: typeof openBus;
  build: string;
  /** Records requests and steps; absent: nobody traces. */
  tracer?: Tracer;
  clock: Clock;
  log: Logger;
}

/**
 * A coordinator with its servers, its replicas and its local workers. Read `engine-loop.ts` for what it does all day;
 * this file puts the parts together and takes them apart.
 */
export class Coordinator {
  /** Resolves with the reason when the cluster can never be ready again. */
  readonly failed: Promise<MoesaicError>;
  /** Resolves when a client's drain has finished what ran. */
  readonly drainRequested: Promise<void>;
  readonly joinToken: string;
  grpcAddress = "";
  httpAddress = "";
  readonly #options: CoordinatorOptions;
  readonly #source: ModelSource;
  readonly #plan: ResolvedPlan;
  readonly #bus: BusPresence;
  readonly #limits: ReplicaLimits;
  /** By rank, replica after replica. */
  readonly #requirements: SeatRequirement[];
  readonly #replicas: ServedReplica[];
  readonly #seating: Seating;
  readonly #router: Router;
  readonly #launcher: WorkerLauncher;
  readonly #metrics: Metrics;
  readonly #tracing: Tracing | null;
  readonly #watch: ClusterWatch;
  readonly #health = new Health();
  readonly #jobs: Jobs;
  readonly #api: ApiServer;
  readonly #http: HttpServer;
  readonly #startedMs: number;
  readonly #statusListeners = new Set<() => void>();
  /** Exists from the first replica's first world on; the services exist before, and say why not. */
  #inference: InferenceService | null = null;
  readonly #inferenceHandlers = handlersOf(() => this.#require());
  #isOpening = false;
  #isStandby = false;
  #isDraining = false;
  /** Why this coordinator commands no ranks any more. */
  #deposedBy: MoesaicError | null = null;
  #onFailed: (error: MoesaicError) => void = () => {};
  #onReady: () => void = () => {};
  #onDrainRequested: () => void = () => {};
  readonly #ready: Promise<void>;

  /** Listens, and launches the workers once no other coordinator serves the cluster. @throws MoesaicError when the spec, the model, the bus or an address cannot be used */
  static async start(options: CoordinatorOptions): Promise<Coordinator> {
    const { spec, clock, log } = options;
    if (options.joinToken !== undefined) checkJoinToken(options.joinToken);
    checkSupported(spec, { hasJoinToken: options.joinToken !== undefined });
    const source = await openModelSource(spec, options.baseDir);
    const plan = await resolveSpecPlan(spec, options.baseDir, source.description);
    const { url, credentialsFile } = spec.spec.bus;
    const bus = await (options.openBus ?? openBus)({ url, credentialsFile, clientName: "coordinator" }, log);
    const presence = new BusPresence(bus, spec.metadata.name, clock, log);
    try {
      const coordinator = new Coordinator(options, source, plan, presence);
      await coordinator.#listen();
      coordinator.#watch.start();
      void coordinator.#lead();
      return coordinator;
    } catch (error) {
      await presence.close();
      throw error;
    }
  }

  private constructor(options: CoordinatorOptions, source: ModelSource, plan: ResolvedPlan, bus: BusPresence) {
    const { clock, log, spec } = options;
    this.#options = options;
    this.#source = source;
    this.#plan = plan;
    this.#bus = bus;
    this.joinToken = options.joinToken ?? randomBytes(24).toString("base64url");
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
    this.#limits = new ReplicaLimits(limitsRequestOf(spec), source.description, log);
    this.#requirements = spec.spec.workers.flatMap(requirementsOf);
    this.#router = new Router(log);
    this.#tracing = options.tracer === undefined ? null : new Tracing(options.tracer, clock);
    this.#metrics = new Metrics(spec.spec.servedModelName, () => this.#servedStats());
    this.#watch = this.#createWatch();
    this.#launcher = this.#createLauncher();
    this.#replicas = Array.from({ length: spec.spec.replicas }, (_, replicaId) => this.#createReplica(replicaId));
    this.#seating = new Seating(
      this.#replicas.map(({ replica }) => replica),
      spec.spec.spares,
      log,
    );
    this.#seating.onChange = () => this.#notify();
    bus.onChange = () => this.#notify();
    bus.onDeposed = (error) => this.#stepDown(error);
    bus.onEvent = (event) => this.#watch.happened(event);
    const background = new BackgroundKeeper(log);
    const generate = background.listening((request, { tenant, signal }) =>
      this.#require().generate(request, { tenant, signal, deadlineMs: Infinity }),
    );
    const batches = new BatchKeeper({ fingerprint: `moesaic-${options.build}`, clock, log });
    this.#jobs = new Jobs({ spec, baseDir: options.baseDir, generate, followers: [batches, background], clock, log });
    const authenticate = loopbackOrJoinToken(this.joinToken);
    this.#api = new ApiServer({ clock, log, authenticate, maxMessageBytes: MAX_MESSAGE_BYTES });
    this.#http = new HttpServer({
      metrics: this.#metrics,
      notReadyReason: () => this.#notReadyReason(),
      inference: this.#inferenceHandlers,
      kept: () => this.#jobs.kept,
      batches,
      background,
      watch: this.#watch,
      build: options.build,
      authenticate,
      clock,
      log,
    });
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
      // Of a cluster that serves all the same, what is missing.
      reason: this.#notReadyReason() ?? this.#replicaReasons(),
      uptime_ms: clock.nowMs() - this.#startedMs,
      replicas: this.#replicas.map((replica) => replica.status()),
      spares: this.#seating.spares(),
      bus: this.#bus.status,
    };
  }

  /** @returns a function that stops the notifications */
  onStatus(listener: () => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  /** A client asked for a drain: finishes what runs; whoever owns this coordinator then calls `drain`. */
  async requestDrain(): Promise<number> {
    this.#beginDrain();
    // What runs of jobs is not finished, but left for the next coordinator.
    await this.#jobs.stop();
    const numFinished = this.#servedStats().reduce((sum, { stats }) => sum + stats.numRunning, 0);
    await this.#drainReplicas(Infinity);
    this.#onDrainRequested();
    return numFinished;
  }

  async drainRank(replicaId: number, rank: number): Promise<void> {
    await this.#replicaOf(replicaId).replica.drainRank(rank, RANK_GRACE_MS);
  }

  async drainReplica(replicaId: number): Promise<number> {
    const served = this.#replicaOf(replicaId);
    const others = this.#replicas.filter((other) => other !== served);
    checkDrainable(served, others);
    const launchIds = served.replica.seats.map(launchIdOf);
    for (const launchId of launchIds) this.#launcher.retire(launchId);
    this.#options.log.info({ replicaId }, "replica drains");
    const left = served.leave(REPLICA_GRACE_MS, WORKER_GRACE_MS, {
      areReady: () => others.some(({ availability }) => availability === "ready"),
      adopt: (sequences) => this.#router.adopt(sequences),
    });
    this.#notify();
    const numFinished = await left;
    for (const launchId of launchIds) this.#launcher.rankLost(launchId);
    this.#options.log.info({ replicaId, numFinished }, "replica drained");
    return numFinished;
  }

  #replicaOf(replicaId: number): ServedReplica {
    const served = this.#replicas[replicaId];
    if (served !== undefined) return served;
    throw new MoesaicError(
      "not_found",
      `there is no replica ${replicaId}; there are 0 to ${this.#replicas.length - 1}`,
    );
  }

  /** Finishes running requests (at most `graceMs`), drains the ranks, closes the servers, and waits for the workers. */
  async drain(graceMs: number): Promise<void> {
    this.#beginDrain();
    await this.#drainReplicas(graceMs);
    for (const replica of this.#replicas) replica.stop();
    this.#launcher.stopRestarting();
    this.#seating.drain();
    await Promise.all(this.#replicas.map(({ replica }) => replica.drain(WORKER_GRACE_MS)));
    await this.#launcher.stop(WORKER_GRACE_MS);
    await this.#jobs.close();
    this.#watch.close();
    await Promise.all([this.#api.close(SERVER_GRACE_MS), this.#http.close(SERVER_GRACE_MS), this.#bus.close()]);
    this.#options.log.info("cluster drained");
  }

  #beginDrain(): void {
    if (!this.#isDraining) {
      this.#bus.tell({ name: "draining", ...this.#queueCounts() });
      this.#launcher.leaveNoneBehind();
    }
    this.#isDraining = true;
    void this.#jobs.stop();
    this.#health.set(false);
    this.#notify();
  }

  async #drainReplicas(graceMs: number): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.drain(graceMs)));
  }

  #queueCounts(): { numRunning: number; numWaiting: number } {
    const all = this.#servedStats();
    const sum = (key: "numRunning" | "numWaiting") => all.reduce((total, { stats }) => total + stats[key], 0);
    return { numRunning: sum("numRunning"), numWaiting: sum("numWaiting") };
  }

  // ---- putting together --------------------------------------------------------------------------------------------

  async #listen(): Promise<void> {
    const { api } = this.#options.spec.spec;
    const port = await this.#api.listen(api.grpc);
    this.grpcAddress = `${api.grpc.slice(0, api.grpc.lastIndexOf(":"))}:${port}`;
    try {
      // Whoever is no rank is served on loopback alone, which a single other address leaves out.
      if (!isLoopbackAddress(api.grpc) && !isOfAllInterfaces(api.grpc)) await this.#api.listen(`127.0.0.1:${port}`);
      this.httpAddress = await this.#http.listen(api.http);
    } catch (error) {
      await this.#api.close(0);
      throw error;
    }
    const { grpcAddress, httpAddress } = this;
    this.#options.log.info({ grpcAddress, httpAddress }, "coordinator listens");
  }

  /** One coordinator of a cluster has the workers; others stand by. */
  async #lead(): Promise<void> {
    const onStandby = () => {
      this.#isStandby = true;
      this.#notify();
    };
    try {
      if (!(await this.#bus.lead(onStandby)) || this.#isDraining) return;
    } catch (caught) {
      return this.#onFailed(MoesaicError.from(caught));
    }
    this.#isStandby = false;
    this.#bus.announce(reachableAddress(this.grpcAddress), this.#options.build);
    this.#launcher.launch(localWorkers(this.#options.spec, this.#requirements, this.#options.numCores));
    void this.#jobs.open();
    this.#notify();
  }

  #addServices(): void {
    const { clock, log } = this.#options;
    const ranks = new RankService((connection) => this.#attach(connection), clock, log);
    this.#api.addService(v1.Inference, this.#inferenceHandlers);
    this.#api.addService(v1.Cluster, clusterHandlers(this));
    this.#api.addService(
      v1.Jobs,
      jobsHandlers(() => this.#jobs.kept.jobs),
    );
    this.#api.addService(v1.Rank, { attach: (stream) => ranks.handle(stream) });
    this.#health.addTo(this.#api.raw);
    addReflection(
      this.#api.raw,
      ["Inference", "Cluster", "Jobs", "Rank"].map((name) => `moesaic.v1.${name}`),
    );
  }

  /** Another coordinator has the lease: nothing here may command a rank any more. */
  #stepDown(error: MoesaicError): void {
    this.#options.log.error({ text: error.message }, "coordinator was deposed");
    this.#deposedBy = error;
    this.#launcher.stopRestarting();
    void this.#jobs.close();
    for (const { replica } of this.#replicas) replica.letGo(error.message);
    this.#seating.drain({ look_again: true });
    this.#onFailed(error);
    this.#health.set(false);
    this.#notify();
  }

  #attach(connection: Parameters<Seating["attach"]>[0]): void {
    if (this.#deposedBy !== null) throw this.#deposedBy;
    if (this.#isStandby) throw new MoesaicError("unavailable", "this coordinator is on standby; another has the lease");
    this.#seating.attach(connection);
  }

  /** While a replica recovers requests may wait for it; while all of them want ranks, nobody knows for how long. */
  #require(): InferenceService {
    const isOpen = this.#state() === "ready" || this.#state() === "recovering";
    if (this.#inference !== null && isOpen) return this.#inference;
    throw new MoesaicError("unavailable", `not ready: ${this.#notReadyReason()}`);
  }

  #createReplica(replicaId: number): ServedReplica {
    const { spec, clock, log } = this.#options;
    const { engine, scheduler } = spec.spec;
    const { worldSize } = this.#plan;
    const replica = new Replica(
      {
        replicaId,
        worldSize,
        requirements: this.#requirements.slice(replicaId * worldSize, (replicaId + 1) * worldSize),
        programOf: (rank) => this.#programOf(rank),
        modelDir: this.#source.modelDir ?? "",
        dummySeed: this.#source.modelDir === null ? this.#options.dummySeed : null,
        kernelPackages: kernelPackagesOf(spec),
        deterministic: engine.deterministic === true,
        engineChoices: this.#options.engineChoices,
        chooseNumBlocks: (ranks) => this.#limits.choose(replicaId, ranks).limits.numBlocks,
        misfitOf: (ranks, numBlocks) => this.#limits.misfitOf(ranks, numBlocks),
        leaseMs: engine.leaseMs,
        stallMs: engine.stallMs,
        peerDeadlineMs: engine.peerDeadlineMs,
        fencingToken: () => this.#bus.fencingToken,
      },
      clock,
      log,
    );
    const metrics = this.#metrics.ofReplica(replicaId);
    const served = new ServedReplica({
      replica,
      placement: this.#placementOptions(),
      description: this.#source.description,
      scheduler,
      runAhead: runAheadOf(spec),
      recoveryTimeoutMs: engine.recoveryTimeoutMs,
      metrics: this.#watch.stepsOf(replicaId, this.#tracing?.stepsOf(replicaId, metrics) ?? metrics),
      clock,
      log,
    });
    replica.onChange = () => void this.#replicaChanged(served);
    replica.onProgress = () => this.#notify();
    replica.onReport = (seat) => this.#tracing?.rankTold(replica, seat);
    replica.onEvent = (event) => this.#happened(replica, event);
    this.#router.add(served);
    return served;
  }

  #placementOptions(): ConstructorParameters<typeof ServedReplica>[0]["placement"] {
    const { spec } = this.#options;
    const usual = { dequantize: spec.spec.engine.dequantize, precision: precisionOf(spec), seqLen: USUAL_SEQ_LEN };
    const cost = costOf(this.#source.description, this.#plan, rankProfileOf(spec), usual);
    return {
      placements: placementsOf(this.#plan),
      predictMs: (placement, numTokens) => predictStep(cost, placement, numTokens).totalMs,
    };
  }

  #programOf(rank: number): RankProgram {
    const { spec } = this.#options;
    return lower(this.#source.description, this.#plan, rank, {
      limits: this.#limits.provisional.limits,
      precision: precisionOf(spec),
      dequantize: spec.spec.engine.dequantize,
    });
  }

  #createWatch(): ClusterWatch {
    const { layerKinds, numExperts } = this.#source.description;
    return new ClusterWatch({
      replicas: () => this.#replicas,
      status: () => this.status(),
      newestJobs: (count) => this.#jobs.kept.jobs.newest(count),
      model: { numLayers: layerKinds.length, numExperts },
      clock: this.#options.clock,
    });
  }

  #createLauncher(): WorkerLauncher {
    const { workerCommand, clock, log } = this.#options;
    const command = (worker: LaunchedWorker) =>
      workerCommand(this.grpcAddress, { ...worker, joinToken: this.joinToken });
    const launcher = new WorkerLauncher(command, clock, log);
    launcher.onGiveUp = (worker, reason) => this.#gaveUp(worker, reason);
    launcher.onEnded = ({ launchId }) => {
      for (const { replica } of this.#replicas) replica.processEnded(launchId);
    };
    return launcher;
  }

  // ---- reacting ----------------------------------------------------------------------------------------------------

  /** A worker that keeps dying ends its replica, unless somebody else has its seat: a spare is missed by nobody. */
  #gaveUp({ launchId }: LaunchedWorker, reason: string): void {
    for (const { replica } of this.#replicas) {
      const seat = replica.seats.find(({ requirement }) => requirement.launchId === launchId);
      if (seat !== undefined && seat.connection === null) return replica.fail(`${reason}; ${replica.reason}`);
    }
    this.#options.log.warn({ reason }, "worker was given up; its seat is taken");
  }

  #happened(replica: Replica, event: ReplicaEvent): void {
    const { replicaId, epoch, seats } = replica;
    const where = { replicaId, epoch };
    const place = "rank" in event ? seats[event.rank]!.requirement.launchId : null;
    if (event.name === "rank_lost") {
      const { launchId, ...fields } = event;
      if (launchId !== "") this.#launcher.rankLost(launchId);
      if (place !== null) this.#launcher.callBack(place);
      this.#bus.tell({ ...fields, hostId: event.hostId || "unknown", ...where, code: "unavailable" });
    } else if (event.name === "rank_attached") {
      const { isHolding, ...fields } = event;
      // Left over from a coordinator before this one: the worker that was to be launched would find no place.
      if (isHolding && place !== null) this.#launcher.standBy(place);
      this.#bus.tell({ ...fields, hostId: event.hostId || "unknown", ...where });
    } else if (event.name === "replica_ready") this.#bus.tell({ ...event, ...where, worldSize: seats.length });
    else this.#bus.tell({ ...event, ...where, code: "unavailable" });
  }

  async #replicaChanged(served: ServedReplica): Promise<void> {
    served.replicaChanged();
    // One that was drained serves no more either.
    const isOver = this.#replicas.every(({ replica: { state } }) => state === "failed" || state === "closed");
    if (isOver && !this.#isDraining && this.#deposedBy === null) {
      this.#launcher.stopRestarting();
      this.#onFailed(new MoesaicError("failed_precondition", this.#replicaReasons()));
    }
    if (served.replica.state === "ready" && !served.isServing) await this.#serve(served);
    this.#health.set(this.#notReadyReason() === null);
    this.#notify();
  }

  async #serve(served: ServedReplica): Promise<void> {
    const limits = this.#limits.of(served.replicaId);
    served.serve(limits, (orphans) => this.#router.adopt(orphans));
    if (this.#isOpening) return;
    this.#isOpening = true;
    const { clock, spec } = this.#options;
    try {
      const { description, modelDir } = this.#source;
      const model = await openServedModel(spec.spec.servedModelName, description, modelDir, limits.limits.maxSeqLen);
      const observer = this.#watch.requestsOf(this.#metrics);
      this.#inference = new InferenceService(model, this.#router, observer, randomIds, clock, this.#tracing);
    } catch (caught) {
      for (const { replica } of this.#replicas) replica.fail(MoesaicError.from(caught).describe());
      return;
    }
    this.#onReady();
  }

  // ---- status ------------------------------------------------------------------------------------------------------

  #state(): string {
    if (this.#isDraining) return "draining";
    if (this.#isStandby) return "standby";
    const states = this.#replicas.map(({ replica }) => replica.state);
    if (states.every((state) => state === "failed" || state === "closed")) return "failed";
    if (this.#inference === null) return "starting";
    const lanes = this.#replicas.map(({ availability }) => availability);
    if (lanes.includes("ready")) return "ready";
    return lanes.includes("recovering") ? "recovering" : "starting";
  }

  #notReadyReason(): string | null {
    const state = this.#state();
    if (state === "ready") return null;
    if (state === "draining") return "the cluster is draining";
    if (state === "standby") return "another coordinator of this cluster holds the lease; this one is on standby";
    return this.#replicaReasons() || "the model is being opened";
  }

  #replicaReasons(): string {
    const missing = this.#replicas.filter(({ reason }) => reason !== "");
    if (this.#replicas.length === 1) return missing[0]?.reason ?? "";
    return missing.map(({ replicaId, reason }) => `replica ${replicaId}: ${reason}`).join("; ");
  }

  #servedStats(): { replicaId: number; stats: NonNullable<ReturnType<ServedReplica["stats"]>> }[] {
    return this.#replicas.flatMap((replica) => {
      const stats = replica.stats();
      return stats === null ? [] : [{ replicaId: replica.replicaId, stats }];
    });
  }

  #notify(): void {
    for (const listener of this.#statusListeners) listener();
  }
}
