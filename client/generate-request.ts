import { MoesaicError } from "../proto/errors.js";
import type { v1 } from "../proto/messages.js";

/**
 * What to generate: one of `prompt` (text, tokenized as it is), `tokenIds` or `messages`, and how. What is absent has the
 * server's default. Values are checked by the server; only what the wire cannot carry is refused here.
 */
export type GenerateRequest = (PromptInput | TokenIdsInput | ChatInput) & {
  /**
   * The client's name for the request, at most 128 characters; made by the server when absent. With `resumable` the request is found
   * again by it; else it is a label in events, logs and traces, and two requests may have the same.
   */
  requestId?: string;
  /** Served model name; absent means the only one. */
  model?: string;
  sampling?: SamplingParams;
  /** Lower runs earlier. Default 0. */
  priority?: number;
  /** What the output must be: all of it, or the answer of a Harmony chat. Absent: anything. */
  constraint?: OutputConstraint;
  /**
   * Whether the server keeps the events, so that the client reads on by itself where a stream was cut. Sent twice with one `requestId`
   * it is generated once; where none is given the client draws one. Default false: a cut stream ends the request.
   */
  resumable?: boolean;
  /**
   * An event for each token, also where several wait for a slow reader: the same tokens then are the same events, with the same offsets.
   * Default false.
   */
  eventPerToken?: boolean;
  /** Events of the type `prefill` while a long prompt is computed; not with `eventPerToken`. Default false. */
  prefillProgress?: boolean;
};

/** A JSON schema, a regular expression in JavaScript's syntax that matches all of the output, or one of some texts. */
export type OutputConstraint =
  { jsonSchema: Readonly<Record<string, unknown>> } | { regex: string } | { choice: readonly string[] };

export interface PromptInput {
  prompt: string;
}

export interface TokenIdsInput {
  tokenIds: readonly number[];
}

/** A conversation; the model's chat template makes the prompt of it. */
export interface ChatInput {
  messages: readonly ChatMessage[];
  tools?: readonly Tool[];
  /** Default medium. */
  reasoningEffort?: "low" | "medium" | "high";
  /** YYYY-MM-DD shown to the model; absent means today (UTC). */
  currentDate?: string;
  modelIdentity?: string;
  knowledgeCutoff?: string;
  /**
   * Default auto. none: the model answers; required: it calls one of the tools, or the one that is named, with arguments
   * of its schema. Other than auto for models with Harmony only.
   */
  toolChoice?: "auto" | "none" | "required" | { name: string };
  /** Form of the answer that the model is told of; `constraint` enforces one. */
  responseFormat?: { name: string; schema: Record<string, unknown> };
}

export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content: string;
  /** Author of a tool message. */
  name?: string;
  /** What an assistant thought before it answered. */
  reasoning?: string;
  toolCalls?: readonly ToolCall[];
  /** The call that a tool message answers. */
  toolCallId?: string;
}

export interface ToolCall {
  id: string;
  name: string;
  /** JSON text, as the model wrote it. */
  arguments: string;
}

export interface Tool {
  name: string;
  description?: string;
  /** JSON schema of the arguments object. */
  parameters?: Readonly<Record<string, unknown>>;
  /** The arguments of a call are of the schema also where the model need not call. Default false. */
  strict?: boolean;
}

export interface SamplingParams {
  /** 0 to 2; 0 is greedy. Default 1. */
  temperature?: number;
  /** Over 0 to 1. Default 1. */
  topP?: number;
  /** 0 is off, the default. */
  topK?: number;
  /** 0 to 1. Default 0, off. */
  minP?: number;
  /** -2 to 2. Default 0. */
  presencePenalty?: number;
  /** -2 to 2. Default 0. */
  frequencyPenalty?: number;
  /** Over 0 to 10. Default 1. */
  repetitionPenalty?: number;
  /** At most 2^53 - 1. Default: random. */
  seed?: number;
  /** Default: what is left of the model's length. */
  maxTokens?: number;
  minTokens?: number;
  /** At most 16 strings of 1 to 256 characters; left out of the text. */
  stop?: readonly string[];
  /** Besides the model's own; at most 32. */
  stopTokenIds?: readonly number[];
  /** Do not stop at the model's own stop tokens. */
  ignoreEos?: boolean;
  /** 0: of the chosen token; n: and of the n best, at most 20. Absent: none. */
  logprobs?: number;
  /** By token id, -100 to 100. */
  logitBias?: Readonly<Record<number, number>>;
  /** Choices. Default 1, at most 16. */
  n?: number;
}

/** Text, or a conversation to be rendered. */
export type TokenizeRequest = ({ text: string } | ChatInput) & { model?: string };

/** @throws MoesaicError invalid_argument for a number that protobuf would cut off silently */
export function toGenerateMessage(request: GenerateRequest): v1.GenerateRequest.$Properties {
  return {
    request_id: request.requestId ?? "",
    model: request.model ?? "",
    ...inputOf(request),
    sampling: samplingOf(request.sampling ?? {}),
    priority: int32(request.priority ?? 0, "priority"),
    constraint: request.constraint === undefined ? null : constraintOf(request.constraint),
    resumable: request.resumable ?? false,
    event_per_token: request.eventPerToken ?? false,
    prefill_progress: request.prefillProgress ?? false,
  };
}

/** @throws MoesaicError invalid_argument as toGenerateMessage */
export function toTokenizeMessage(request: TokenizeRequest): v1.TokenizeRequest.$Properties {
  const model = request.model ?? "";
  return "text" in request ? { model, text: request.text } : { model, chat: toChatMessage(request) };
}

export function int32s(values: readonly number[], place: string): number[] {
  return values.map((value, index) => int32(value, `${place}[${index}]`));
}

function inputOf(request: GenerateRequest): Pick<v1.GenerateRequest.$Properties, "prompt" | "token_ids" | "chat"> {
  if ("prompt" in request) return { prompt: request.prompt };
  if ("tokenIds" in request) return { token_ids: { ids: int32s(request.tokenIds, "token_ids") } };
  return { chat: toChatMessage(request) };
}

function toChatMessage(chat: ChatInput): v1.ChatInput.$Properties {
  return {
    messages: chat.messages.map(messageOf),
    tools: (chat.tools ?? []).map(toolOf),
    reasoning_effort: chat.reasoningEffort ?? "",
    current_date: chat.currentDate ?? "",
    model_identity: chat.modelIdentity ?? "",
    knowledge_cutoff: chat.knowledgeCutoff ?? "",
    tool_choice: chat.toolChoice === undefined ? null : toolChoiceOf(chat.toolChoice),
    response_format: chat.responseFormat
      ? { name: chat.responseFormat.name, schema_json: JSON.stringify(chat.responseFormat.schema) }
      : null,
  };
}

function constraintOf(constraint: OutputConstraint): v1.OutputConstraint.$Properties {
  if ("jsonSchema" in constraint) return { json_schema: JSON.stringify(constraint.jsonSchema) };
  return "regex" in constraint ? { regex: constraint.regex } : { choice: { values: [...constraint.choice] } };
}

function toolChoiceOf(choice: NonNullable<ChatInput["toolChoice"]>): v1.ToolChoice.$Properties {
  return typeof choice === "string" ? { mode: choice } : { mode: "required", name: choice.name };
}

function messageOf(message: ChatMessage): v1.ChatMessage.$Properties {
  return {
    role: message.role,
    content: message.content,
    name: message.name ?? "",
    reasoning: message.reasoning ?? "",
    tool_calls: (message.toolCalls ?? []).map((call) => ({ id: call.id, name: call.name, arguments: call.arguments })),
    tool_call_id: message.toolCallId ?? "",
  };
}

function toolOf(tool: Tool): v1.Tool.$Properties {
  const parameters = tool.parameters === undefined ? "" : JSON.stringify(tool.parameters);
  return {
    name: tool.name,
    description: tool.description ?? "",
    parameters_json: parameters,
    strict: tool.strict ?? false,
  };
}

function samplingOf(params: SamplingParams): v1.SamplingParams.$Properties {
  const whole = (name: string, value: number | undefined) =>
    value === undefined ? undefined : int32(value, `sampling.${name}`);
  const message = {
    temperature: params.temperature,
    top_p: params.topP,
    top_k: whole("top_k", params.topK),
    min_p: params.minP,
    presence_penalty: params.presencePenalty,
    frequency_penalty: params.frequencyPenalty,
    repetition_penalty: params.repetitionPenalty,
    seed: params.seed === undefined ? undefined : uint64(params.seed, "sampling.seed"),
    max_tokens: whole("max_tokens", params.maxTokens),
    min_tokens: whole("min_tokens", params.minTokens),
    stop: params.stop === undefined ? undefined : [...params.stop],
    stop_token_ids:
      params.stopTokenIds === undefined ? undefined : int32s(params.stopTokenIds, "sampling.stop_token_ids"),
    ignore_eos: params.ignoreEos,
    logprobs: whole("logprobs", params.logprobs),
    logit_bias: params.logitBias,
    n: whole("n", params.n),
  };
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined));
}

function int32(value: number, place: string): number {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) return value;
  throw new MoesaicError("invalid_argument", `expected a whole number of 32 bits, got ${value}`, { place });
}

function uint64(value: number, place: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new MoesaicError("invalid_argument", `expected a whole number from 0 to 2^53 - 1, got ${value}`, { place });
}
