import type { v1 } from "../../proto/messages.js";

/**
 * Where the records of jobs are kept: files on local disk, or JetStream. One coordinator at a time writes. Of a job the
 * records come back in the order in which they were appended, and none is ever changed: the only way to give room back
 * is to drop a whole job, so that there is nothing to compact.
 */
export interface JobLog {
  /** Every record that is there, those of a job in order. Called once, before anything else. @throws MoesaicError unavailable, failed_precondition */
  recover(): AsyncIterable<KeptRecord>;
  /**
   * Durable when it resolves. What it failed with before that did not happen, or will not be there after a restart.
   * @throws MoesaicError resource_exhausted: no room; unavailable: JetStream is away; failed_precondition: another writes
   */
  append(jobId: string, head: v1.JobRecord.$Properties, body: Uint8Array): Promise<RecordPlace>;
  /** The body of a record. @throws MoesaicError internal when it is not what was written; unavailable */
  read(jobId: string, place: RecordPlace): Promise<Uint8Array>;
  /** Forgets all records of a job. */
  drop(jobId: string): Promise<void>;
  /** Bytes that are taken, about. */
  readonly bytes: number;
  close(): Promise<void>;
}

/** Where a record's body is; only its log knows what the numbers mean. */
export interface RecordPlace {
  readonly at: number;
  readonly size: number;
}

export interface KeptRecord {
  jobId: string;
  head: v1.JobRecord;
  place: RecordPlace;
}

/** Jobs, and the objects of the HTTP API: a log each, both of the same make. */
export type LogKind = "jobs" | "objects";

/** Largest body. A result with 20 logprobs for each of 131,072 tokens has 26 MB. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** File name and subject are made of it. */
export const JOB_ID = /^[A-Za-z0-9_-]{1,128}$/;
