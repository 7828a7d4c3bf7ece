import { v1 } from "../../../proto/messages.js";
import { ChatChunks, ChatCompletion, type AnswerHead } from "./chat-answer.js";
import { chatRequest, readChatBody, type ChatBody } from "./chat-request.js";
import { CompletionChunks, TextCompletion, type CompletionShape } from "./completion-answer.js";
import { completionRequests, readCompletionBody, type CompletionBody } from "./completion-request.js";
import { EventStream, type Answer, type Call, type Endpoint } from "./endpoints.js";
import type { ErrorReply } from "./error-reply.js";
import { merged, unbroken } from "./generate-events.js";
import { RPC, type Inference } from "./inference.js";
import { nowSeconds, objectId } from "./object-id.js";
import type { ReasoningMemory } from "./reasoning-memory.js";
import { servedTierOf } from "./request-fields.js";
import type { SseEvent } from "./sse-stream.js";

export interface Served {
  inference: Inference;
  /** Name of the build, told with every answer: with a seed it says when output may differ. */
  fingerprint: string;
  memory: ReasoningMemory;
}

export function completionEndpoints(served: Served): Endpoint[] {
  return [
    {
      method: "POST",
      url: "/v1/chat/completions",
      rpc: RPC.generate,
      answer: (call) => answerChat(served, readChatBody(call.body), call),
    },
    {
      method: "POST",
      url: "/v1/completions",
      rpc: RPC.generate,
      answer: (call) => answerCompletion(served, readCompletionBody(call.body), call),
    },
  ];
}

async function answerChat(served: Served, body: ChatBody, call: Call): Promise<Answer> {
  const { inference, memory } = served;
  const { tenant } = call.context;
  const request = chatRequest(body, call.requestId, (callId) => memory.recall(tenant, callId));
  const head = await headOf(served, "chatcmpl-", body.service_tier, call);
  const events = unbroken(inference.generate(request, call.context));
  if (body.stream === true) {
    const chunks = new ChatChunks(head, body.stream_options?.include_usage === true);
    return new EventStream(
      streamed(events, (event) => chunks.chunksOf(event), chunks),
      errorEvents,
    );
  }
  const completion = new ChatCompletion(head, body.logprobs === true);
  for await (const event of events) completion.take(event);
  return completion.whole();
}

async function answerCompletion(served: Served, body: CompletionBody, call: Call): Promise<Answer> {
  const { inference } = served;
  const requests = completionRequests(body, call.requestId);
  const head = await headOf(served, "cmpl-", body.service_tier, call);
  const shape = await shapeOf(inference, body, call);
  const events = merged(requests.map((request) => unbroken(inference.generate(request, call.context))));
  if (body.stream === true) {
    const chunks = new CompletionChunks(head, shape, body.stream_options?.include_usage === true);
    return new EventStream(
      streamed(events, ({ index, event }) => chunks.chunksOf(index, event), chunks),
      errorEvents,
    );
  }
  const completion = new TextCompletion(head, shape);
  for await (const { index, event } of events) completion.take(index, event);
  return completion.whole();
}

async function headOf(
  { inference, fingerprint, memory }: Served,
  prefix: string,
  tier: ChatBody["service_tier"],
  { context }: Call,
): Promise<AnswerHead> {
  const { models } = await inference.listModels(new v1.ListModelsRequest(), context);
  return {
    id: objectId(prefix),
    created: nowSeconds(),
    model: models?.[0]?.name ?? "",
    serviceTier: servedTierOf(tier),
    fingerprint,
    onCall: (callId, reasoning) => memory.keep(context.tenant, callId, reasoning),
  };
}

async function shapeOf(inference: Inference, body: CompletionBody, { context }: Call): Promise<CompletionShape> {
  const shape = { numChoices: body.n ?? 1, wantsLogprobs: body.logprobs != null };
  if (body.echo !== true) return { ...shape, echoes: null };
  const echoes = body.prompt.map(async (prompt) => {
    if (typeof prompt === "string") return prompt;
    const request = v1.DetokenizeRequest.create({ token_ids: prompt });
    return (await inference.detokenize(request, context)).text ?? "";
  });
  return { ...shape, echoes: await Promise.all(echoes) };
}

async function* streamed<E>(
  events: AsyncIterable<E>,
  chunksOf: (event: E) => object[],
  answer: { lastChunks(): object[] },
): AsyncIterable<SseEvent[]> {
  for await (const event of events) yield chunksOf(event).map(eventOf);
  yield [...answer.lastChunks().map(eventOf), { data: "[DONE]" }];
}

function eventOf(chunk: object): SseEvent {
  return { data: JSON.stringify(chunk) };
}

/** Clients of OpenAI take a chunk with `error` for the stream's end. */
function errorEvents({ body }: ErrorReply): SseEvent[] {
  return [eventOf(body)];
}
