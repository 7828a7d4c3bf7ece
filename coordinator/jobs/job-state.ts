import { assert } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import { DEFAULT_TENANT } from "../../proto/tenant.js";
import type { KeptRecord, RecordPlace } from "./job-log.js";

/** Requests that were submitted together, and lie together. */
export interface RequestGroup {
  firstIndex: number;
  numRequests: number;
  place: RecordPlace;
}

/**
 * What is known of one job without reading a request or result: the sum of its records' heads. A record that says again
 * what is known already, as a writer leaves it that was not sure of its first try, changes nothing.
 */
export class JobState {
  readonly jobId: string;
  /** In order of their indices, without a gap. */
  readonly groups: RequestGroup[] = [];
  numRequests = 0;
  /** On whose account it runs. */
  tenant = DEFAULT_TENANT;
  /** Somebody waits for each of its requests. */
  isUrgent = false;
  /** All of its requests are there. */
  isAccepted = false;
  isCancelled = false;
  /** Something of it was given to the engine. */
  hasStarted = false;
  numFinished = 0;
  numFailed = 0;
  numPromptTokens = 0;
  numOutputTokens = 0;
  createdUnixMs = 0;
  acceptedUnixMs = 0;
  endedUnixMs = 0;
  /** When the last record was written. */
  changedUnixMs = 0;
  readonly #results: (RecordPlace | undefined)[] = [];

  constructor(jobId: string) {
    this.jobId = jobId;
  }

  /** Nothing of it will be computed any more. */
  get isOver(): boolean {
    return this.isCancelled || (this.isAccepted && this.numFinished === this.numRequests);
  }

  get state(): "submitting" | "waiting" | "running" | "finished" | "cancelled" {
    if (this.isCancelled) return "cancelled";
    if (!this.isAccepted) return "submitting";
    if (this.isOver) return "finished";
    return this.hasStarted || this.numFinished > 0 ? "running" : "waiting";
  }

  resultPlace(index: number): RecordPlace | null {
    return this.#results[index] ?? null;
  }

  groupOf(index: number): RequestGroup {
    const group = this.groups.findLast(({ firstIndex }) => firstIndex <= index);
    assert(
      group !== undefined && index < group.firstIndex + group.numRequests,
      `job ${this.jobId} has no request ${index}`,
    );
    return group;
  }

  apply({ head, place }: Pick<KeptRecord, "place"> & { head: v1.JobRecord.$Properties }): void {
    const unixMs = head.unix_ms ?? 0;
    this.createdUnixMs ||= unixMs;
    this.changedUnixMs = unixMs;
    if (head.requests) this.#applyRequests(head.requests, place, unixMs);
    else if (head.result) this.#applyResult(head.result, place, unixMs);
    else if (head.cancelled && !this.isOver) {
      this.isCancelled = true;
      this.endedUnixMs = unixMs;
    }
  }

  #applyRequests(record: v1.RequestsRecord.$Properties, place: RecordPlace, unixMs: number): void {
    const [firstIndex, numRequests] = [record.first_index ?? 0, record.num_requests ?? 0];
    if (this.isAccepted || firstIndex !== this.numRequests) return;
    if (numRequests > 0) this.groups.push({ firstIndex, numRequests, place });
    this.numRequests += numRequests;
    this.tenant = record.tenant || DEFAULT_TENANT;
    this.isUrgent = record.is_urgent ?? false;
    if (record.has_more === true) return;
    this.isAccepted = true;
    this.acceptedUnixMs = unixMs;
  }

  #applyResult(record: v1.ResultRecord.$Properties, place: RecordPlace, unixMs: number): void {
    const index = record.index ?? 0;
    if (this.isOver || index >= this.numRequests || this.#results[index] !== undefined) return;
    this.#results[index] = place;
    this.numFinished += 1;
    if (record.is_failed === true) this.numFailed += 1;
    this.numPromptTokens += record.num_prompt_tokens ?? 0;
    this.numOutputTokens += record.num_output_tokens ?? 0;
    if (this.isOver) this.endedUnixMs = unixMs;
  }

  /** @param reason why nothing gets on, where that is so */
  toMessage(reason: string): v1.Job.$Properties {
    return {
      job_id: this.jobId,
      state: this.state,
      num_requests: this.numRequests,
      num_finished: this.numFinished,
      num_failed: this.numFailed,
      num_prompt_tokens: this.numPromptTokens,
      num_output_tokens: this.numOutputTokens,
      created_unix_ms: this.createdUnixMs,
      accepted_unix_ms: this.acceptedUnixMs,
      ended_unix_ms: this.endedUnixMs,
      reason: this.isOver ? "" : reason,
    };
  }
}
