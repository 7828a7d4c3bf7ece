import { join, resolve } from "node:path";
import type { ClusterSpec } from "../../plans/cluster-spec.js";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { JetStreamLog } from "./jetstream-log.js";
import type { JobLog, LogKind } from "./job-log.js";
import { JobRoom } from "./job-room.js";
import { JobRunner, type RunRequest } from "./job-runner.js";
import { JobStore } from "./job-store.js";
import { Journal } from "./journal.js";
import { ObjectStore } from "./object-store.js";

/** What is kept for good. */
export interface KeptStores {
  jobs: JobStore;
  objects: ObjectStore;
}

/** Goes on with what is kept, beside the runner: batches have more to them than their requests. */
export interface KeptFollower {
  begin(kept: KeptStores): void;
  /** Resolves when it writes nothing any more. */
  end(): Promise<void>;
}

export interface JobsOptions {
  spec: ClusterSpec;
  /** Relative paths of the spec are relative to this folder. */
  baseDir: string;
  generate: RunRequest;
  followers: readonly KeptFollower[];
  clock: Clock;
  log: Logger;
}

/** JetStream may be back by then, milliseconds. */
const RETRY_MS = 5_000;
/** There is another try: a coordinator that leaves must not wait for this one. */
const CONNECT_TIMEOUT_MS = 2_000;
const NO_JOBS =
  "this cluster keeps no jobs: name a folder in spec.jobs.directory, or a NATS server in spec.bus; a throw-away cluster has none";

/**
 * The jobs of one coordinator: nothing until it leads its cluster, then their store, and a runner until it drains. A
 * coordinator that cannot keep jobs serves all the same, and says why to those who ask for jobs.
 */
export class Jobs {
  readonly #options: JobsOptions;
  #kept: KeptStores | null = null;
  #runner: JobRunner | null = null;
  #reason: MoesaicError;
  #isStopped = false;
  #cancelRetry = (): void => {};

  constructor(options: JobsOptions) {
    this.#options = options;
    this.#reason = keepsJobs(options.spec)
      ? new MoesaicError("unavailable", "jobs are being opened, or another coordinator has them; try again")
      : new MoesaicError("failed_precondition", NO_JOBS);
  }

  /** @throws MoesaicError why there is none: unavailable while it may come, failed_precondition */
  get kept(): KeptStores {
    if (this.#kept !== null) return this.#kept;
    throw this.#reason;
  }

  /** This coordinator leads: reads what there is, and goes on with it. Never throws. */
  async open(): Promise<void> {
    const { spec } = this.#options;
    if (!keepsJobs(spec) || this.#isStopped) return;
    try {
      await this.#serve(await this.#openStores());
    } catch (caught) {
      this.#failed(MoesaicError.from(caught));
    }
  }

  /** Runs no request any more; what has no result is left for the next coordinator. Jobs can still be looked at. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry();
    await Promise.all([this.#runner?.stop(), ...this.#options.followers.map((follower) => follower.end())]);
  }

  async close(): Promise<void> {
    await this.stop();
    const kept = this.#kept;
    this.#kept = null;
    this.#reason = new MoesaicError("unavailable", "the cluster leaves; its next coordinator goes on with its jobs");
    if (kept !== null) await closeStores(kept);
  }

  async #serve(kept: KeptStores): Promise<void> {
    if (this.#isStopped) return closeStores(kept);
    const { spec, generate, followers, clock, log } = this.#options;
    this.#kept = kept;
    this.#runner = new JobRunner(kept.jobs, generate, { maxInFlight: maxInFlightOf(spec), clock, log });
    for (const follower of followers) follower.begin(kept);
    void this.#runner.run();
  }

  /** What was opened is closed when the rest cannot be. */
  async #openStores(): Promise<KeptStores> {
    const { spec, clock, log } = this.#options;
    const { maxBytes, retentionMs } = spec.spec.jobs;
    const logs: JobLog[] = [];
    try {
      for (const kind of ["jobs", "objects"] as const) logs.push(await this.#openLog(kind));
      const [jobLog, objectLog] = logs as [JobLog, JobLog];
      const options = { room: new JobRoom(maxBytes, logs), clock, unixMs: () => Date.now() };
      const objects = await ObjectStore.open(objectLog, options, log);
      return { objects, jobs: await JobStore.open(jobLog, { ...options, retentionMs }, log) };
    } catch (caught) {
      await Promise.allSettled(logs.map((each) => each.close()));
      throw caught;
    }
  }

  #failed(error: MoesaicError): void {
    const { clock, log } = this.#options;
    if (error.message !== this.#reason.message) {
      log.error({ code: error.code, text: error.describe() }, "jobs cannot be kept; everything else is served");
    }
    this.#reason = error;
    if (error.code !== "unavailable" || this.#isStopped) return;
    this.#cancelRetry = clock.setTimer(RETRY_MS, () => void this.open());
  }

  #openLog(kind: LogKind): Promise<JobLog> {
    const { spec, baseDir, log } = this.#options;
    const { url, credentialsFile } = spec.spec.bus;
    const { name } = spec.metadata;
    if (url !== "embedded") {
      const connectTimeoutMs = CONNECT_TIMEOUT_MS;
      return JetStreamLog.open(
        { url, credentialsFile, clientName: `coordinator ${kind}`, connectTimeoutMs },
        name,
        kind,
      );
    }
    const folder = join(resolve(baseDir, spec.spec.jobs.directory ?? ""), name);
    return Journal.open(kind === "jobs" ? folder : join(folder, kind), log);
  }
}

async function closeStores({ jobs, objects }: KeptStores): Promise<void> {
  await Promise.all([jobs.close(), objects.close()]);
}

function keepsJobs({ spec }: ClusterSpec): boolean {
  return spec.jobs.directory !== null;
}

/** The scheduler admits by priority and takes back no row: what is to be there at once must not be full of jobs. */
function maxInFlightOf({ spec }: ClusterSpec): number {
  const { maxInFlight } = spec.jobs;
  if (maxInFlight !== "auto") return maxInFlight;
  return Math.max(1, Math.floor((spec.replicas * spec.scheduler.maxSequences * 7) / 8));
}
