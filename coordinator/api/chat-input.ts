import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import { isDeeperThan } from "./json-depth.js";
import type { ChatMessage, PromptOptions, ToolDefinition } from "./text/chat-message.js";

const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;
const EFFORTS = ["low", "medium", "high"] as const;
const TOOL_MODES = ["auto", "none", "required"] as const;
const MAX_MESSAGES = 4096;
const MAX_TOOLS = 256;
/** Schemas are rendered by recursion. */
const MAX_SCHEMA_DEPTH = 64;

export interface ParsedChat {
  messages: ChatMessage[];
  tools: ToolDefinition[];
  options: PromptOptions;
  toolChoice: ToolChoice;
}

/** `name`: with required, the one tool that is to be called. */
export interface ToolChoice {
  mode: (typeof TOOL_MODES)[number];
  name?: string;
}

/**
 * A conversation off the wire, checked.
 * @param maxTextLength most characters of all texts together
 * @throws MoesaicError invalid_argument with the message or tool as its place
 */
export function parseChatInput(chat: v1.ChatInput.$Properties, maxTextLength: number): ParsedChat {
  const messages = chat.messages ?? [];
  const tools = chat.tools ?? [];
  if (messages.length === 0) throw invalid("messages", "expected at least one message");
  if (messages.length > MAX_MESSAGES) throw invalid("messages", `at most ${MAX_MESSAGES}, got ${messages.length}`);
  if (tools.length > MAX_TOOLS) throw invalid("tools", `at most ${MAX_TOOLS}, got ${tools.length}`);
  checkTextLength(chat, maxTextLength);
  return {
    messages: messages.map(parseMessage),
    tools: tools.map(parseTool),
    options: parseOptions(chat),
    toolChoice: parseToolChoice(chat.tool_choice, tools),
  };
}

function parseToolChoice(
  choice: v1.ToolChoice.$Properties | null | undefined,
  tools: v1.Tool.$Properties[],
): ToolChoice {
  const wanted = choice?.mode || "auto";
  const mode = TOOL_MODES.find((known) => known === wanted);
  if (mode === undefined) {
    throw invalid("tool_choice.mode", `expected one of ${TOOL_MODES.join(", ")}, got "${wanted}"`);
  }
  if (mode === "required" && tools.length === 0)
    throw invalid("tool_choice", "a call is required, and there are no tools");
  if (!choice?.name) return { mode };
  if (mode !== "required") throw invalid("tool_choice.name", `expected none with ${mode}, got "${choice.name}"`);
  if (tools.some(({ name }) => name === choice.name)) return { mode, name: choice.name };
  throw invalid("tool_choice.name", `expected the name of one of the tools, got "${choice.name}"`);
}

function parseMessage(message: v1.ChatMessage.$Properties, index: number): ChatMessage {
  const role = ROLES.find((known) => known === message.role);
  if (role === undefined) {
    throw invalid(`messages[${index}].role`, `expected one of ${ROLES.join(", ")}, got "${message.role ?? ""}"`);
  }
  const parsed: ChatMessage = { role, content: message.content ?? "" };
  if (message.name) parsed.name = message.name;
  if (message.reasoning) parsed.reasoning = message.reasoning;
  if (message.tool_call_id) parsed.toolCallId = message.tool_call_id;
  const calls = message.tool_calls ?? [];
  if (calls.length > 0) {
    parsed.toolCalls = calls.map((call) => ({
      id: call.id ?? "",
      name: call.name ?? "",
      arguments: call.arguments ?? "",
    }));
  }
  return parsed;
}

function parseTool(tool: v1.Tool.$Properties, index: number): ToolDefinition {
  if (!tool.name) throw invalid(`tools[${index}].name`, "expected a name");
  const parsed: ToolDefinition = { name: tool.name };
  if (tool.description) parsed.description = tool.description;
  if (tool.parameters_json) parsed.parameters = parseSchema(tool.parameters_json, `tools[${index}].parameters_json`);
  if (tool.strict) parsed.strict = true;
  return parsed;
}

function parseResponseFormat(format: v1.ResponseFormat.$Properties): NonNullable<PromptOptions["responseFormat"]> {
  if (!format.name) throw invalid("response_format.name", "expected a name");
  return { name: format.name, schema: parseSchema(format.schema_json ?? "", "response_format.schema_json") };
}

function parseSchema(text: string, place: string): Record<string, unknown> {
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (cause) {
    throw new MoesaicError("invalid_argument", `not JSON: ${(cause as Error).message}`, { place, cause });
  }
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
    throw invalid(place, "expected a JSON schema, an object");
  }
  if (isDeeperThan(schema, MAX_SCHEMA_DEPTH)) throw invalid(place, `nested deeper than ${MAX_SCHEMA_DEPTH} levels`);
  return schema as Record<string, unknown>;
}

function parseOptions(chat: v1.ChatInput.$Properties): PromptOptions {
  const effort = chat.reasoning_effort || "medium";
  const reasoningEffort = EFFORTS.find((known) => known === effort);
  if (reasoningEffort === undefined) {
    throw invalid("reasoning_effort", `expected one of ${EFFORTS.join(", ")}, got "${effort}"`);
  }
  const options: PromptOptions = { reasoningEffort };
  if (chat.current_date) options.currentDate = checkDate(chat.current_date);
  if (chat.model_identity) options.modelIdentity = chat.model_identity;
  if (chat.knowledge_cutoff) options.knowledgeCutoff = chat.knowledge_cutoff;
  if (chat.response_format) options.responseFormat = parseResponseFormat(chat.response_format);
  return options;
}

function checkDate(date: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(date)) return date;
  throw invalid("current_date", `expected YYYY-MM-DD, got "${date}"`);
}

function checkTextLength(chat: v1.ChatInput.$Properties, maxTextLength: number): void {
  const { messages, tools } = chat;
  const inMessages = (messages ?? []).reduce(
    (sum, message) => sum + lengthOf(message.content) + lengthOf(message.reasoning) + lengthOfCalls(message),
    0,
  );
  const inTools = (tools ?? []).reduce(
    (sum, tool) => sum + lengthOf(tool.description) + lengthOf(tool.parameters_json),
    0,
  );
  const total = inMessages + inTools + lengthOf(chat.response_format?.schema_json);
  if (total <= maxTextLength) return;
  throw invalid("chat", `at most ${maxTextLength} characters, got ${total}`);
}

function lengthOfCalls({ tool_calls }: v1.ChatMessage.$Properties): number {
  return (tool_calls ?? []).reduce((sum, call) => sum + lengthOf(call.name) + lengthOf(call.arguments), 0);
}

function lengthOf(text: string | null | undefined): number {
  return text?.length ?? 0;
}

function invalid(place: string, message: string): MoesaicError {
  return new MoesaicError("invalid_argument", message, { place });
}
