import { MoesaicError } from "../../../proto/errors.js";
import type { AnswerOrigin } from "./batch-body.js";
import type { BatchRequest } from "./batch-request.js";
import { errorReplyOf } from "./error-reply.js";
import { errorOf, type GenerateEvent } from "./generate-events.js";
import type { UsageCount } from "./usage.js";

/** One line of a batch's output or of its errors. */
export interface BatchResult {
  isFailed: boolean;
  line: string;
}

/** Why a request without a result has none. */
export const UNFINISHED = {
  cancelled: { code: "batch_cancelled", message: "The batch was cancelled before this request had run." },
  expired: { code: "batch_expired", message: "The batch's time was over before this request had run." },
} as const;

/** What tells the lines of one batch apart: their ids, and those of the answers in them. */
export interface BatchLineOrigin extends AnswerOrigin {
  /** Of the request, as logs have it. */
  requestId: string;
}

/** @param events of the request's result   @param usage what was used is added to it */
export function batchResult(
  request: BatchRequest,
  events: readonly GenerateEvent[],
  origin: BatchLineOrigin,
  usage: UsageCount,
): BatchResult {
  for (const { choice, finish } of events) if (finish) usage.add(finish.usage, (choice ?? 0) === 0);
  const error = events.map(({ finish }) => errorOf(finish)).find((each) => each !== null) ?? null;
  const { status, body } = error === null ? answered(request, events, origin) : errorReplyOf(error);
  const response = { status_code: status, request_id: origin.requestId, body };
  return { isFailed: status !== 200, line: lineOf(request, origin, response, null) };
}

export function unfinishedResult(
  request: BatchRequest,
  why: keyof typeof UNFINISHED,
  origin: BatchLineOrigin,
): BatchResult {
  return { isFailed: true, line: lineOf(request, origin, null, UNFINISHED[why]) };
}

/** Whatever goes wrong with one line is that line's own. */
function answered(
  request: BatchRequest,
  events: readonly GenerateEvent[],
  origin: AnswerOrigin,
): { status: number; body: object } {
  try {
    return { status: 200, body: request.answer(events, origin) };
  } catch (caught) {
    return errorReplyOf(MoesaicError.from(caught));
  }
}

function lineOf(
  { customId }: BatchRequest,
  { digits }: AnswerOrigin,
  response: object | null,
  error: object | null,
): string {
  return JSON.stringify({ id: `batch_req_${digits}`, custom_id: customId, response, error });
}
