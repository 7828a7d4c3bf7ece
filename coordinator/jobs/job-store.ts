import { randomUUID } from "node:crypto";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { v1 } from "../../proto/messages.js";
import { DEFAULT_TENANT } from "../../proto/tenant.js";
import { MAX_BODY_BYTES, type JobLog } from "./job-log.js";
import { checkJobId, encodeRequests } from "./job-request.js";
import { failedResult, type JobResult } from "./job-result.js";
import type { JobRoom } from "./job-room.js";
import { JobState, type RequestGroup } from "./job-state.js";
import { WriteOrder } from "./write-order.js";

type GenerateEvent = v1.GenerateEvent.$Properties;

export interface JobStoreOptions {
  room: JobRoom;
  /** How long a job is kept after its end, or one that was not submitted whole after its last Submit. */
  retentionMs: number;
  clock: Clock;
  /** Milliseconds since 1970; records outlive a process and its monotonic clock. */
  unixMs: () => number;
}

/** Whose a job is, and what else is known of it beside its requests. */
export interface JobTerms {
  tenant: string;
  /** Somebody waits for each of its requests: it is run before others. */
  isUrgent?: boolean;
}

const OF_NOBODY: JobTerms = { tenant: DEFAULT_TENANT };
const MAX_JOBS = 10_000;
/** Of all jobs together: each result that is there costs about 50 bytes of memory. */
const MAX_REQUESTS = 4_000_000;
const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;
/** Between two events that say how far a job is. */
const PROGRESS_INTERVAL_MS = 500;
const EXPIRY_INTERVAL_MS = 60_000;
/** Groups of requests that are kept in memory, decoded: those that are being read. */
const MAX_CACHED_GROUPS = 4;

/**
 * Jobs with their requests and results, on top of a log. Every method may be called from within the process; the gRPC
 * service is one caller. In memory are only heads: a request or result is read when somebody wants it.
 */
export class JobStore {
  /** Why no result can be had or kept now; shown by every job that is not over. */
  reason = "";
  /** Something can be run that could not before. */
  onWork: () => void = () => {};
  /** The job's requests are not to be run any more. */
  onOver: (jobId: string) => void = () => {};
  readonly #log: JobLog;
  readonly #options: JobStoreOptions;
  readonly #logger: Logger;
  /** Oldest first. */
  readonly #jobs = new Map<string, JobState>();
  /** Those of them that are accepted and not over, in the order in which they are run. */
  readonly #runnable = new Map<string, JobState>();
  readonly #writes = new WriteOrder();
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #groups = new Map<RequestGroup, v1.GenerateRequest[]>();
  #numRequests = 0;
  #isClosed = false;
  #cancelExpiry = (): void => {};

  private constructor(log: JobLog, options: JobStoreOptions, logger: Logger) {
    this.#log = log;
    this.#options = options;
    this.#logger = logger;
  }

  /** Reads what earlier coordinators left. */
  static async open(log: JobLog, options: JobStoreOptions, logger: Logger): Promise<JobStore> {
    const store = new JobStore(log, options, logger);
    await store.#recover();
    await store.#expire();
    return store;
  }

  /** Whoever watches hears that it may go on at the next coordinator. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelExpiry();
    for (const jobId of this.#watchers.keys()) this.#tell(jobId);
    await this.#writes.settled();
    await this.#log.close();
  }

  /**
   * Resolves when the requests are kept for good. Those that the job has already must be the same.
   * @throws MoesaicError invalid_argument; failed_precondition when the job has others; resource_exhausted: no room
   */
  async submit(submission: v1.SubmitJobRequest, terms: JobTerms = OF_NOBODY): Promise<v1.Job.$Properties> {
    if (submission.job_id === "" && submission.has_more) {
      throw new MoesaicError("invalid_argument", "a job of several Submits needs an id", { place: "job_id" });
    }
    const jobId = submission.job_id || randomUUID();
    checkJobId(jobId);
    const encoded = encodeRequests(submission);
    return this.#exclusive(jobId, async () => {
      const job = this.#jobs.get(jobId) ?? new JobState(jobId);
      await this.#checkSame(job, submission.first_index, encoded);
      await this.#extend(job, submission, encoded.length, terms);
      return job.toMessage(this.reason);
    });
  }

  /** @throws MoesaicError not_found */
  get(jobId: string): v1.Job.$Properties {
    return this.#require(jobId).toMessage(this.reason);
  }

  has(jobId: string): boolean {
    return this.#jobs.has(jobId);
  }

  /** Oldest first. @param pageToken what the page before named as the next */
  list(pageSize: number, pageToken: string): v1.ListJobsResponse.$Properties {
    const size = pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
    if (!Number.isInteger(size) || size < 1 || size > MAX_PAGE_SIZE) {
      throw new MoesaicError("invalid_argument", `expected 0 to ${MAX_PAGE_SIZE}, got ${pageSize}`, {
        place: "page_size",
      });
    }
    const after = [...this.#jobs.values()].filter((job) => pageKey(job) > pageToken).slice(0, size + 1);
    const page = after.slice(0, size);
    return {
      jobs: page.map((job) => job.toMessage(this.reason)),
      next_page_token: after.length > size ? pageKey(page.at(-1)!) : "",
    };
  }

  newest(count: number): v1.Job.$Properties[] {
    const jobs = [...this.#jobs.values()].slice(-count);
    return jobs.reverse().map((job) => job.toMessage(this.reason));
  }

  /** Whether a request has a result of its own: none of a cancellation has. */
  isComputed(jobId: string, index: number): boolean {
    return this.#jobs.get(jobId)?.resultPlace(index) != null;
  }

  /** The events of a result, or null while there is none. @throws MoesaicError not_found */
  async result(jobId: string, index: number): Promise<GenerateEvent[] | null> {
    const job = this.#require(jobId);
    const place = job.resultPlace(index);
    if (place !== null) return v1.JobResult.decode(await this.#log.read(jobId, place)).events;
    if (!hasResult(job, index)) return null;
    const error = new MoesaicError("cancelled", "the job was cancelled before this request had run");
    return failedResult((await this.request(jobId, index)).request_id ?? "", "", error).events;
  }

  /**
   * Results in order of their requests from `firstIndex` on, waiting for those that are not there, and how far the job is.
   * Ends with the job's last result, or when `signal` is aborted.
   * @throws MoesaicError not_found, also when it is deleted meanwhile; invalid_argument for an index that it will not have
   */
  async *watch(jobId: string, firstIndex: number, signal: AbortSignal): AsyncIterable<v1.JobEvent.$Properties> {
    this.#checkIndex(this.#require(jobId), firstIndex);
    const { clock } = this.#options;
    let [toldMs, told] = [-Infinity, ""];
    for (let index = firstIndex; !signal.aborted;) {
      const job = this.#require(jobId);
      const isDone = job.isAccepted && index >= job.numRequests;
      const news = `${job.state} ${job.numFinished} ${this.reason}`;
      const waitMs = Math.max(0, toldMs + PROGRESS_INTERVAL_MS - clock.nowMs());
      if (isDone || (news !== told && waitMs === 0)) {
        [toldMs, told] = [clock.nowMs(), news];
        yield { job: job.toMessage(this.reason) };
        if (isDone) return;
      } else if (!hasResult(job, index)) await this.#change(jobId, news === told ? null : waitMs, signal);
      else {
        const events = (await this.result(jobId, index)) ?? [];
        yield* events.map((event, at) => ({ index, event, is_last: at === events.length - 1 }));
        index += 1;
      }
    }
  }

  /** Resolves when nothing of it will be computed any more, or when `signal` is aborted. @throws MoesaicError not_found */
  async whenOver(jobId: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#require(jobId).isOver) await this.#change(jobId, null, signal);
  }

  /** Nothing more of it is run; what has a result keeps it. Again, or after its end: nothing happens. */
  async cancel(jobId: string): Promise<v1.Job.$Properties> {
    this.#require(jobId);
    return this.#exclusive(jobId, async () => {
      const job = this.#require(jobId);
      if (!job.isOver) {
        await this.#append(job, { cancelled: {} }, new Uint8Array());
        this.onOver(jobId);
      }
      return job.toMessage(this.reason);
    });
  }

  /** Forgets the job, requests and results. @throws MoesaicError not_found */
  async delete(jobId: string): Promise<void> {
    this.#require(jobId);
    await this.#exclusive(jobId, async () => {
      const job = this.#require(jobId);
      await this.#log.drop(jobId);
      this.#jobs.delete(jobId);
      this.#runnable.delete(jobId);
      this.#numRequests -= job.numRequests;
      this.onOver(jobId);
    });
  }

  // ---- for who runs them -------------------------------------------------------------------------------------------

  /** Accepted jobs that are not over, in the order in which they were accepted; urgent ones before others. */
  *runnable(): Iterable<JobState> {
    for (const job of this.#runnable.values()) if (job.isUrgent) yield job;
    for (const job of this.#runnable.values()) if (!job.isUrgent) yield job;
  }

  /** @returns null for a job that is not to be run, any more or yet */
  findRunnable(jobId: string): JobState | null {
    return this.#runnable.get(jobId) ?? null;
  }

  async request(jobId: string, index: number): Promise<v1.GenerateRequest> {
    const group = this.#require(jobId).groupOf(index);
    const request = (await this.#requestsOf(jobId, group))[index - group.firstIndex]!;
    // A copy: whoever runs it may change it.
    return v1.GenerateRequest.decode(v1.GenerateRequest.encode(request).finish());
  }

  markStarted(jobId: string): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined || job.hasStarted) return;
    job.hasStarted = true;
    this.#tell(jobId);
  }

  /**
   * Keeps a result; one that is there already, or comes too late, changes nothing.
   * @throws MoesaicError resource_exhausted, unavailable: not kept, try again later
   */
  async finish(jobId: string, index: number, result: JobResult): Promise<void> {
    await this.#exclusive(jobId, async () => {
      const job = this.#jobs.get(jobId);
      if (job === undefined || job.isOver || job.resultPlace(index) !== null) return;
      const { body, isFailed } = encodeResult(result);
      this.#options.room.checkResult(body.length);
      const counts = { num_prompt_tokens: result.numPromptTokens, num_output_tokens: result.numOutputTokens };
      await this.#append(job, { result: { index, is_failed: isFailed, ...counts } }, body);
      if (job.isOver) this.onOver(jobId);
    });
  }

  // ---- submitting --------------------------------------------------------------------------------------------------

  /** Of the requests that the job has already. */
  async #checkSame(job: JobState, firstIndex: number, encoded: readonly Uint8Array[]): Promise<void> {
    if (firstIndex > job.numRequests) {
      throw refused(`job ${job.jobId} has ${job.numRequests} requests; go on from there, not from ${firstIndex}`);
    }
    for (let at = 0; at < encoded.length && firstIndex + at < job.numRequests; at += 1) {
      const group = job.groupOf(firstIndex + at);
      const kept = (await this.#requestsOf(job.jobId, group))[firstIndex + at - group.firstIndex]!;
      if (Buffer.compare(v1.GenerateRequest.encode(kept).finish(), encoded[at]!) === 0) continue;
      throw refused(
        `request ${firstIndex + at} of job ${job.jobId} is another one; give a job of other requests another id`,
      );
    }
  }

  async #extend(job: JobState, submission: v1.SubmitJobRequest, numSent: number, terms: JobTerms): Promise<void> {
    const { first_index: firstIndex, has_more: hasMore, requests } = submission;
    const numKnown = job.numRequests - firstIndex;
    const added = requests.slice(numKnown);
    if (job.isAccepted) {
      if (added.length === 0 && (hasMore || numKnown === numSent)) return;
      throw refused(`job ${job.jobId} was submitted with ${job.numRequests} requests; give a job of others another id`);
    }
    if (!hasMore && numKnown > numSent) {
      throw refused(
        `job ${job.jobId} has ${job.numRequests} requests already; they cannot end at ${firstIndex + numSent}`,
      );
    }
    if (added.length === 0 && hasMore) return;
    const body = added.length === 0 ? new Uint8Array() : v1.JobRequests.encode({ requests: added }).finish();
    this.#checkRoom(job, added.length, body.length);
    const record = { first_index: job.numRequests, num_requests: added.length, has_more: hasMore };
    const { tenant, isUrgent = false } = terms;
    await this.#append(job, { requests: { ...record, tenant, is_urgent: isUrgent } }, body);
    this.#jobs.set(job.jobId, job);
    this.#numRequests += added.length;
    if (job.isAccepted) this.onWork();
  }

  #checkRoom(job: JobState, numAdded: number, bytes: number): void {
    this.#options.room.checkInput(bytes);
    if (this.#numRequests + numAdded > MAX_REQUESTS) {
      throw new MoesaicError("resource_exhausted", `at most ${MAX_REQUESTS} requests are kept; delete jobs`);
    }
    if (this.#jobs.has(job.jobId) || this.#jobs.size < MAX_JOBS) return;
    throw new MoesaicError("resource_exhausted", `at most ${MAX_JOBS} jobs are kept; delete some`);
  }

  // ---- keeping -----------------------------------------------------------------------------------------------------

  async #append(job: JobState, kind: v1.JobRecord.$Properties, body: Uint8Array): Promise<void> {
    const head = { unix_ms: this.#options.unixMs(), ...kind };
    const place = await this.#log.append(job.jobId, head, body);
    job.apply({ head, place });
    this.#sort(job);
  }

  #sort(job: JobState): void {
    if (job.isAccepted && !job.isOver) this.#runnable.set(job.jobId, job);
    else this.#runnable.delete(job.jobId);
  }

  /** Writes to a job happen one after another, as they were asked for. */
  async #exclusive<T>(jobId: string, write: () => Promise<T>): Promise<T> {
    try {
      return await this.#writes.run(jobId, write);
    } finally {
      this.#tell(jobId);
    }
  }

  async #requestsOf(jobId: string, group: RequestGroup): Promise<v1.GenerateRequest[]> {
    const cached = this.#groups.get(group);
    if (cached !== undefined) return cached;
    const requests = v1.JobRequests.decode(await this.#log.read(jobId, group.place)).requests as v1.GenerateRequest[];
    for (const oldest of this.#groups.keys()) if (this.#groups.size >= MAX_CACHED_GROUPS) this.#groups.delete(oldest);
    this.#groups.set(group, requests);
    return requests;
  }

  async #recover(): Promise<void> {
    const found = new Map<string, JobState>();
    for await (const record of this.#log.recover()) {
      const job = found.get(record.jobId) ?? new JobState(record.jobId);
      job.apply(record);
      found.set(record.jobId, job);
    }
    for (const job of [...found.values()].toSorted((a, b) => (pageKey(a) < pageKey(b) ? -1 : 1))) {
      this.#jobs.set(job.jobId, job);
      this.#numRequests += job.numRequests;
      this.#sort(job);
    }
    const facts = { numJobs: this.#jobs.size, numUnfinished: this.#runnable.size, bytes: this.#log.bytes };
    if (this.#jobs.size > 0) this.#logger.info(facts, "jobs were read back");
  }

  /** Drops what nobody fetched in time, now and every minute. */
  async #expire(): Promise<void> {
    const bound = this.#options.unixMs() - this.#options.retentionMs;
    const expired = [...this.#jobs.values()].filter(
      (job) => (job.isOver || !job.isAccepted) && job.changedUnixMs < bound,
    );
    for (const { jobId, state } of expired) {
      await this.delete(jobId).then(
        () => this.#logger.info({ jobId, state }, "job was dropped after its retention"),
        (error: unknown) => this.#logger.warn({ jobId, text: MoesaicError.from(error).message }, "job was not dropped"),
      );
    }
    this.#cancelExpiry = this.#options.clock.setTimer(EXPIRY_INTERVAL_MS, () => void this.#expire());
  }

  // ---- looking -----------------------------------------------------------------------------------------------------

  #require(jobId: string): JobState {
    if (this.#isClosed)
      throw new MoesaicError("unavailable", "this coordinator leaves; its next one goes on with the jobs");
    const job = this.#jobs.get(jobId);
    if (job !== undefined) return job;
    throw new MoesaicError("not_found", `there is no job ${jobId.slice(0, 128)}: it was never submitted, or is gone`);
  }

  #checkIndex(job: JobState, index: number): void {
    if (Number.isInteger(index) && index >= 0 && (!job.isAccepted || index <= job.numRequests)) return;
    const text = `expected 0 to ${job.numRequests}, got ${index}`;
    throw new MoesaicError("invalid_argument", text, { place: "first_index" });
  }

  /** Resolves at the next change of the job, when the time is over (null: never), or when the signal is aborted. */
  async #change(jobId: string, withinMs: number | null, signal: AbortSignal): Promise<void> {
    const watchers = this.#watchers.get(jobId) ?? new Set();
    this.#watchers.set(jobId, watchers);
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        watchers.delete(wake);
        if (watchers.size === 0) this.#watchers.delete(jobId);
        cancelTimer();
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const cancelTimer = withinMs === null ? () => {} : this.#options.clock.setTimer(withinMs, wake);
      watchers.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #tell(jobId: string): void {
    for (const wake of [...(this.#watchers.get(jobId) ?? [])]) wake();
  }

  /** Every job shows it from now on. */
  setReason(reason: string): void {
    if (this.reason === reason) return;
    this.reason = reason;
    for (const jobId of [...this.#watchers.keys()]) this.#tell(jobId);
  }
}

/** What cannot be kept is replaced by saying so: asked for again it would be as large. */
function encodeResult({ events, isFailed }: JobResult): { body: Uint8Array; isFailed: boolean } {
  const body = v1.JobResult.encode({ events }).finish();
  if (body.length <= MAX_BODY_BYTES) return { body, isFailed };
  const text = `the result has ${body.length} bytes, a job keeps ${MAX_BODY_BYTES}; ask for fewer logprobs or choices`;
  const failed = failedResult(events[0]?.request_id ?? "", "", new MoesaicError("resource_exhausted", text));
  return { body: v1.JobResult.encode({ events: failed.events }).finish(), isFailed: true };
}

/** Requests of a cancelled job that were not run have the cancellation for a result. */
function hasResult(job: JobState, index: number): boolean {
  return job.resultPlace(index) !== null || (job.isCancelled && index < job.numRequests);
}

/** In the order of the keys as text; a creation time has 13 digits until the year 2286. */
function pageKey({ createdUnixMs, jobId }: JobState): string {
  return `${createdUnixMs}/${jobId}`;
}

function refused(text: string): MoesaicError {
  return new MoesaicError("failed_precondition", text, { place: "requests" });
}
