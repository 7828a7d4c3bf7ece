import { z } from "zod";
import type { v1 } from "../../../proto/messages.js";
import { objectId } from "./object-id.js";
import { boundedArray, chosen } from "./request-body.js";
import { textContent } from "./text-content.js";

/** What a conversation of responses is made of. Items are never changed: conversations share them. */
export type ConversationItem =
  | { type: "message"; id: string; role: "user" | "system" | "developer"; text: string }
  | { type: "answer"; id: string; text: string; isPreamble: boolean }
  | { type: "reasoning"; id: string; text: string }
  | { type: "call"; id: string; callId: string; name: string; arguments: string }
  | { type: "result"; id: string; callId: string; text: string };

const MAX_ITEMS = 4096;
const MAX_PARTS = 1024;

const itemId = { id: z.string().nullish() };

const message = z
  .object({
    role: z.enum(["user", "system", "developer"], { error: "expected one of user, assistant, system, developer" }),
    content: textContent("input_text", "text"),
    ...itemId,
  })
  .transform(({ id, role, content }): ConversationItem => {
    return { type: "message", id: id || objectId("msg_"), role, text: content };
  });

const answer = z
  .object({
    content: textContent("output_text", "refusal", "input_text", "text"),
    phase: z.enum(["commentary", "final_answer"]).nullish(),
    ...itemId,
  })
  .transform(({ id, content, phase }): ConversationItem => {
    return { type: "answer", id: id || objectId("msg_"), text: content, isPreamble: phase === "commentary" };
  });

const texts = boundedArray(z.object({ text: z.string() }), 0, MAX_PARTS).nullish();

/** Where its content is missing, as that of other servers' items is, its summary has to do. */
const reasoning = z
  .object({ content: texts, summary: texts, ...itemId })
  .transform(({ id, content, summary }): ConversationItem => {
    const parts = (content?.length ? content : summary) ?? [];
    return { type: "reasoning", id: id || objectId("rs_"), text: parts.map(({ text }) => text).join("\n") };
  });

const call = z
  .object({ call_id: z.string(), name: z.string(), arguments: z.string(), ...itemId })
  .transform(({ id, call_id: callId, name, arguments: text }): ConversationItem => {
    return { type: "call", id: id || objectId("fc_"), callId, name, arguments: text };
  });

const result = z
  .object({ call_id: z.string(), output: textContent("input_text", "output_text", "text"), ...itemId })
  .transform(({ id, call_id: callId, output }): ConversationItem => {
    return { type: "result", id: id || objectId("fco_"), callId, text: output };
  });

const item = chosen<ConversationItem>((value) => {
  const { type, role } = (value ?? {}) as { type?: unknown; role?: unknown };
  if (type === undefined || type === "message") return role === "assistant" ? answer : message;
  if (type === "reasoning") return reasoning;
  if (type === "function_call") return call;
  if (type === "function_call_output") return result;
  const problem = "expected one of message, reasoning, function_call, function_call_output";
  return { problem, path: "type", isUnavailable: typeof type === "string" };
});

/** The input of a response: a text of the user's, or items. */
export const conversationInput = chosen<ConversationItem[]>((value) => {
  if (Array.isArray(value)) return boundedArray(item, 0, MAX_ITEMS);
  if (typeof value !== "string") return { problem: "expected a string or an array of items" };
  return z.string().transform((text) => [{ type: "message", id: objectId("msg_"), role: "user", text } as const]);
});

/** An item as `input_items` lists it. */
export function shownItem(from: ConversationItem): object {
  const { id } = from;
  const status = "completed";
  if (from.type === "message") {
    return { id, type: "message", role: from.role, status, content: [{ type: "input_text", text: from.text }] };
  }
  if (from.type === "answer") {
    const phase = from.isPreamble ? "commentary" : "final_answer";
    const content = [{ type: "output_text", text: from.text, annotations: [] }];
    return { id, type: "message", role: "assistant", status, phase, content };
  }
  if (from.type === "reasoning") {
    return { id, type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: from.text }], status };
  }
  if (from.type === "call") {
    return { id, type: "function_call", call_id: from.callId, name: from.name, arguments: from.arguments, status };
  }
  return { id, type: "function_call_output", call_id: from.callId, output: from.text, status };
}

/** Characters that an item holds. */
export function sizeOf(from: ConversationItem): number {
  if (from.type === "call") return from.arguments.length + from.name.length;
  return from.text.length;
}

/**
 * A conversation as the prompt renderer takes it: what an assistant thought, said on the way and called is one message
 * of its. The renderer keeps reasoning while a loop of calls is open and drops it after an answer.
 */
export function chatMessages(items: readonly ConversationItem[]): v1.ChatMessage.$Properties[] {
  const conversation = new ChatConversation();
  for (const each of items) conversation.add(each);
  return conversation.finish();
}

class ChatConversation {
  readonly #messages: v1.ChatMessage.$Properties[] = [];
  #reasoning = "";
  #said: string | null = null;
  #calls: v1.ToolCall.$Properties[] = [];

  add(from: ConversationItem): void {
    if (from.type === "reasoning") this.#think(from.text);
    else if (from.type === "answer") this.#say(from.text);
    else if (from.type === "call") this.#calls.push({ id: from.callId, name: from.name, arguments: from.arguments });
    else this.#addOther(from);
  }

  finish(): v1.ChatMessage.$Properties[] {
    this.#close();
    return this.#messages;
  }

  #addOther(from: ConversationItem & { type: "message" | "result" }): void {
    this.#close();
    if (from.type === "message") this.#messages.push({ role: from.role, content: from.text });
    else this.#messages.push({ role: "tool", content: from.text, tool_call_id: from.callId });
  }

  #think(text: string): void {
    if (this.#said !== null || this.#calls.length > 0) this.#close();
    this.#reasoning += (this.#reasoning === "" ? "" : "\n") + text;
  }

  #say(text: string): void {
    if (this.#calls.length > 0) this.#close();
    this.#said = this.#said === null ? text : `${this.#said}\n${text}`;
  }

  /** Reasoning alone, of an answer that was cut, is not an answer. */
  #close(): void {
    const isMessage = this.#said !== null || this.#calls.length > 0;
    if (isMessage) {
      const content = this.#said ?? "";
      this.#messages.push({ role: "assistant", content, reasoning: this.#reasoning, tool_calls: this.#calls });
    }
    this.#reasoning = "";
    this.#said = null;
    this.#calls = [];
  }
}
