import { v1 } from "../proto/messages.js";
import { MoesaicError } from "../proto/errors.js";
import { camelCased, type CamelCased } from "./camel-case.js";
import { collectCompletion, type Completion } from "./completion.js";
import { toGenerateEvent, type GenerateEvent } from "./generate-event.js";
import { toGenerateMessage, type GenerateRequest } from "./generate-request.js";

/** How far a job is. Its fields, in camelCase, are those of Job in docs/grpc.md#job. */
export type Job = CamelCased<v1.Job.$Properties>;

/** What came of one request of a job. */
export interface JobResult {
  /** Of the request in its job. */
  index: number;
  requestId: string;
  /** null when it failed. */
  completion: Completion | null;
  /** Why every choice failed, or null. */
  error: MoesaicError | null;
}

/** Output tokens a second from the moment all requests were accepted to the last result; null for a job that is not over. */
export function tokensPerSecond(job: Job): number | null {
  const ms = job.endedUnixMs - job.acceptedUnixMs;
  return job.endedUnixMs === 0 || ms <= 0 ? null : (1_000 * job.numOutputTokens) / ms;
}

export function toJob(message: v1.Job): Job {
  return camelCased(v1.Job.toObject(message, { defaults: true, arrays: true }) as v1.Job.$Properties);
}

/** A Submit holds so much, and a server so much of it in memory at a time. */
const MAX_GROUP_BYTES = 512 * 1024;
const MAX_GROUP_REQUESTS = 1_024;

/** Requests in groups of a size that one Submit takes, from first to last; the last says that no more follow. */
export async function* submissionsOf(
  jobId: string,
  requests: Iterable<GenerateRequest> | AsyncIterable<GenerateRequest>,
): AsyncGenerator<
  v1.SubmitJobRequest.$Properties & { first_index: number; requests: v1.GenerateRequest.$Properties[] }
> {
  let [group, bytes, firstIndex]: [v1.GenerateRequest.$Properties[], number, number] = [[], 0, 0];
  for await (const request of requests) {
    const message = messageOf(request, firstIndex + group.length);
    const size = v1.GenerateRequest.encode(message).finish().length;
    if (group.length > 0 && (bytes + size > MAX_GROUP_BYTES || group.length === MAX_GROUP_REQUESTS)) {
      yield { job_id: jobId, requests: group, first_index: firstIndex, has_more: true };
      firstIndex += group.length;
      [group, bytes] = [[], 0];
    }
    group.push(message);
    bytes += size;
  }
  yield { job_id: jobId, requests: group, first_index: firstIndex, has_more: false };
}

function messageOf(request: GenerateRequest, index: number): v1.GenerateRequest.$Properties {
  try {
    return toGenerateMessage(request);
  } catch (caught) {
    const { code, message, place } = MoesaicError.from(caught);
    throw new MoesaicError(code, message, {
      place: `requests[${index}]${place === undefined ? "" : `.${place}`}`,
      cause: caught,
    });
  }
}

/** Events of results as they come, each result whole; how far the job is goes to `onProgress`. */
export async function* resultsOf(
  events: AsyncIterable<v1.JobEvent>,
  onProgress: (job: Job) => void,
): AsyncGenerator<JobResult, void, undefined> {
  let whole: GenerateEvent[] = [];
  for await (const { index, event, is_last: isLast, job } of events) {
    if (job) onProgress(toJob(job as v1.Job));
    if (!event) continue;
    whole.push(toGenerateEvent(event as v1.GenerateEvent));
    if (!isLast) continue;
    yield resultOf(index, whole[0]?.requestId ?? "", await completionOf(whole));
    whole = [];
  }
}

function resultOf(index: number, requestId: string, outcome: Completion | MoesaicError): JobResult {
  if (outcome instanceof MoesaicError) return { index, requestId, completion: null, error: outcome };
  return { index, requestId, completion: outcome, error: null };
}

async function completionOf(events: readonly GenerateEvent[]): Promise<Completion | MoesaicError> {
  async function* again(): AsyncGenerator<GenerateEvent> {
    yield* events;
  }
  try {
    return await collectCompletion(again());
  } catch (caught) {
    return MoesaicError.from(caught);
  }
}
