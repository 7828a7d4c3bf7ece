import { v1 } from "../../../proto/messages.js";
import type { ConversationItem } from "./conversation-item.js";
import { chatLogprob, type ChatLogprob } from "./logprobs.js";

const { REASONING, TOOL_CALL } = v1.TextDelta.Kind;

/** An event about an item; where the item stands in the output is added by who keeps the items. */
export interface ItemEvent {
  type: string;
  [field: string]: unknown;
}

type ItemStatus = "in_progress" | "completed" | "incomplete";

/** One item of a response's output while it grows: events at its begin, with every text, and at its end. */
export interface OutputItem {
  /** Whether a text goes on with this item. */
  takes(part: v1.TextDelta.$Properties): boolean;
  begin(): ItemEvent[];
  append(text: string, logprobs: v1.TokenLogprob.$Properties[]): ItemEvent[];
  end(status: ItemStatus): ItemEvent[];
  /** As the response shows it now. */
  shown(): object;
  /** As the conversation keeps it. */
  kept(): ConversationItem;
}

/**
 * @param part the first text of the item
 * @param digits of its ids: those of the response and its place there, so that they are the same when it is made again
 */
export function openOutputItem(part: v1.TextDelta.$Properties, digits: string, wantsSummary: boolean): OutputItem {
  if (part.kind === TOOL_CALL) return new CallItem(part, digits);
  if (part.kind !== REASONING) return new MessageItem(part, digits);
  return wantsSummary ? new SummaryItem(part, digits) : new ReasoningItem(part, digits);
}

/** What items have in common: the message that they are, its text so far, and their place in events. */
abstract class GrowingItem implements OutputItem {
  protected readonly id: string;
  protected text = "";
  protected status: ItemStatus = "in_progress";
  readonly #messageIndex: number;
  readonly #kind: v1.TextDelta.Kind;

  constructor(idPrefix: string, part: v1.TextDelta.$Properties, digits: string) {
    this.id = idPrefix + digits;
    this.#messageIndex = part.message_index ?? 0;
    this.#kind = part.kind ?? v1.TextDelta.Kind.RAW;
  }

  takes(part: v1.TextDelta.$Properties): boolean {
    return part.kind === this.#kind && (part.message_index ?? 0) === this.#messageIndex;
  }

  begin(): ItemEvent[] {
    return [{ type: "response.output_item.added", item: this.shown() }, ...this.beginPart()];
  }

  append(text: string, logprobs: v1.TokenLogprob.$Properties[]): ItemEvent[] {
    this.text += text;
    return text === "" && logprobs.length === 0 ? [] : [this.delta(text, logprobs)];
  }

  end(status: ItemStatus): ItemEvent[] {
    const done = this.endPart();
    this.status = status;
    return [...done, { type: "response.output_item.done", item: this.shown() }];
  }

  abstract shown(): object;
  abstract kept(): ConversationItem;
  protected abstract beginPart(): ItemEvent[];
  protected abstract delta(text: string, logprobs: v1.TokenLogprob.$Properties[]): ItemEvent;
  protected abstract endPart(): ItemEvent[];

  /** Parts exist from their begin on: an item that was added is still empty. */
  protected get isEmpty(): boolean {
    return this.text === "" && this.status === "in_progress";
  }
}

class MessageItem extends GrowingItem {
  readonly #isPreamble: boolean;
  readonly #logprobs: ChatLogprob[] = [];

  constructor(part: v1.TextDelta.$Properties, digits: string) {
    super("msg_", part, digits);
    this.#isPreamble = part.is_preamble === true;
  }

  shown(): object {
    const { id, status, isEmpty } = this;
    const phase = this.#isPreamble ? "commentary" : "final_answer";
    return { id, type: "message", role: "assistant", status, phase, content: isEmpty ? [] : [this.#part()] };
  }

  kept(): ConversationItem {
    return { type: "answer", id: this.id, text: this.text, isPreamble: this.#isPreamble };
  }

  protected beginPart(): ItemEvent[] {
    return [{ type: "response.content_part.added", ...this.#place(), part: this.#part() }];
  }

  protected delta(text: string, logprobs: v1.TokenLogprob.$Properties[]): ItemEvent {
    const entries = logprobs.map(chatLogprob);
    this.#logprobs.push(...entries);
    return { type: "response.output_text.delta", ...this.#place(), delta: text, logprobs: entries };
  }

  protected endPart(): ItemEvent[] {
    const { text } = this;
    return [
      { type: "response.output_text.done", ...this.#place(), text, logprobs: [...this.#logprobs] },
      { type: "response.content_part.done", ...this.#place(), part: this.#part() },
    ];
  }

  #part(): object {
    return { type: "output_text", text: this.text, annotations: [], logprobs: [...this.#logprobs] };
  }

  #place(): object {
    return { item_id: this.id, content_index: 0 };
  }
}

class ReasoningItem extends GrowingItem {
  constructor(part: v1.TextDelta.$Properties, digits: string) {
    super("rs_", part, digits);
  }

  shown(): object {
    const { id, status, isEmpty } = this;
    return { id, type: "reasoning", summary: [], content: isEmpty ? [] : [this.#part()], status };
  }

  kept(): ConversationItem {
    return { type: "reasoning", id: this.id, text: this.text };
  }

  protected beginPart(): ItemEvent[] {
    return [{ type: "response.content_part.added", ...this.#place(), part: this.#part() }];
  }

  protected delta(text: string): ItemEvent {
    return { type: "response.reasoning_text.delta", ...this.#place(), delta: text };
  }

  protected endPart(): ItemEvent[] {
    return [
      { type: "response.reasoning_text.done", ...this.#place(), text: this.text },
      { type: "response.content_part.done", ...this.#place(), part: this.#part() },
    ];
  }

  #part(): object {
    return { type: "reasoning_text", text: this.text };
  }

  #place(): object {
    return { item_id: this.id, content_index: 0 };
  }
}

/** Reasoning for clients that asked for its summary, which they show: it is the reasoning in full. */
class SummaryItem extends GrowingItem {
  constructor(part: v1.TextDelta.$Properties, digits: string) {
    super("rs_", part, digits);
  }

  shown(): object {
    const { id, status, isEmpty } = this;
    return { id, type: "reasoning", summary: isEmpty ? [] : [this.#part()], status };
  }

  kept(): ConversationItem {
    return { type: "reasoning", id: this.id, text: this.text };
  }

  protected beginPart(): ItemEvent[] {
    return [{ type: "response.reasoning_summary_part.added", ...this.#place(), part: this.#part() }];
  }

  protected delta(text: string): ItemEvent {
    return { type: "response.reasoning_summary_text.delta", ...this.#place(), delta: text };
  }

  protected endPart(): ItemEvent[] {
    return [
      { type: "response.reasoning_summary_text.done", ...this.#place(), text: this.text },
      { type: "response.reasoning_summary_part.done", ...this.#place(), part: this.#part() },
    ];
  }

  #part(): object {
    return { type: "summary_text", text: this.text };
  }

  #place(): object {
    return { item_id: this.id, summary_index: 0 };
  }
}

class CallItem extends GrowingItem {
  readonly #callId: string;
  readonly #name: string;

  constructor(part: v1.TextDelta.$Properties, digits: string) {
    super("fc_", part, digits);
    this.#callId = `call_${digits}`;
    this.#name = part.tool_name ?? "";
  }

  shown(): object {
    const { id, status, text } = this;
    return { id, type: "function_call", call_id: this.#callId, name: this.#name, arguments: text, status };
  }

  kept(): ConversationItem {
    return { type: "call", id: this.id, callId: this.#callId, name: this.#name, arguments: this.text };
  }

  protected beginPart(): ItemEvent[] {
    return [];
  }

  protected delta(text: string): ItemEvent {
    return { type: "response.function_call_arguments.delta", item_id: this.id, delta: text };
  }

  protected endPart(): ItemEvent[] {
    const { id, text } = this;
    return [{ type: "response.function_call_arguments.done", item_id: id, name: this.#name, arguments: text }];
  }
}
