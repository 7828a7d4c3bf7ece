import type { TestContext } from "node:test";
import { systemClock } from "../../proto/clock.js";
import { silentLogger } from "../../proto/log.js";
import { v1 } from "../../proto/messages.js";
import type { JobLog } from "../../coordinator/jobs/job-log.js";
import type { JobResult } from "../../coordinator/jobs/job-result.js";
import { JobRoom } from "../../coordinator/jobs/job-room.js";
import { JobStore, type JobStoreOptions } from "../../coordinator/jobs/job-store.js";

/** A place where jobs are kept, which outlives the logs that are opened on it. */
export interface JobLogFixture {
  open(): Promise<JobLog>;
  /** As a process that is gone leaves it: nothing is closed in order. */
  abandon(log: JobLog): Promise<void>;
  end(): Promise<void>;
}

export const GENEROUS = { retentionMs: 3_600_000, clock: systemClock, unixMs: () => Date.now() };

export async function openStore(
  test: TestContext,
  log: JobLog,
  { maxBytes = 2 ** 30, ...options }: Partial<JobStoreOptions> & { maxBytes?: number } = {},
): Promise<JobStore> {
  const room = new JobRoom(maxBytes, [log]);
  const store = await JobStore.open(log, { ...GENEROUS, room, ...options }, silentLogger);
  test.after(() => store.close());
  return store;
}

export interface Submission {
  jobId: string;
  prompts: readonly string[];
  firstIndex?: number;
  hasMore?: boolean;
}

export function submission({ jobId, prompts, firstIndex = 0, hasMore = false }: Submission): v1.SubmitJobRequest {
  const requests = prompts.map((prompt) => ({ prompt, sampling: { max_tokens: 4, logit_bias: { 7: 1, 3: -1 } } }));
  const message = { job_id: jobId, requests, first_index: firstIndex, has_more: hasMore };
  return v1.SubmitJobRequest.decode(v1.SubmitJobRequest.encode(message).finish());
}

/** Three events of one choice, told apart by their token. */
export function resultOf(tokenId: number): JobResult {
  const head = { request_id: `r${tokenId}`, choice: 0 };
  return {
    events: [
      { ...head, offset: 1, started: { model: "m", prompt_token_ids: [1, 2] } },
      { ...head, offset: 2, delta: { token_ids: [tokenId] } },
      { ...head, offset: 3, finish: { reason: "length" } },
    ],
    isFailed: false,
    numPromptTokens: 2,
    numOutputTokens: 1,
  };
}

/** The token of each result, or its error's code, in the order in which they came, as `index:token`. */
export async function watched(
  store: JobStore,
  jobId: string,
  firstIndex = 0,
  count = Infinity,
  aborter = new AbortController(),
): Promise<string[]> {
  const seen: string[] = [];
  for await (const { index, event } of store.watch(jobId, firstIndex, aborter.signal)) {
    if (event?.delta) seen.push(`${index}:${event.delta.token_ids![0]}`);
    if (event?.finish?.error) seen.push(`${index}:${event.finish.error.code}`);
    if (seen.length === count) break;
  }
  return seen;
}
