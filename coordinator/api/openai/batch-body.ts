import { MoesaicError } from "../../../proto/errors.js";
import { ChatCompletion, type AnswerHead } from "./chat-answer.js";
import { chatRequest, readChatBody } from "./chat-request.js";
import { TextCompletion } from "./completion-answer.js";
import { completionRequests, readCompletionBody } from "./completion-request.js";
import type { GenerateEvent } from "./generate-events.js";
import type { GenerateRequest } from "./inference.js";
import { servedTierOf } from "./request-fields.js";
import { responseHead } from "./response-head.js";
import { readResponseBody, responseRequest, wantsLogprobs, wantsSummary } from "./response-request.js";
import { ResponseRun } from "./response-run.js";

/** What an answer says of itself that its events do not. */
export interface AnswerOrigin {
  /** 32 digits, the answer's own. */
  digits: string;
  /** Seconds since 1970. */
  createdAt: number;
  model: string;
  fingerprint: string;
}

/** The body of a batch's line: what is asked, and how the events of its result become the body of an answer. */
export interface BatchBody {
  request: GenerateRequest;
  /** @param events of every choice, none of them with an error */
  answer(events: readonly GenerateEvent[], origin: AnswerOrigin): object;
}

/** @throws MoesaicError invalid_argument, unimplemented: as the endpoint itself, and for what only makes sense to who waits */
type ReadBody = (body: unknown) => BatchBody;

const READERS = {
  "/v1/chat/completions": readChat,
  "/v1/completions": readCompletion,
  "/v1/responses": readResponse,
} satisfies Record<string, ReadBody>;

export type BatchEndpoint = keyof typeof READERS;

export const BATCH_ENDPOINTS = Object.keys(READERS) as BatchEndpoint[];

export function bodyReaderOf(endpoint: BatchEndpoint): ReadBody {
  return READERS[endpoint];
}

function readChat(from: unknown): BatchBody {
  const body = readChatBody(from);
  refuse("stream", body.stream === true, "the answer is a line of a file");
  return {
    // What was thought before a call is nowhere but in the line itself.
    request: chatRequest(body, "", () => ""),
    answer(events, origin) {
      const completion = new ChatCompletion(headOf("chatcmpl-", body.service_tier, origin), body.logprobs === true);
      for (const event of events) completion.take(event);
      return completion.whole();
    },
  };
}

function readCompletion(from: unknown): BatchBody {
  const body = readCompletionBody(from);
  refuse("stream", body.stream === true, "the answer is a line of a file");
  refuse("prompt", body.prompt.length > 1, "a line has one prompt; give each its own line");
  const [prompt] = body.prompt;
  const isEchoed = body.echo === true;
  refuse("echo", isEchoed && typeof prompt !== "string", "token ids are not echoed; send text, or leave it out");
  return {
    request: completionRequests(body, "")[0]!,
    answer(events, origin) {
      const echoes = isEchoed && typeof prompt === "string" ? [prompt] : null;
      const shape = { echoes, numChoices: body.n ?? 1, wantsLogprobs: body.logprobs != null };
      const completion = new TextCompletion(headOf("cmpl-", body.service_tier, origin), shape);
      for (const event of events) completion.take(0, event);
      return completion.whole();
    },
  };
}

function readResponse(from: unknown): BatchBody {
  const body = readResponseBody(from);
  refuse("stream", body.stream === true, "the answer is a line of a file");
  refuse("background", body.background === true, "all of a batch runs in the background");
  refuse("store", body.store === true, "the answer is kept in the batch's file alone");
  refuse("previous_response_id", Boolean(body.previous_response_id), "send the conversation itself");
  return {
    request: responseRequest(body, body.input ?? [], ""),
    answer(events, { digits, createdAt, model }) {
      const head = responseHead({ ...body, store: false }, { id: `resp_${digits}`, createdAt, model });
      const run = new ResponseRun({ head, wantsSummary: wantsSummary(body), wantsLogprobs: wantsLogprobs(body) });
      for (const event of events) run.take(event);
      return run.response();
    },
  };
}

function refuse(place: string, isAsked: boolean, why: string): void {
  if (isAsked) throw new MoesaicError("unimplemented", `${place}: is not supported in a batch: ${why}`, { place });
}

function headOf(
  prefix: string,
  tier: Parameters<typeof servedTierOf>[0],
  { digits, createdAt, model, fingerprint }: AnswerOrigin,
): AnswerHead {
  const serviceTier = servedTierOf(tier);
  return { id: prefix + digits, created: createdAt, model, serviceTier, fingerprint, onCall: () => {} };
}
