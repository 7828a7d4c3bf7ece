import type { v1 } from "../../../proto/messages.js";
import type { AnswerHead } from "./chat-answer.js";
import type { GenerateEvent } from "./generate-events.js";
import { joinedLogprobs, textLogprobs, type TextLogprobs } from "./logprobs.js";
import { UsageCount } from "./usage.js";

export interface CompletionShape {
  /** Texts of the prompts, shown before each choice; null when they are not to be. */
  echoes: string[] | null;
  /** Choices of each prompt. */
  numChoices: number;
  wantsLogprobs: boolean;
}

/** What one event adds to a choice. */
interface CompletionDelta {
  index: number;
  text: string;
  logprobs: TextLogprobs | null;
  finishReason: string | null;
}

/** Reads the events of a text completion's prompts: choice c of prompt p is choice p * n + c of the answer. */
class CompletionReader {
  readonly usage = new UsageCount();
  readonly #shape: CompletionShape;
  readonly #lengths: number[] = [];

  constructor(shape: CompletionShape) {
    this.#shape = shape;
  }

  /** @returns null for an event that shows nothing */
  read(promptIndex: number, { choice, started, delta, finish }: GenerateEvent): CompletionDelta | null {
    const index = promptIndex * this.#shape.numChoices + (choice ?? 0);
    if (started) return this.#delta(index, this.#shape.echoes?.[promptIndex] ?? "", []);
    if (delta)
      return this.#delta(index, (delta.text ?? []).map(({ text }) => text ?? "").join(""), delta.logprobs ?? []);
    this.usage.add(finish?.usage, (choice ?? 0) === 0);
    return { index, text: "", logprobs: null, finishReason: finish?.reason ?? "stop" };
  }

  #delta(index: number, text: string, entries: v1.TokenLogprob.$Properties[]): CompletionDelta | null {
    const offset = this.#lengths[index] ?? 0;
    this.#lengths[index] = offset + text.length;
    // The token that ended the text is no part of it.
    const shown = entries.filter(({ kind }) => kind != null);
    if (text === "" && shown.length === 0) return null;
    const logprobs = this.#shape.wantsLogprobs ? textLogprobs(shown, offset) : null;
    return { index, text, logprobs, finishReason: null };
  }
}

/** Text completion events, as they are streamed. */
export class CompletionChunks {
  readonly #head: AnswerHead;
  readonly #includesUsage: boolean;
  readonly #reader: CompletionReader;

  constructor(head: AnswerHead, shape: CompletionShape, includesUsage: boolean) {
    this.#head = head;
    this.#includesUsage = includesUsage;
    this.#reader = new CompletionReader(shape);
  }

  chunksOf(promptIndex: number, event: GenerateEvent): object[] {
    const delta = this.#reader.read(promptIndex, event);
    if (delta === null) return [];
    const { index, text, logprobs, finishReason } = delta;
    const choice = { index, text, logprobs, finish_reason: finishReason };
    return [{ ...headFields(this.#head), choices: [choice], ...(this.#includesUsage ? { usage: null } : {}) }];
  }

  lastChunks(): object[] {
    if (!this.#includesUsage) return [];
    return [{ ...headFields(this.#head), choices: [], usage: this.#reader.usage.completionUsage() }];
  }
}

/** A text completion, as it is answered at once. */
export class TextCompletion {
  readonly #head: AnswerHead;
  readonly #shape: CompletionShape;
  readonly #reader: CompletionReader;
  readonly #choices: { text: string; logprobs: TextLogprobs[]; finishReason: string }[] = [];

  constructor(head: AnswerHead, shape: CompletionShape) {
    this.#head = head;
    this.#shape = shape;
    this.#reader = new CompletionReader(shape);
  }

  take(promptIndex: number, event: GenerateEvent): void {
    const delta = this.#reader.read(promptIndex, event);
    if (delta === null) return;
    const choice = (this.#choices[delta.index] ??= { text: "", logprobs: [], finishReason: "stop" });
    choice.text += delta.text;
    if (delta.logprobs !== null) choice.logprobs.push(delta.logprobs);
    if (delta.finishReason !== null) choice.finishReason = delta.finishReason;
  }

  whole(): object {
    const choices = this.#choices.map(({ text, logprobs, finishReason }, index) => ({
      index,
      text,
      logprobs: this.#shape.wantsLogprobs ? joinedLogprobs(logprobs) : null,
      finish_reason: finishReason,
    }));
    return { ...headFields(this.#head), choices, usage: this.#reader.usage.completionUsage() };
  }
}

function headFields({ id, created, model, fingerprint }: AnswerHead): object {
  return { id, object: "text_completion", created, model, system_fingerprint: fingerprint };
}
