import { MoesaicError } from "../../proto/errors.js";
import { v1 } from "../../proto/messages.js";
import { JOB_ID } from "./job-log.js";

/** A request fits a message of JetStream whatever else is in it; 131,072 tokens are less than half of it, as text or ids. */
export const MAX_REQUEST_BYTES = 900 * 1024;
const MAX_SUBMIT_BYTES = 4 * 1024 * 1024;
export const MAX_REQUESTS_PER_JOB = 1_000_000;

/** What is asked of a stream: that it can be resumed, or says how far it is. */
const STREAMING = ["resume_after_offset", "resumable", "prefill_progress"] as const;

export function checkJobId(jobId: string): void {
  if (JOB_ID.test(jobId)) return;
  const got = jobId.length > 128 ? `${jobId.length} characters` : JSON.stringify(jobId);
  throw invalid("job_id", `expected 1 to 128 letters, digits, _ and -, got ${got}`);
}

/**
 * Requests of a submission as they are kept. What only a loaded model can tell, such as whether a prompt fits, becomes the
 * request's own result.
 * @throws MoesaicError invalid_argument, with the request's index in the job as its place
 */
export function encodeRequests({ requests, first_index: firstIndex }: v1.SubmitJobRequest): Uint8Array[] {
  if (!Number.isInteger(firstIndex) || firstIndex < 0)
    throw invalid("first_index", `expected 0 or more, got ${firstIndex}`);
  if (requests.length === 0) throw invalid("requests", "expected at least one");
  if (firstIndex + requests.length > MAX_REQUESTS_PER_JOB) {
    throw invalid(
      "requests",
      `a job has at most ${MAX_REQUESTS_PER_JOB}, these would make ${firstIndex + requests.length}`,
    );
  }
  const encoded = requests.map((request, index) => encodeRequest(request, `requests[${firstIndex + index}]`));
  const bytes = encoded.reduce((sum, { length }) => sum + length, 0);
  if (bytes <= MAX_SUBMIT_BYTES) return encoded;
  throw invalid("requests", `at most ${MAX_SUBMIT_BYTES} bytes in one Submit, got ${bytes}; send them in several`);
}

function encodeRequest(request: v1.GenerateRequest.$Properties, place: string): Uint8Array {
  checkInput(request, place);
  const n = request.sampling?.n ?? 1;
  if (n < 1 || n > 16) throw invalid(`${place}.sampling.n`, `expected 1 to 16, got ${n}`);
  const streaming = STREAMING.find((field) => request[field] != null && request[field] !== false);
  if (streaming !== undefined) {
    throw refused(`${place}.${streaming}`, "a job's request has no stream: its result is kept; leave it out");
  }
  const bytes = v1.GenerateRequest.encode(request).finish();
  if (bytes.length <= MAX_REQUEST_BYTES) return bytes;
  throw invalid(place, `a request of a job has at most ${MAX_REQUEST_BYTES} bytes, this one has ${bytes.length}`);
}

function checkInput(request: v1.GenerateRequest.$Properties, place: string): void {
  if ((request.request_id ?? "").length > 128) throw invalid(`${place}.request_id`, "expected at most 128 characters");
  const hasInput = Boolean(request.prompt) || (request.token_ids?.ids?.length ?? 0) > 0;
  if (!hasInput && (request.chat?.messages?.length ?? 0) === 0)
    throw invalid(place, "a request needs a prompt, token_ids or chat");
}

function invalid(place: string, message: string): MoesaicError {
  return new MoesaicError("invalid_argument", message, { place });
}

function refused(place: string, message: string): MoesaicError {
  return new MoesaicError("unimplemented", message, { place });
}
