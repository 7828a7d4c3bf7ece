import { z } from "zod";
import { v1 } from "../../../proto/messages.js";
import type { GenerateRequest } from "./inference.js";
import { outputFormOf, type AnswerFormat } from "./output-form.js";
import { boundedArray, readBody, unavailable } from "./request-body.js";
import {
  functionFields,
  hintFields,
  metadata,
  priorityOf,
  reasoningEffort,
  schemaFormatFields,
  serviceTier,
  streamOptions,
  toolsOf,
  verbosity,
} from "./request-fields.js";
import { maxTokens, samplingFields, samplingOf, topLogprobs } from "./sampling-fields.js";
import { textContent } from "./text-content.js";
import { chatToolChoice, offeredTools } from "./tool-choice.js";

const MAX_MESSAGES = 4096;
const MAX_CALLS = 256;

const toolCall = z.object({
  id: z.string(),
  type: z.literal("function", { error: "expected function, the one type of tool there is" }).optional(),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

const text = textContent("text");

/** `name` tells speakers of one role apart; the prompt format has no place for it. */
const speaker = { name: z.string().nullish() };

const message = z.discriminatedUnion(
  "role",
  [
    z.object({ role: z.enum(["system", "developer", "user"]), content: text, ...speaker }),
    z.object({
      role: z.literal("assistant"),
      content: textContent("text", "refusal").nullish(),
      refusal: z.string().nullish(),
      // Two names for the same, both in use: what an answer of ours says under either may come back.
      reasoning_content: z.string().nullish(),
      reasoning: z.string().nullish(),
      tool_calls: boundedArray(toolCall, 0, MAX_CALLS).nullish(),
      function_call: unavailable("use tool_calls"),
      audio: unavailable("the model takes text alone"),
      ...speaker,
    }),
    z.object({ role: z.literal("tool"), content: text, tool_call_id: z.string() }),
  ],
  { error: "expected one of system, developer, user, assistant, tool" },
);

export const messages = boundedArray(message, 1, MAX_MESSAGES);

const tool = z.discriminatedUnion(
  "type",
  [z.object({ type: z.literal("function"), function: z.object(functionFields) })],
  {
    error: "expected function, the one type of tool there is",
  },
);

export const chatTools = toolsOf(tool);

const responseFormat = z
  .discriminatedUnion(
    "type",
    [
      z.object({ type: z.literal("text") }),
      z.object({ type: z.literal("json_object") }),
      z.object({ type: z.literal("json_schema"), json_schema: z.object(schemaFormatFields) }),
    ],
    { error: "expected text, json_object or json_schema" },
  )
  .nullish();

const fields = z.strictObject({
  ...samplingFields,
  ...hintFields,
  model: z.string().nullish(),
  messages,
  max_tokens: maxTokens,
  max_completion_tokens: maxTokens,
  logprobs: z.boolean().nullish(),
  top_logprobs: topLogprobs,
  response_format: responseFormat,
  tools: chatTools,
  tool_choice: chatToolChoice,
  // A model of this family makes at most one call and ends: either value is kept.
  parallel_tool_calls: z.boolean().nullish(),
  reasoning_effort: reasoningEffort,
  verbosity,
  stream: z.boolean().nullish(),
  stream_options: streamOptions,
  service_tier: serviceTier,
  metadata,
  store: unavailable("chat completions are not kept; /v1/responses are", [false]),
  modalities: unavailable("the model speaks in text alone; leave it out", []),
  audio: unavailable("the model speaks in text alone"),
  functions: unavailable("use tools"),
  function_call: unavailable("use tool_choice"),
  prediction: unavailable("there is no speculative decoding"),
  web_search_options: unavailable("there are no built-in tools"),
  moderation: unavailable("nothing is moderated here"),
});

/** For whoever compares documents with what there is. */
export const chatParameters = Object.keys(fields.shape);

export type ChatBody = z.infer<typeof fields>;

const schema = fields.superRefine(checkTogether);

/** @throws MoesaicError invalid_argument and unimplemented as `readBody`, and for parameters that contradict each other */
export function readChatBody(body: unknown): ChatBody {
  return readBody(schema, body);
}

function checkTogether(body: ChatBody, context: z.RefinementCtx): void {
  const problem = (path: string, text: string) => context.addIssue({ code: "custom", message: text, path: [path] });
  if (body.top_logprobs != null && body.logprobs !== true) problem("top_logprobs", "needs logprobs: true");
  if (body.stream_options != null && body.stream !== true) problem("stream_options", "needs stream: true");
  const { max_tokens: old, max_completion_tokens: max } = body;
  if (old != null && max != null && old !== max) problem("max_tokens", "contradicts max_completion_tokens");
}

/** What was thought before a call, for messages that come back without it. */
export type RecallReasoning = (callId: string) => string;

/** @throws MoesaicError as `offeredTools` */
export function chatRequest(body: ChatBody, requestId: string, recall: RecallReasoning): GenerateRequest {
  const { tools, choice } = offeredTools(
    (body.tools ?? []).map(({ function: definition }) => definition),
    body.tool_choice,
  );
  const { constraint, responseFormat } = outputFormOf(formatOf(body.response_format));
  return v1.GenerateRequest.create({
    request_id: requestId,
    model: body.model ?? "",
    chat: {
      ...chatInput(body.messages, tools, body.reasoning_effort ?? "", recall),
      tool_choice: choice,
      response_format: responseFormat,
    },
    sampling: samplingOf(body, {
      maxTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
      logprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : null,
    }),
    priority: priorityOf(body.service_tier),
    constraint,
  });
}

export function chatInput(
  conversation: ChatBody["messages"],
  tools: v1.Tool.$Properties[],
  effort: string,
  recall: RecallReasoning,
): v1.ChatInput.$Properties {
  return { messages: conversation.map((from) => messageOf(from, recall)), tools, reasoning_effort: effort };
}

function formatOf(format: ChatBody["response_format"]): AnswerFormat | null {
  return format?.type === "json_schema" ? { type: format.type, ...format.json_schema } : (format ?? null);
}

function messageOf(from: ChatBody["messages"][number], recall: RecallReasoning): v1.ChatMessage.$Properties {
  if (from.role === "tool") return { role: "tool", content: from.content, tool_call_id: from.tool_call_id };
  if (from.role !== "assistant") return { role: from.role, content: from.content };
  return {
    role: "assistant",
    content: from.content || (from.refusal ?? ""),
    reasoning: from.reasoning_content ?? from.reasoning ?? recall(from.tool_calls?.[0]?.id ?? ""),
    tool_calls: (from.tool_calls ?? []).map(({ id, function: call }) => ({ id, ...call })),
  };
}
