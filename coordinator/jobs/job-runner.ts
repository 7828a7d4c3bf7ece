import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import type { v1 } from "../../proto/messages.js";
import { failedResult, ResultCollector, type JobResult } from "./job-result.js";
import type { JobState } from "./job-state.js";
import type { JobStore } from "./job-store.js";

/** Runs one request to its end, as a client's would be. @throws MoesaicError while it is iterated */
export type RunRequest = (
  request: v1.GenerateRequest,
  run: { jobId: string; tenant: string; signal: AbortSignal },
) => AsyncIterable<v1.GenerateEvent.$Properties>;

export interface JobRunnerOptions {
  /** Most sequences of jobs at a time, waiting ones included. */
  maxInFlight: number;
  clock: Clock;
  log: Logger;
}

interface Place {
  jobId: string;
  index: number;
}

/** Every priority of jobs is above 2^30, lower ones before; what clients wait for has lower ones and so goes first. */
const JOB_PRIORITY = 2 ** 30 + 2 ** 29;
/** Pauses after a failure that is not the request's own, milliseconds. */
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;

/**
 * Gives requests of jobs to the engine, urgent jobs' and then the oldest's first, as many at a time as fill its batch, and keeps their results.
 * What fails because ranks are away, or because there is no room for its result, is tried again: only an answer ends a
 * request. Stopping forgets what has no result yet; the next coordinator computes it.
 */
export class JobRunner {
  readonly #store: JobStore;
  readonly #generate: RunRequest;
  readonly #options: JobRunnerOptions;
  /** By job, the first index that was not looked at yet. */
  readonly #cursors = new Map<string, number>();
  /** To be tried again, before what was never tried. */
  #again: Place[] = [];
  /** What runs: its end, and what ends it before. */
  readonly #running = new Map<Promise<void>, { jobId: string; aborter: AbortController }>();
  /** In the engine. */
  #numSequences = 0;
  /** Results that are being written. */
  #numKeeping = 0;
  #isStopped = false;
  #isPoked = false;
  #wake: () => void = () => {};
  #pauseMs = 0;
  #isPaused = false;

  constructor(store: JobStore, generate: RunRequest, options: JobRunnerOptions) {
    this.#store = store;
    this.#generate = generate;
    this.#options = options;
    store.onWork = () => this.#poke();
    store.onOver = (jobId) => this.#forget(jobId);
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      const next = this.#isPaused ? null : this.#next();
      if (next === null) await this.#somethingNew();
      else await this.#start(next);
    }
  }

  /** Ends what runs, without results. Resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { aborter } of this.#running.values()) aborter.abort();
    this.#poke();
    await Promise.all(this.#running.keys());
  }

  /** Where to go on: what has no result and does not run. */
  #next(): Place | null {
    const again = this.#again.shift();
    if (again !== undefined) return again;
    for (const job of this.#store.runnable()) {
      for (let index = this.#cursors.get(job.jobId) ?? 0; index < job.numRequests; index += 1) {
        this.#cursors.set(job.jobId, index + 1);
        if (job.resultPlace(index) === null) return { jobId: job.jobId, index };
      }
    }
    return null;
  }

  async #start({ jobId, index }: Place): Promise<void> {
    let request: v1.GenerateRequest;
    try {
      request = await this.#store.request(jobId, index);
    } catch (caught) {
      return this.#unread({ jobId, index }, MoesaicError.from(caught));
    }
    const numChoices = request.sampling?.n ?? 1;
    while (!this.#hasRoom(numChoices) && !this.#isStopped) await this.#somethingNew();
    // It may have been cancelled meanwhile.
    const job = this.#store.findRunnable(jobId);
    if (this.#isStopped || job === null) return;
    request.request_id ||= `${jobId}-${index}`;
    request.priority = priorityOf(request.priority);
    this.#store.markStarted(jobId);
    const aborter = new AbortController();
    const running = this.#runOne(job, index, request, aborter.signal).finally(() => {
      this.#running.delete(running);
      this.#poke();
    });
    this.#running.set(running, { jobId, aborter });
  }

  /** As many again may wait for the disk, so that the batch does not wait for it too. One with many choices runs alone. */
  #hasRoom(numChoices: number): boolean {
    const { maxInFlight } = this.#options;
    if (this.#numKeeping >= maxInFlight) return false;
    return this.#numSequences === 0 || this.#numSequences + numChoices <= maxInFlight;
  }

  /** Never throws. */
  async #runOne(job: JobState, index: number, request: v1.GenerateRequest, signal: AbortSignal): Promise<void> {
    const { jobId } = job;
    try {
      const result = await this.#compute(job, request, signal);
      await this.#keep(jobId, index, result, signal);
      this.#pauseMs = 0;
    } catch (caught) {
      if (signal.aborted) return;
      this.#again.push({ jobId, index });
      this.#pause(MoesaicError.from(caught));
    }
  }

  /** @throws MoesaicError for what is not the request's own fault */
  async #compute({ jobId, tenant }: JobState, request: v1.GenerateRequest, signal: AbortSignal): Promise<JobResult> {
    const collector = new ResultCollector(request.event_per_token);
    const numChoices = request.sampling?.n ?? 1;
    this.#numSequences += numChoices;
    try {
      for await (const event of this.#generate(request, { jobId, tenant, signal })) collector.take(event);
    } catch (caught) {
      const error = MoesaicError.from(caught);
      if (isTransient(error)) throw error;
      return failedResult(request.request_id, request.model, error);
    } finally {
      this.#numSequences -= numChoices;
      this.#poke();
    }
    const failure = collector.transientError;
    if (failure !== null) throw failure;
    const result = collector.result();
    if (result === null || signal.aborted) throw new MoesaicError("cancelled", "the request ended without a result");
    return result;
  }

  /** A result that cannot be written waits for room; when as many wait as may run, nothing new begins. */
  async #keep(jobId: string, index: number, result: JobResult, signal: AbortSignal): Promise<void> {
    this.#numKeeping += 1;
    try {
      await this.#kept(jobId, index, result, signal);
    } finally {
      this.#numKeeping -= 1;
    }
  }

  async #kept(jobId: string, index: number, result: JobResult, signal: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      try {
        await this.#store.finish(jobId, index, result);
        return this.#store.setReason("");
      } catch (caught) {
        const error = MoesaicError.from(caught);
        this.#options.log.warn({ jobId, index, code: error.code, text: error.message }, "result waits to be kept");
        this.#store.setReason(`results cannot be kept: ${error.message}`);
        await this.#sleep(pauseMs, signal);
      }
    }
  }

  /** A job that is gone needs no run; anything else is tried again. */
  #unread(place: Place, error: MoesaicError): void {
    if (error.code === "not_found") return;
    this.#options.log.warn({ ...place, code: error.code, text: error.message }, "request of a job could not be read");
    this.#again.push(place);
    this.#pause(error);
  }

  #pause(error: MoesaicError): void {
    this.#store.setReason(error.message);
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#pauseMs = Math.min(Math.max(2 * this.#pauseMs, FIRST_PAUSE_MS), MAX_PAUSE_MS);
    this.#options.clock.setTimer(this.#pauseMs, () => {
      this.#isPaused = false;
      this.#poke();
    });
  }

  #forget(jobId: string): void {
    for (const running of this.#running.values()) if (running.jobId === jobId) running.aborter.abort();
    this.#cursors.delete(jobId);
    this.#again = this.#again.filter((place) => place.jobId !== jobId);
  }

  /** Remembers the poke too: one that comes while nobody waits must not be slept through. */
  #poke(): void {
    this.#isPoked = true;
    this.#wake();
  }

  async #somethingNew(): Promise<void> {
    if (!this.#isPoked) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#isPoked = false;
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        cancelTimer();
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const cancelTimer = this.#options.clock.setTimer(ms, wake);
      signal.addEventListener("abort", wake);
    });
  }
}

/** Whether the same request may be answered later: ranks or the queue's room come back. */
function isTransient({ code, retryAfterMs }: MoesaicError): boolean {
  return (
    code === "unavailable" || code === "cancelled" || (code === "resource_exhausted" && retryAfterMs !== undefined)
  );
}

function priorityOf(priority: number): number {
  return JOB_PRIORITY + Math.max(-(2 ** 29), Math.min(2 ** 29 - 1, priority));
}
