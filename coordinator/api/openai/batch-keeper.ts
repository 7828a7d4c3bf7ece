import type { Clock } from "../../../proto/clock.js";
import { MoesaicError, type ErrorCode } from "../../../proto/errors.js";
import type { Logger } from "../../../proto/log.js";
import { v1 } from "../../../proto/messages.js";
import type { KeptFollower, KeptStores } from "../../jobs/jobs.js";
import { WriteOrder } from "../../jobs/write-order.js";
import { batchOf, end, endpointOf, hasEnded, keptUsage } from "./batch-document.js";
import { batchRequests, problemsOf, type BatchRequest } from "./batch-request.js";
import { batchResult, unfinishedResult, type BatchResult } from "./batch-result.js";
import { LineFile } from "./line-file.js";
import { UsageCount } from "./usage.js";

/** Pauses after a failure that is not the batch's own, milliseconds. */
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/** What goes to the job at a time. */
const MAX_PART_REQUESTS = 1_000;
const MAX_PART_BYTES = 2 * 1024 * 1024;

export interface BatchKeeperOptions {
  /** Name of the build, told with every answer. */
  fingerprint: string;
  clock: Clock;
  log: Logger;
}

/**
 * Takes each batch from step to step until it has ended:
 *
 *     validating ──► in_progress ──► finalizing ──► completed, expired
 *         │               └──► cancelling ──► cancelled
 *         └──► failed
 *
 * Every step is written down when it is done and can be done again from its begin, so a coordinator that dies leaves nothing that
 * the next one does not go on with. The requests run as a job that has the batch's id.
 */
export class BatchKeeper implements KeptFollower {
  readonly #options: BatchKeeperOptions;
  readonly #validations = new WriteOrder();
  /** Batches on their way, by id: the file that each reads, and its end. */
  readonly #followed = new Map<string, { inputFileId: string; done: Promise<void> }>();
  readonly #leaving = new AbortController();
  #kept: KeptStores | null = null;

  constructor(options: BatchKeeperOptions) {
    this.#options = options;
  }

  begin(kept: KeptStores): void {
    this.#kept = kept;
    kept.objects.isHeld = (id) =>
      this.#followed.has(id) || [...this.#followed.values()].some(({ inputFileId }) => inputFileId === id);
    for (const { id, document } of kept.objects.list("batch")) {
      if (hasEnded(batchOf(document))) void this.#dropJob(id).catch(() => {});
      else this.follow(id, batchOf(document).input_file_id);
    }
  }

  async end(): Promise<void> {
    this.#leaving.abort();
    await Promise.all([...this.#followed.values()].map(({ done }) => done));
  }

  /** A batch was created, and is to go its way. */
  follow(id: string, inputFileId: string): void {
    const done = this.#follow(id).finally(() => this.#followed.delete(id));
    this.#followed.set(id, { inputFileId, done });
  }

  /** @throws MoesaicError failed_precondition when it has ended; resource_exhausted, unavailable */
  async cancel(id: string): Promise<void> {
    const { objects, jobs } = this.#kept!;
    await objects.update(id, (document) => {
      const batch = batchOf(document);
      if (hasEnded(batch)) {
        throw new MoesaicError(
          "failed_precondition",
          `the batch has ended: ${batch.status}; only one on its way can be cancelled`,
        );
      }
      // Once its results are being written its end is near, and decided.
      if (batch.status === "finalizing" || batch.status === "cancelling") return;
      batch.status = "cancelling";
      batch.cancelling_unix_ms = Date.now();
    });
    // Whoever waits for the job hears of it; a job that is not there yet is not begun any more.
    if (this.#batch(id).status === "cancelling") await jobs.cancel(id).catch(ignoreAbsence);
  }

  /** The job of a batch, while there is one. */
  jobOf(id: string): v1.Job.$Properties | null {
    try {
      return this.#kept!.jobs.get(id);
    } catch {
      return null;
    }
  }

  /** Never throws. What fails by the disk, or by JetStream, is tried again. */
  async #follow(id: string): Promise<void> {
    const { signal } = this.#leaving;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      try {
        while (!signal.aborted && !hasEnded(this.#batch(id))) await this.#advance(id);
        return;
      } catch (caught) {
        const { code, message } = MoesaicError.from(caught);
        if (signal.aborted) return;
        if (!isPassing(code)) await this.#fail(id, code, message).catch(() => {});
        this.#options.log.warn({ batchId: id, code, text: message }, "batch could not go on");
        await this.#sleep(pauseMs);
      }
    }
  }

  async #advance(id: string): Promise<void> {
    const { status } = this.#batch(id);
    if (status === "validating") await this.#validations.run("", () => this.#validate(id));
    else if (status === "in_progress") await this.#run(id);
    else await this.#finalize(id);
  }

  async #validate(id: string): Promise<void> {
    const { objects } = this.#kept!;
    const batch = this.#batch(id);
    const problems = await problemsOf(objects.content(batch.input_file_id), endpointOf(batch));
    const total = problems.length > 0 ? 0 : await this.#submit(id);
    await objects.update(id, (document) => {
      const changed = batchOf(document);
      if (changed.status !== "validating") return;
      if (problems.length > 0) {
        changed.errors = problems.map((problem) => v1.BatchError.create(problem));
        return end(document, "failed", Date.now());
      }
      changed.status = "in_progress";
      changed.in_progress_unix_ms = Date.now();
      changed.counts = v1.BatchCounts.create({ total });
    });
  }

  /** Hands the requests to their job; those that it has already stay. @returns how many there are */
  async #submit(id: string): Promise<number> {
    const { objects, jobs } = this.#kept!;
    const { tenant } = this.#document(id);
    const batch = this.#batch(id);
    let [firstIndex, bytes] = [0, 0];
    let part: v1.GenerateRequest.$Properties[] = [];
    const send = async (hasMore: boolean): Promise<void> => {
      const submission = {
        job_id: id,
        first_index: firstIndex,
        requests: part as v1.GenerateRequest[],
        has_more: hasMore,
      };
      await jobs.submit(v1.SubmitJobRequest.create(submission), { tenant });
      firstIndex += part.length;
      [part, bytes] = [[], 0];
    };
    for await (const { request } of batchRequests(objects.content(batch.input_file_id), endpointOf(batch))) {
      if (this.#leaving.signal.aborted) throw new MoesaicError("unavailable", "this coordinator leaves");
      const size = v1.GenerateRequest.encode(request).finish().length;
      if (part.length >= MAX_PART_REQUESTS || (part.length > 0 && bytes + size > MAX_PART_BYTES)) await send(true);
      part.push(request);
      bytes += size;
    }
    await send(false);
    return firstIndex;
  }

  /** Waits for the end of its job, or for that of its window, which ends it. */
  async #run(id: string): Promise<void> {
    const { jobs, objects } = this.#kept!;
    const { signal } = this.#leaving;
    if (!jobs.has(id)) return this.#endWithoutJob(id);
    const late = new AbortController();
    const waitMs = this.#batch(id).window_ends_unix_ms - Date.now();
    const cancelTimer = this.#options.clock.setTimer(Math.max(0, waitMs), () => late.abort());
    try {
      await jobs.whenOver(id, AbortSignal.any([signal, late.signal]));
    } finally {
      cancelTimer();
    }
    if (signal.aborted) return;
    const { state } = jobs.get(id);
    const isLate = late.signal.aborted && state !== "finished";
    if (isLate) await jobs.cancel(id);
    const ending = isLate ? "expired" : state === "cancelled" ? "cancelled" : "completed";
    await objects.update(id, (document) => {
      const batch = batchOf(document);
      if (batch.status !== "in_progress") return;
      batch.status = "finalizing";
      batch.finalizing_unix_ms = Date.now();
      batch.ending = ending;
    });
  }

  /** Writes what came of each request to one file or the other, in the order of the input. */
  async #finalize(id: string): Promise<void> {
    const { objects, jobs } = this.#kept!;
    if (!jobs.has(id)) return this.#endWithoutJob(id);
    // One that was cancelled while it was validated may have been handed over all the same.
    await jobs.cancel(id);
    const batch = this.#batch(id);
    const ending =
      batch.status === "cancelling" ? "cancelled" : (batch.ending as "completed" | "expired" | "cancelled");
    const files = await this.#openFiles(id);
    const usage = new UsageCount();
    const counts = { total: 0, completed: 0, failed: 0 };
    for await (const request of batchRequests(objects.content(batch.input_file_id), endpointOf(batch))) {
      if (this.#leaving.signal.aborted) return;
      const result = await this.#resultOf(id, counts.total, request, usage);
      counts.total += 1;
      if (result === null) await files.errors.write(this.#unfinished(id, counts.total - 1, request, ending));
      else {
        if (result.isFailed) counts.failed += 1;
        else counts.completed += 1;
        await (result.isFailed ? files.errors : files.output).write(result.line);
      }
    }
    const [outputFileId, errorFileId] = [await files.output.end(), await files.errors.end()];
    await objects.update(id, (document) => {
      const changed = batchOf(document);
      changed.output_file_id = outputFileId;
      changed.error_file_id = errorFileId;
      changed.counts = v1.BatchCounts.create({ ...counts, ...keptUsage(usage) });
      end(document, ending, Date.now());
    });
    await this.#dropJob(id);
  }

  /** Cancelled before it had handed anything over; or somebody deleted its job, and the results with it. */
  async #endWithoutJob(id: string): Promise<void> {
    await this.#kept!.objects.update(id, (document) => {
      const batch = batchOf(document);
      if (batch.status === "cancelling") return end(document, "cancelled", Date.now());
      failWith(document, "job_deleted", "the job that ran the batch was deleted, and its results with it");
    });
  }

  /** What cannot be read back, as from a disk that has lost it, is not there later either. */
  async #fail(id: string, code: string, message: string): Promise<void> {
    const isHandedOver = this.#batch(id).status !== "validating";
    if (isHandedOver && !this.#kept!.jobs.has(id)) return this.#endWithoutJob(id);
    await this.#kept!.objects.update(id, (document) => {
      if (!hasEnded(batchOf(document))) failWith(document, code, message);
    });
    await this.#dropJob(id);
  }

  async #openFiles(id: string): Promise<{ output: LineFile; errors: LineFile }> {
    const { objects } = this.#kept!;
    const { tenant } = this.#document(id);
    const { output_expires_after_seconds: expirySeconds } = this.#batch(id);
    const file = (kind: string) => ({
      id: `file-${id.slice("batch_".length)}_${kind}`,
      tenant,
      filename: `${id}_${kind}.jsonl`,
      expirySeconds,
    });
    return {
      output: await LineFile.begin(objects, file("output")),
      errors: await LineFile.begin(objects, file("error")),
    };
  }

  /** @returns null when the request was not run */
  async #resultOf(id: string, index: number, request: BatchRequest, usage: UsageCount): Promise<BatchResult | null> {
    const { jobs } = this.#kept!;
    if (!jobs.isComputed(id, index)) return null;
    const events = (await jobs.result(id, index))!;
    const model = events.find(({ started }) => started)?.started?.model ?? "";
    return batchResult(request, events, this.#originOf(id, index, model), usage);
  }

  #unfinished(id: string, index: number, request: BatchRequest, ending: string): string {
    const why = ending === "expired" ? "expired" : "cancelled";
    return unfinishedResult(request, why, this.#originOf(id, index, "")).line;
  }

  /** The same whenever the line is written. */
  #originOf(id: string, index: number, model: string) {
    const digits = id.slice("batch_".length).slice(0, 24) + index.toString(16).padStart(8, "0");
    const createdAt = Math.floor(this.#batch(id).in_progress_unix_ms / 1_000);
    return { digits, createdAt, model, fingerprint: this.#options.fingerprint, requestId: `${id}-${index}` };
  }

  async #dropJob(id: string): Promise<void> {
    await this.#kept!.jobs.delete(id).catch(ignoreAbsence);
  }

  #document(id: string): v1.KeptObject {
    return this.#kept!.objects.get(id);
  }

  #batch(id: string): v1.KeptBatch {
    return batchOf(this.#document(id));
  }

  #sleep(ms: number): Promise<void> {
    const { signal } = this.#leaving;
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

function failWith(document: v1.KeptObject, code: string, message: string): void {
  batchOf(document).errors = [v1.BatchError.create({ code, message })];
  end(document, "failed", Date.now());
}

/** Whether the same may be possible later: room and JetStream come back. */
function isPassing(code: ErrorCode): boolean {
  return code === "unavailable" || code === "resource_exhausted" || code === "cancelled";
}

function ignoreAbsence(error: unknown): void {
  if (MoesaicError.from(error).code !== "not_found") throw error;
}
