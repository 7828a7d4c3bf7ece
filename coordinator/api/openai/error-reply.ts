import type { ErrorCode, MoesaicError } from "../../../proto/errors.js";
import { PROMPT_LENGTH_PLACE } from "../inference-service.js";

/** The body of every error, in OpenAI's shape. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

export interface ErrorReply {
  status: number;
  headers: Record<string, string>;
  body: ErrorBody;
}

/** nginx's number for a client that left; nobody is there to read it, but logs are. */
const CLIENT_CLOSED_REQUEST = 499;
const CONTENT_TOO_LARGE = 413;
/** Place of the error of a file that is too large. */
export const FILE_SIZE_PLACE = "file size";
/** Where an error does not know better, milliseconds: a drained cluster's successor or a recovered rank takes longer. */
const UNAVAILABLE_RETRY_MS = 1_000;

const KINDS: Readonly<Record<ErrorCode, { status: number; type: string; code: string | null }>> = {
  invalid_argument: { status: 400, type: "invalid_request_error", code: null },
  not_found: { status: 404, type: "invalid_request_error", code: "not_found" },
  failed_precondition: { status: 400, type: "invalid_request_error", code: "failed_precondition" },
  resource_exhausted: { status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" },
  deadline_exceeded: { status: 504, type: "server_error", code: "deadline_exceeded" },
  cancelled: { status: CLIENT_CLOSED_REQUEST, type: "invalid_request_error", code: "cancelled" },
  unavailable: { status: 503, type: "server_error", code: "unavailable" },
  unimplemented: { status: 400, type: "invalid_request_error", code: "unsupported_parameter" },
  internal: { status: 500, type: "server_error", code: "internal" },
};

/** An error as OpenAI's clients know it: they read status, `retry-after` and `x-should-retry`, people the message. */
export function errorReplyOf(error: MoesaicError): ErrorReply {
  const kind = KINDS[error.code];
  const { param, code } = faultOf(error);
  return {
    status: error.place === FILE_SIZE_PLACE ? CONTENT_TOO_LARGE : kind.status,
    headers: retryHeaders(error),
    body: { error: { message: error.message, type: kind.type, param, code: code ?? kind.code } },
  };
}

/** Of callers that may not call at all: no code of the request's own would tell them. */
export function forbiddenReplyOf(error: MoesaicError): ErrorReply {
  const { message } = error;
  return {
    status: 403,
    headers: {},
    body: { error: { message, type: "permission_error", param: null, code: "forbidden" } },
  };
}

/** OpenAI's names for what is at fault, and for the few faults that its clients look for. */
function faultOf({ code, place, message }: MoesaicError): { param: string | null; code: string | null } {
  if (place === PROMPT_LENGTH_PLACE) return { param: "messages", code: "context_length_exceeded" };
  if (place === FILE_SIZE_PLACE) return { param: "file", code: null };
  if (place === "model" && code === "not_found") return { param: "model", code: "model_not_found" };
  if (place?.startsWith("constraint")) return { param: "response_format", code: null };
  if (place?.startsWith("token_ids")) return { param: place.replace("token_ids", "prompt"), code: null };
  // Sampling problems come all in one message, each after its field's name.
  if (place === "sampling") return { param: /^\w+/.exec(message)?.[0] ?? null, code: null };
  return { param: place ?? null, code: null };
}

/** What may succeed later says when; what will not says so, since clients repeat statuses from 429 on by themselves. */
function retryHeaders({ code, retryAfterMs }: MoesaicError): Record<string, string> {
  const waitMs = retryAfterMs ?? (code === "unavailable" ? UNAVAILABLE_RETRY_MS : null);
  if (waitMs !== null) {
    return { "retry-after": String(Math.ceil(waitMs / 1_000)), "retry-after-ms": String(Math.ceil(waitMs)) };
  }
  const isFinal = code === "resource_exhausted" || code === "deadline_exceeded" || code === "internal";
  return isFinal ? { "x-should-retry": "false" } : {};
}
