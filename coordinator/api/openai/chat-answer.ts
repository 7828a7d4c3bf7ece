import { v1 } from "../../../proto/messages.js";
import type { GenerateEvent } from "./generate-events.js";
import { chatLogprob, type ChatLogprob } from "./logprobs.js";
import { UsageCount } from "./usage.js";

const { REASONING, CONTENT, TOOL_CALL } = v1.TextDelta.Kind;
type TextDelta = v1.TextDelta.$Properties;

/** What every object of one answer says. */
export interface AnswerHead {
  id: string;
  /** Seconds since 1970. */
  created: number;
  model: string;
  serviceTier: string;
  fingerprint: string;
  /** Told what was thought before each call. */
  onCall(callId: string, reasoning: string): void;
}

interface CallDelta {
  index: number;
  id?: string;
  type?: "function";
  function: { name?: string; arguments: string };
}

/** What one event of a choice adds to its message. */
interface ChatDelta {
  content?: string;
  reasoning?: string;
  calls?: CallDelta[];
  logprobs?: ChatLogprob[];
}

/** Reads the events of one choice as parts of a chat message. */
class ChatReader {
  readonly #head: AnswerHead;
  readonly #choiceIndex: number;
  readonly #lastMessageIndex = new Map<v1.TextDelta.Kind, number>();
  #reasoning = "";
  #numCalls = 0;

  constructor(head: AnswerHead, choiceIndex: number) {
    this.#head = head;
    this.#choiceIndex = choiceIndex;
  }

  /** @returns what is to be shown; empty while a character or a header is not whole */
  read({ text, logprobs }: v1.Delta.$Properties): ChatDelta {
    const delta: ChatDelta = {};
    for (const part of text ?? []) this.#take(part, delta);
    const content = (logprobs ?? []).filter(({ kind }) => kind === CONTENT);
    if (content.length > 0) delta.logprobs = content.map(chatLogprob);
    return delta;
  }

  #take(part: TextDelta, delta: ChatDelta): void {
    if (part.kind === TOOL_CALL) (delta.calls ??= []).push(this.#callDelta(part));
    else if (part.kind === REASONING) delta.reasoning = (delta.reasoning ?? "") + this.#thought(part);
    else delta.content = (delta.content ?? "") + this.#joined(part);
  }

  #thought(part: TextDelta): string {
    const text = this.#joined(part);
    this.#reasoning += text;
    return text;
  }

  /** Chat completions have one text of a kind; messages of it are joined by a line break. */
  #joined({ kind, text, message_index: messageIndex }: TextDelta): string {
    const last = this.#lastMessageIndex.get(kind!);
    this.#lastMessageIndex.set(kind!, messageIndex ?? 0);
    return last === undefined || last === (messageIndex ?? 0) ? text! : `\n${text}`;
  }

  #callDelta({ tool_call_index: toolCallIndex, tool_name: name, text }: TextDelta): CallDelta {
    const index = toolCallIndex ?? 0;
    const isFirst = index >= this.#numCalls;
    if (!isFirst) return { index, function: { arguments: text ?? "" } };
    this.#numCalls = index + 1;
    const id = `call_${this.#head.id.slice(this.#head.id.indexOf("-") + 1)}_${this.#choiceIndex}_${index}`;
    this.#head.onCall(id, this.#reasoning);
    return { index, id, type: "function", function: { name: name ?? "", arguments: text ?? "" } };
  }
}

/** Chat completion events, as they are streamed. */
export class ChatChunks {
  readonly #head: AnswerHead;
  readonly #includesUsage: boolean;
  readonly #readers: ChatReader[] = [];
  readonly #usage = new UsageCount();

  constructor(head: AnswerHead, includesUsage: boolean) {
    this.#head = head;
    this.#includesUsage = includesUsage;
  }

  chunksOf({ choice, started, delta, finish }: GenerateEvent): object[] {
    const index = choice ?? 0;
    if (started) return [this.#chunk(index, { role: "assistant", content: "", refusal: null }, null)];
    if (delta) return this.#deltaChunks(index, delta);
    this.#usage.add(finish?.usage, index === 0);
    return [this.#chunk(index, {}, finish?.reason ?? "stop")];
  }

  lastChunks(): object[] {
    if (!this.#includesUsage) return [];
    return [{ ...this.#envelope(), choices: [], usage: this.#usage.completionUsage() }];
  }

  #deltaChunks(index: number, delta: v1.Delta.$Properties): object[] {
    const reader = (this.#readers[index] ??= new ChatReader(this.#head, index));
    const { content, reasoning, calls, logprobs } = reader.read(delta);
    if (content === undefined && reasoning === undefined && calls === undefined && logprobs === undefined) return [];
    const shown = {
      ...(content === undefined ? {} : { content }),
      ...reasoningFields(reasoning),
      ...(calls === undefined ? {} : { tool_calls: calls }),
    };
    return [this.#chunk(index, shown, null, logprobs)];
  }

  #chunk(index: number, delta: object, finishReason: string | null, logprobs?: ChatLogprob[]): object {
    const shown = logprobs === undefined ? null : { content: logprobs, refusal: null };
    const choice = { index, delta, logprobs: shown, finish_reason: finishReason };
    return { ...this.#envelope(), choices: [choice], ...(this.#includesUsage ? { usage: null } : {}) };
  }

  #envelope(): object {
    return { ...headFields(this.#head), object: "chat.completion.chunk" };
  }
}

/** A chat completion, as it is answered at once. */
export class ChatCompletion {
  readonly #head: AnswerHead;
  readonly #wantsLogprobs: boolean;
  readonly #choices: CollectedChoice[] = [];
  readonly #usage = new UsageCount();

  constructor(head: AnswerHead, wantsLogprobs: boolean) {
    this.#head = head;
    this.#wantsLogprobs = wantsLogprobs;
  }

  take({ choice, delta, finish }: GenerateEvent): void {
    const index = choice ?? 0;
    const collected = (this.#choices[index] ??= new CollectedChoice(this.#head, index));
    if (delta) collected.append(delta);
    if (!finish) return;
    collected.finishReason = finish.reason ?? "stop";
    this.#usage.add(finish.usage, index === 0);
  }

  whole(): object {
    const choices = this.#choices.map((choice, index) => choice.shown(index, this.#wantsLogprobs));
    return { ...headFields(this.#head), object: "chat.completion", choices, usage: this.#usage.completionUsage() };
  }
}

class CollectedChoice {
  finishReason = "stop";
  readonly #reader: ChatReader;
  readonly #calls: { id: string; type: "function"; function: { name: string; arguments: string } }[] = [];
  readonly #logprobs: ChatLogprob[] = [];
  #content = "";
  #reasoning = "";

  constructor(head: AnswerHead, index: number) {
    this.#reader = new ChatReader(head, index);
  }

  append(delta: v1.Delta.$Properties): void {
    const { content, reasoning, calls, logprobs } = this.#reader.read(delta);
    this.#content += content ?? "";
    this.#reasoning += reasoning ?? "";
    for (const call of calls ?? []) this.#appendCall(call);
    for (const entry of logprobs ?? []) this.#logprobs.push(entry);
  }

  #appendCall({ index, id, function: { name, arguments: text } }: CallDelta): void {
    const call = (this.#calls[index] ??= { id: id!, type: "function", function: { name: name!, arguments: "" } });
    call.function.arguments += text;
  }

  shown(index: number, wantsLogprobs: boolean): object {
    const hasCalls = this.#calls.length > 0;
    const message = {
      role: "assistant",
      content: hasCalls && this.#content === "" ? null : this.#content,
      refusal: null,
      ...reasoningFields(this.#reasoning),
      ...(hasCalls ? { tool_calls: this.#calls } : {}),
    };
    const logprobs = wantsLogprobs ? { content: this.#logprobs, refusal: null } : null;
    return { index, message, logprobs, finish_reason: this.finishReason };
  }
}

/** Clients look for reasoning under one of two names. */
function reasoningFields(text: string | undefined): object {
  return text === undefined || text === "" ? {} : { reasoning_content: text, reasoning: text };
}

function headFields({ id, created, model, serviceTier, fingerprint }: AnswerHead): object {
  return { id, created, model, service_tier: serviceTier, system_fingerprint: fingerprint };
}
