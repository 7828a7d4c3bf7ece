import { z } from "zod";
import { v1 } from "../../../proto/messages.js";
import { chatMessages, conversationInput, type ConversationItem } from "./conversation-item.js";
import type { GenerateRequest } from "./inference.js";
import { outputFormOf } from "./output-form.js";
import { boundedArray, readBody, someOf, someValueOf, unavailable } from "./request-body.js";
import {
  functionFields,
  hintFields,
  metadata,
  priorityOf,
  reasoningEffort,
  schemaFormatFields,
  serviceTier,
  toolsOf,
  verbosity,
} from "./request-fields.js";
import { maxTokens, samplingFields, samplingOf, topLogprobs } from "./sampling-fields.js";
import { offeredTools, responsesToolChoice } from "./tool-choice.js";

const MAX_INCLUDES = 16;
/** Reasoning comes in the open, as content of its items, and is taken back so: there is nothing to encrypt. */
const INCLUDES = ["message.output_text.logprobs", "reasoning.encrypted_content"] as const;
const OTHER_INCLUDES = [
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "message.input_image.image_url",
  "computer_call_output.output.image_url",
  "code_interpreter_call.outputs",
];

const tool = z.discriminatedUnion("type", [z.object({ type: z.literal("function"), ...functionFields })], {
  error: "expected function, the one type of tool there is",
});

const format = z
  .discriminatedUnion(
    "type",
    [
      z.object({ type: z.literal("text") }),
      z.object({ type: z.literal("json_object") }),
      z.object({ type: z.literal("json_schema"), ...schemaFormatFields }),
    ],
    { error: "expected text, json_object or json_schema" },
  )
  .nullish();

const summary = someOf(["auto", "detailed"], ["concise"], "the summary is the reasoning itself, in full");

/** What the prompt is made of: the fields that responses and the count of their input tokens share. */
const promptFields = {
  model: z.string().nullish(),
  input: conversationInput.optional(),
  instructions: z.string().nullish(),
  previous_response_id: z.string().nullish(),
  reasoning: z
    .strictObject({
      effort: reasoningEffort,
      summary,
      generate_summary: summary,
      context: someOf(["auto", "current_turn"], ["all_turns"], "reasoning of earlier turns is dropped"),
    })
    .nullish(),
  text: z.strictObject({ format, verbosity }).nullish(),
  tools: toolsOf(tool),
  tool_choice: responsesToolChoice,
  // A model of this family makes at most one call and ends: either value is kept.
  parallel_tool_calls: z.boolean().nullish(),
  truncation: someOf(["disabled"], ["auto"], "nothing is cut out of a conversation"),
  conversation: unavailable("use previous_response_id"),
};

const promptSchema = z.strictObject(promptFields);

const include = someValueOf(INCLUDES, OTHER_INCLUDES, "there are no items of that kind");

const { stop: _stop, n: _n, ...samplingOfResponses } = samplingFields;

const schema = z.strictObject({
  ...samplingOfResponses,
  ...hintFields,
  ...promptFields,
  max_output_tokens: maxTokens,
  top_logprobs: topLogprobs,
  include: boundedArray(include, 0, MAX_INCLUDES).nullish(),
  max_tool_calls: unavailable("there are no built-in tools to call"),
  store: z.boolean().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: unavailable("events are not padded", [false]) }).nullish(),
  service_tier: serviceTier,
  metadata,
  background: z.boolean().nullish(),
  prompt: unavailable("there are no prompt templates; send instructions and input"),
  context_management: unavailable("nothing is compacted"),
  moderation: unavailable("nothing is moderated here"),
});

/** For whoever compares documents with what there is. */
export const responseParameters = Object.keys(schema.shape);

export type PromptBody = z.infer<typeof promptSchema>;
export type ResponseBody = z.infer<typeof schema>;

/** @throws MoesaicError as `readBody` */
export function readResponseBody(body: unknown): ResponseBody {
  return readBody(schema, body);
}

/** @throws MoesaicError as `readBody` */
export function readPromptBody(body: unknown): PromptBody {
  return readBody(promptSchema, body);
}

export function wantsLogprobs({ include, top_logprobs: numTop }: ResponseBody): boolean {
  return numTop != null || include?.includes("message.output_text.logprobs") === true;
}

export function wantsSummary({ reasoning }: PromptBody): boolean {
  return reasoning?.summary != null || reasoning?.generate_summary != null;
}

/**
 * @param items the whole conversation, earlier responses included
 * @throws MoesaicError as `offeredTools`
 */
export function responseRequest(
  body: ResponseBody,
  items: readonly ConversationItem[],
  requestId: string,
): GenerateRequest {
  return v1.GenerateRequest.create({
    request_id: requestId,
    model: body.model ?? "",
    chat: chatOf(body, items),
    sampling: samplingOf(body, {
      maxTokens: body.max_output_tokens ?? null,
      logprobs: wantsLogprobs(body) ? (body.top_logprobs ?? 0) : null,
    }),
    priority: priorityOf(body.service_tier),
    constraint: outputFormOf(body.text?.format).constraint,
  });
}

/** Instructions hold for one response: those of earlier ones are not part of the conversation. */
export function chatOf(body: PromptBody, items: readonly ConversationItem[]): v1.ChatInput.$Properties {
  const { tools, choice } = offeredTools(body.tools ?? [], body.tool_choice);
  const instructions = body.instructions ? [{ role: "developer", content: body.instructions }] : [];
  return {
    messages: [...instructions, ...chatMessages(items)],
    tools,
    tool_choice: choice,
    response_format: outputFormOf(body.text?.format).responseFormat,
    reasoning_effort: body.reasoning?.effort ?? "",
  };
}
