import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import type { v1 } from "../../../proto/messages.js";
import type { KeptStores } from "../../jobs/jobs.js";
import { BATCH_ENDPOINTS, type BatchEndpoint } from "./batch-body.js";
import { expirySeconds } from "./file-document.js";
import { readBody, someValueOf } from "./request-body.js";
import { metadata } from "./request-fields.js";
import { UsageCount } from "./usage.js";

/** Those that are no more than a step on the way, and those that are the end. */
export const ENDED = ["completed", "failed", "cancelled", "expired"] as const;
export type BatchEnding = (typeof ENDED)[number];

/** What is kept of one that has ended goes with its files. */
const KEPT_MS = 30 * 86_400_000;
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;
const WINDOW = /^([1-9]\d{0,4})([smh])$/;
const DAY_MS = 24 * UNIT_MS.h;

const schema = z.strictObject({
  input_file_id: z.string().min(1).max(128),
  endpoint: someValueOf(
    BATCH_ENDPOINTS,
    ["/v1/embeddings", "/v1/moderations", "/v1/images/generations"],
    "it is not served",
  ),
  completion_window: z
    .string()
    .refine((text) => windowMs(text) !== null, 'expected "24h", or less: a number and s, m or h'),
  metadata,
  output_expires_after: z.strictObject({ anchor: z.literal("created_at"), seconds: expirySeconds }).nullish(),
});

export interface KeptBatch {
  id: string;
  document: v1.KeptObject;
}

/** A batch as somebody asks for it. @throws MoesaicError invalid_argument, unimplemented */
export function batchDocument(
  tenant: string,
  body: unknown,
): v1.KeptObject.$Properties & { batch: v1.KeptBatch.$Properties } {
  const {
    input_file_id,
    endpoint,
    completion_window: window,
    metadata: pairs,
    output_expires_after: after,
  } = readBody(schema, body);
  const createdUnixMs = Date.now();
  const batch = {
    input_file_id,
    endpoint,
    status: "validating",
    completion_window: window,
    window_ends_unix_ms: createdUnixMs + windowMs(window)!,
    metadata: pairs ?? {},
    output_expires_after_seconds: after?.seconds ?? 0,
  };
  return { tenant, created_unix_ms: createdUnixMs, batch };
}

/** @throws MoesaicError not_found */
export function findBatch({ objects }: KeptStores, id: string, tenant: string): KeptBatch {
  const document = objects.find(id, "batch", tenant);
  if (document !== null) return { id, document };
  const text = `there is no batch ${id.slice(0, 128)}: it was never created, or it ended more than 30 days ago`;
  throw new MoesaicError("not_found", text, { place: "batch_id" });
}

/** What was read back has every field. */
export function batchOf(document: v1.KeptObject): v1.KeptBatch {
  return document.batch as v1.KeptBatch;
}

export function hasEnded({ status }: Pick<v1.KeptBatch, "status">): boolean {
  return (ENDED as readonly string[]).includes(status);
}

export function endpointOf({ endpoint }: Pick<v1.KeptBatch, "endpoint">): BatchEndpoint {
  return endpoint as BatchEndpoint;
}

/** The batch has come to its end: what it was, and when. */
export function end(document: v1.KeptObject, status: BatchEnding, unixMs: number): void {
  const batch = batchOf(document);
  batch.status = status;
  batch.ended_unix_ms = unixMs;
  document.expires_unix_ms = unixMs + KEPT_MS;
}

/** @param job that runs it, while there is one */
export function shownBatch({ id, document }: KeptBatch, job: v1.Job.$Properties | null): object {
  const batch = batchOf(document);
  const counts = batch.counts ?? { total: 0, completed: 0, failed: 0 };
  const numFailed = job?.num_failed ?? counts.failed;
  const numCompleted = job === null ? counts.completed : (job.num_finished ?? 0) - (job.num_failed ?? 0);
  const endedAs = (status: BatchEnding) => (batch.status === status ? seconds(batch.ended_unix_ms) : null);
  return {
    id,
    object: "batch",
    endpoint: batch.endpoint,
    errors: batch.errors.length === 0 ? null : { object: "list", data: batch.errors.map(shownError) },
    input_file_id: batch.input_file_id,
    completion_window: batch.completion_window,
    status: batch.status,
    output_file_id: batch.output_file_id || null,
    error_file_id: batch.error_file_id || null,
    created_at: seconds(document.created_unix_ms),
    in_progress_at: seconds(batch.in_progress_unix_ms),
    expires_at: seconds(batch.window_ends_unix_ms),
    finalizing_at: seconds(batch.finalizing_unix_ms),
    completed_at: endedAs("completed"),
    failed_at: endedAs("failed"),
    expired_at: endedAs("expired"),
    cancelling_at: seconds(batch.cancelling_unix_ms),
    cancelled_at: endedAs("cancelled"),
    request_counts: { total: counts.total, completed: numCompleted, failed: numFailed },
    usage: batch.counts == null || !hasEnded(batch) ? null : usageOf(batch.counts).responseUsage(),
    metadata: batch.metadata,
  };
}

/** What it used, as it is kept. */
export function keptUsage({
  promptTokens,
  cachedTokens,
  completionTokens,
  reasoningTokens,
}: UsageCount): v1.BatchCounts.$Properties {
  return {
    prompt_tokens: promptTokens,
    cached_tokens: cachedTokens,
    completion_tokens: completionTokens,
    reasoning_tokens: reasoningTokens,
  };
}

function usageOf(counts: v1.BatchCounts.$Properties): UsageCount {
  const usage = new UsageCount();
  usage.add(counts, true);
  return usage;
}

function shownError({ code, message, line, param }: v1.BatchError.$Properties): object {
  return { code, message, line: line || null, param: param || null };
}

function seconds(unixMs: number): number | null {
  return unixMs === 0 ? null : Math.floor(unixMs / 1_000);
}

function windowMs(text: string): number | null {
  const [, count, unit] = WINDOW.exec(text) ?? [];
  if (count === undefined) return null;
  const ms = Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  return ms <= DAY_MS ? ms : null;
}
