import type { MoesaicError } from "../../../proto/errors.js";
import { v1 } from "../../../proto/messages.js";
import type { ConversationItem } from "./conversation-item.js";
import type { GenerateEvent } from "./generate-events.js";
import { nowSeconds, objectId } from "./object-id.js";
import { openOutputItem, type ItemEvent, type OutputItem } from "./output-item.js";
import { UsageCount } from "./usage.js";

export type ResponseStatus = "queued" | "in_progress" | "completed" | "incomplete" | "failed" | "cancelled";

/** An event of the stream of a response; `sequence_number` rises by one from 0. */
export interface ResponseEvent {
  type: string;
  sequence_number: number;
}

/** What a response repeats of its request, and its id. */
export interface ResponseHead {
  id: string;
  [field: string]: unknown;
}

export interface ResponseRunOptions {
  head: ResponseHead;
  wantsSummary: boolean;
  wantsLogprobs: boolean;
}

/** A response that comes into being: reads the events of its one choice, tells the events of its stream. */
export class ResponseRun {
  readonly #options: ResponseRunOptions;
  readonly #usage = new UsageCount();
  readonly #items: OutputItem[] = [];
  #open: OutputItem | null = null;
  #status: ResponseStatus = "in_progress";
  #error: MoesaicError | null = null;
  #completedAt: number | null = null;
  #heldLogprobs: v1.TokenLogprob.$Properties[] = [];
  #numEvents = 0;

  constructor(options: ResponseRunOptions) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.head.id;
  }

  get status(): ResponseStatus {
    return this.#status;
  }

  /** Whether it may still get on. */
  get isLive(): boolean {
    return this.#status === "in_progress" || this.#status === "queued";
  }

  /** Whether its first events have been told. */
  get hasBegun(): boolean {
    return this.#numEvents > 0;
  }

  /** The response as it is now. */
  response(): object {
    const hasUsage = !this.isLive && this.#status !== "failed";
    return {
      ...this.#options.head,
      status: this.#status,
      completed_at: this.#completedAt,
      error: this.#error === null ? null : { code: errorCodeOf(this.#error), message: this.#error.message },
      incomplete_details: this.#status === "incomplete" ? { reason: "max_output_tokens" } : null,
      output: this.#items.map((item) => item.shown()),
      usage: hasUsage ? this.#usage.responseUsage() : null,
    };
  }

  /** What the next response of the conversation goes on from. */
  outputItems(): ConversationItem[] {
    return this.#items.map((item) => item.kept());
  }

  /** It waits to be run: its first events. */
  queue(): ResponseEvent[] {
    this.#status = "queued";
    return [this.#stateEvent("response.created"), this.#stateEvent("response.queued")];
  }

  /** @param endedAt seconds since 1970, should it be the last event */
  take({ started, delta, finish }: GenerateEvent, endedAt = nowSeconds()): ResponseEvent[] {
    if (started) return this.#begin();
    if (delta) return this.#takeDelta(delta);
    this.#usage.add(finish?.usage, true);
    if (this.isLive && finish?.reason !== "length") this.#completedAt = endedAt;
    return this.#end(finish?.reason === "length" ? "incomplete" : "completed");
  }

  #begin(): ResponseEvent[] {
    if (!this.isLive) return [];
    this.#status = "in_progress";
    const first = this.hasBegun ? [] : [this.#stateEvent("response.created")];
    return [...first, this.#stateEvent("response.in_progress")];
  }

  /** The response ends with an error, that of its choice or another. */
  fail(error: MoesaicError): ResponseEvent[] {
    this.#error = error;
    return this.#end("failed");
  }

  /** Somebody wants no more of it. There is no event of that name: it ends as one that is not complete. */
  cancel(): ResponseEvent[] {
    return this.#end("cancelled");
  }

  #takeDelta({ text, logprobs }: v1.Delta.$Properties): ResponseEvent[] {
    if (this.#status !== "in_progress") return [];
    if (this.#options.wantsLogprobs) {
      this.#heldLogprobs.push(...(logprobs ?? []).filter(({ kind }) => kind === v1.TextDelta.Kind.CONTENT));
    }
    return (text ?? []).flatMap((part) => this.#takeText(part));
  }

  #takeText(part: v1.TextDelta.$Properties): ResponseEvent[] {
    const events: ResponseEvent[] = [];
    if (this.#open === null || !this.#open.takes(part)) {
      events.push(...this.#close("completed"));
      this.#open = openOutputItem(part, `${this.#digits}_${this.#items.length}`, this.#options.wantsSummary);
      this.#items.push(this.#open);
      events.push(...this.#numbered(this.#open.begin()));
    }
    const logprobs = part.kind === v1.TextDelta.Kind.CONTENT ? this.#heldLogprobs.splice(0) : [];
    return [...events, ...this.#numbered(this.#open.append(part.text ?? "", logprobs))];
  }

  get #digits(): string {
    return this.id.slice("resp_".length);
  }

  #close(status: "completed" | "incomplete"): ResponseEvent[] {
    const item = this.#open;
    this.#open = null;
    return item === null ? [] : this.#numbered(item.end(status));
  }

  #end(status: ResponseStatus): ResponseEvent[] {
    if (!this.isLive) return [];
    const events = this.#close(status === "completed" ? "completed" : "incomplete");
    this.#status = status;
    return [...events, this.#stateEvent(`response.${status === "cancelled" ? "incomplete" : status}`)];
  }

  #stateEvent(type: string): ResponseEvent {
    return this.#number({ type, response: this.response() });
  }

  #numbered(events: ItemEvent[]): ResponseEvent[] {
    const outputIndex = this.#items.length - 1;
    return events.map((event) => this.#number({ ...event, output_index: outputIndex }));
  }

  #number(event: ItemEvent): ResponseEvent {
    const sequenceNumber = this.#numEvents;
    this.#numEvents += 1;
    return { ...event, sequence_number: sequenceNumber };
  }
}

export function newResponseId(): string {
  return objectId("resp_");
}

/** The two of OpenAI's codes that are about the server. */
function errorCodeOf({ code }: MoesaicError): string {
  return code === "resource_exhausted" ? "rate_limit_exceeded" : "server_error";
}
