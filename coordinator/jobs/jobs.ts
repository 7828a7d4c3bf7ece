import { join, resolve } from "node:path";
import type { ClusterSpec } from "../../plans/cluster-spec.js";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { JetStreamLog } from "./jetstream-log.js";
import type { JobLog } from "./job-log.js";
import { JobRunner, type RunRequest } from "./job-runner.js";
import { JobStore } from "./job-store.js";
import { Journal } from "./journal.js";

export interface JobsOptions {
  spec: ClusterSpec;
  /** Relative paths of the spec are relative to this folder. */
  baseDir: string;
  generate: RunRequest;
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
  #store: JobStore | null = null;
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
  get store(): JobStore {
    if (this.#store !== null) return this.#store;
    throw this.#reason;
  }

  /** This coordinator leads: reads what there is, and goes on with it. Never throws. */
  async open(): Promise<void> {
    const { spec, clock, log } = this.#options;
    if (!keepsJobs(spec) || this.#isStopped) return;
    try {
      const { maxBytes, retentionMs } = spec.spec.jobs;
      const options = { maxBytes, retentionMs, clock, unixMs: () => Date.now() };
      await this.#serve(await openStore(await this.#openLog(), options, log));
    } catch (caught) {
      this.#failed(MoesaicError.from(caught));
    }
  }

  /** Runs no request any more; what has no result is left for the next coordinator. Jobs can still be looked at. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry();
    await this.#runner?.stop();
  }

  async close(): Promise<void> {
    await this.stop();
    const store = this.#store;
    this.#store = null;
    this.#reason = new MoesaicError("unavailable", "the cluster leaves; its next coordinator goes on with its jobs");
    await store?.close();
  }

  async #serve(store: JobStore): Promise<void> {
    if (this.#isStopped) return store.close();
    const { spec, generate, clock, log } = this.#options;
    this.#store = store;
    this.#runner = new JobRunner(store, generate, { maxInFlight: maxInFlightOf(spec), clock, log });
    void this.#runner.run();
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

  #openLog(): Promise<JobLog> {
    const { spec, baseDir, log } = this.#options;
    const { url, credentialsFile } = spec.spec.bus;
    const { name } = spec.metadata;
    if (url !== "embedded") {
      const connectTimeoutMs = CONNECT_TIMEOUT_MS;
      return JetStreamLog.open({ url, credentialsFile, clientName: "coordinator jobs", connectTimeoutMs }, name);
    }
    return Journal.open(join(resolve(baseDir, spec.spec.jobs.directory ?? ""), name), log);
  }
}

/** What was opened is closed when it cannot be read. */
async function openStore(...[jobLog, options, log]: Parameters<typeof JobStore.open>): Promise<JobStore> {
  try {
    return await JobStore.open(jobLog, options, log);
  } catch (caught) {
    await jobLog.close();
    throw caught;
  }
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
