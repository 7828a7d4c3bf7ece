import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import type { SequenceRunner } from "../engine-loop.js";
import type { SequenceOutput, SequenceTimings } from "../scheduler/sequence-output.js";
import type { FinishReason } from "../scheduler/sequence.js";
import type { CompiledGrammar } from "../grammar/compiled-grammar.js";
import type { ChoiceText } from "./choice-text.js";
import { EventQueue } from "./event-queue.js";
import type { CallLimits } from "./request-context.js";
import { rowSampling, type RequestSampling } from "./sampling-params.js";

type GenerateEvent = v1.GenerateEvent.$Properties;

/** A request after its checks: token ids, sampling, and how its choices become text. */
export interface PreparedRequest {
  requestId: string;
  model: string;
  promptTokenIds: number[];
  sampling: RequestSampling;
  priority: number;
  /** What the output must be; null: anything. */
  grammar: CompiledGrammar | null;
  textOf(choice: number): ChoiceText;
  /** Tokens that wait stay events of their own. */
  isPerToken: boolean;
  /** Whether it has events of how far its prompt is. */
  wantsPrefill: boolean;
  /** Empty where the model has no tokenizer. */
  tokenBytes(tokenId: number): Uint8Array;
}

/** What a request is told about: its first token and its end. */
export interface RequestObserver {
  firstToken(timeToFirstTokenMs: number): void;
  finished(finish: {
    reason: string;
    numPromptTokens: number;
    numOutputTokens: number;
    /** Request received to last token, milliseconds. */
    totalMs: number;
    /** null where no token came. */
    times: ChoiceTimes | null;
  }): void;
}

/** Received → first step with it → first token → last token, milliseconds of one monotonic clock. */
export interface ChoiceTimes {
  queueMs: number;
  prefillMs: number;
  decodeMs: number;
}

/** Runs one request: a sequence per choice, and the events of all of them in the order in which they happen. */
export class Generation {
  readonly #request: PreparedRequest;
  readonly #loop: SequenceRunner;
  readonly #observer: RequestObserver;
  readonly #clock: Clock;
  readonly #maxModelLen: number;
  readonly #events: EventQueue<ChoiceEvent>;
  readonly #receivedMs: number;
  #choices: Choice[] = [];
  #firstTokenMs: number | null = null;

  constructor(
    request: PreparedRequest,
    loop: SequenceRunner,
    observer: RequestObserver,
    clock: Clock,
    maxModelLen: number,
  ) {
    this.#request = request;
    this.#loop = loop;
    this.#observer = observer;
    this.#clock = clock;
    this.#maxModelLen = maxModelLen;
    this.#receivedMs = clock.nowMs();
    this.#events = request.isPerToken ? new EventQueue() : new EventQueue(joinEvents);
  }

  /** @param seqIds a fresh one per choice */
  async *run(seqIds: number[], context: CallLimits): AsyncIterable<GenerateEvent> {
    // A caller that left before now will not leave again.
    context.signal.throwIfAborted();
    context.signal.addEventListener("abort", () => this.#abort());
    this.#choices = seqIds.map((seqId, index) => new Choice(index, seqId, this.#request.textOf(index)));
    try {
      for (const choice of this.#choices) this.#submit(choice, context);
      const { model, promptTokenIds } = this.#request;
      for (const choice of this.#choices) {
        yield this.#numbered({ choice, started: { model, prompt_token_ids: promptTokenIds } });
      }
      for await (const event of this.#events) yield this.#numbered(event);
    } finally {
      this.#abort();
    }
  }

  #submit(choice: Choice, context: CallLimits): void {
    const { requestId, promptTokenIds, sampling, priority, grammar } = this.#request;
    const spec = {
      seqId: choice.seqId,
      requestId,
      promptTokenIds,
      sampling: rowSampling(sampling, choice.index, promptTokenIds.length, this.#maxModelLen),
      tenant: context.tenant,
      priority,
      deadlineMs: Number.isFinite(context.deadlineMs) ? context.deadlineMs : null,
      wantsLogits: false,
      ...(grammar === null ? {} : { masker: grammar.masker() }),
      endsByText: sampling.stopStrings.length > 0,
      wantsPrefill: this.#request.wantsPrefill,
    };
    this.#loop.submit(spec, (output) => this.#take(choice, output));
  }

  #abort(): void {
    for (const choice of this.#choices) if (!choice.isFinished) this.#loop.abort(choice.seqId);
  }

  /** Whatever goes wrong with the text of one choice ends that choice, and no loop. */
  #take(choice: Choice, output: SequenceOutput): void {
    if (choice.isFinished) return;
    try {
      this.#deliver(choice, output);
    } catch (caught) {
      this.#loop.abort(choice.seqId);
      this.#finish(choice, { ...output, error: MoesaicError.from(caught) }, "error", null);
    }
  }

  #deliver(choice: Choice, output: SequenceOutput): void {
    if (output.numPrefilled !== undefined) return this.#prefilled(choice, output.numPrefilled);
    if (output.tokenId !== undefined) this.#token(choice, output, output.tokenId);
    if (!choice.isFinished && output.finish !== undefined) this.#finish(choice, output, output.finish, null);
  }

  /** A prompt that is computed again, since ranks were lost, says nothing until it is further than before. */
  #prefilled(choice: Choice, numDone: number): void {
    if (numDone <= choice.numPrefilled) return;
    choice.numPrefilled = numDone;
    this.#events.push({
      choice,
      prefill: { num_done: numDone, num_prompt_tokens: this.#request.promptTokenIds.length },
    });
  }

  #token(choice: Choice, output: SequenceOutput, tokenId: number): void {
    this.#noteFirstToken();
    choice.timings ??= output.timings ?? null;
    choice.lastTokenId = tokenId;
    const { deltas, stopString, kind } = choice.text.push(tokenId);
    // The last text belongs to the last token's event, so that a client never waits for an event without a token.
    if (output.finish !== undefined && stopString === null) deltas.push(...choice.text.finish());
    const delta: v1.Delta.$Properties = { token_ids: [tokenId], text: deltas };
    if (this.#request.sampling.wantsLogprobs) delta.logprobs = [this.#logprob(output, tokenId, kind)];
    this.#events.push({ choice, delta });
    if (stopString === null) return;
    this.#loop.abort(choice.seqId, "stop");
    this.#finish(choice, output, "stop", stopString);
  }

  #logprob(output: SequenceOutput, tokenId: number, kind: v1.TextDelta.Kind | null): v1.TokenLogprob.$Properties {
    const request = this.#request;
    const top = (output.topLogprobs ?? []).map((entry) => {
      return { token_id: entry.tokenId, logprob: entry.logprob, token: request.tokenBytes(entry.tokenId) };
    });
    return { token_id: tokenId, logprob: output.logprob ?? NaN, top, token: request.tokenBytes(tokenId), kind };
  }

  #finish(choice: Choice, output: SequenceOutput, finishReason: FinishReason, stopString: string | null): void {
    choice.isFinished = true;
    const totalMs = this.#clock.nowMs() - this.#receivedMs;
    const reason = finishReason === "stop" && choice.text.hasToolCall ? "tool_calls" : finishReason;
    const finish: v1.Finish.$Properties = {
      reason,
      usage: {
        prompt_tokens: this.#request.promptTokenIds.length,
        completion_tokens: output.numOutputTokens,
        cached_tokens: output.numCachedTokens,
        reasoning_tokens: choice.text.numReasoningTokens,
      },
      timings: this.#timings(choice.timings ?? output.timings, totalMs),
    };
    if (stopString !== null) finish.stop_string = stopString;
    else if (finishReason === "stop") finish.stop_token_id = choice.lastTokenId;
    if (output.error !== undefined) finish.error = errorDetail(output.error);
    this.#observer.finished({
      reason,
      numPromptTokens: this.#request.promptTokenIds.length,
      numOutputTokens: output.numOutputTokens,
      totalMs,
      times: choice.times(this.#receivedMs, this.#receivedMs + totalMs),
    });
    this.#events.push({ choice, finish });
    if (this.#choices.every((other) => other.isFinished)) this.#events.close();
  }

  #noteFirstToken(): void {
    if (this.#firstTokenMs !== null) return;
    this.#firstTokenMs = this.#clock.nowMs();
    this.#observer.firstToken(this.#firstTokenMs - this.#receivedMs);
  }

  #timings(timings: SequenceTimings | undefined, totalMs: number): v1.Timings.$Properties {
    const firstTokenMs = this.#firstTokenMs === null ? totalMs : this.#firstTokenMs - this.#receivedMs;
    const scheduledMs = timings?.scheduledMs;
    return {
      queue_ms: scheduledMs == null ? firstTokenMs : scheduledMs - this.#receivedMs,
      time_to_first_token_ms: firstTokenMs,
      decode_ms: totalMs - firstTokenMs,
      total_ms: totalMs,
    };
  }

  /** An event gets its number when it leaves: until then it may take another one in. */
  #numbered({ choice, ...event }: ChoiceEvent): GenerateEvent {
    choice.offset += 1;
    return { request_id: this.#request.requestId, choice: choice.index, offset: choice.offset, ...event };
  }
}

/** What happened to a choice, before it has a number. */
interface ChoiceEvent extends Pick<GenerateEvent, "started" | "prefill" | "delta" | "finish"> {
  choice: Choice;
}

/** Tokens of one choice that wait become one event; not with logprobs, whose reader wants to know each token's text. */
function joinEvents(last: ChoiceEvent, next: ChoiceEvent): boolean {
  if (last.choice !== next.choice) return false;
  if (last.prefill && next.prefill) {
    last.prefill = next.prefill;
    return true;
  }
  const [into, from] = [last.delta, next.delta];
  if (!into || !from || from.logprobs) return false;
  into.token_ids!.push(...from.token_ids!);
  for (const text of from.text!) joinText(into.text!, text);
  return true;
}

/** What says where text belongs. */
const PLACE = ["kind", "message_index", "is_preamble", "tool_call_index"] as const;

/** Text goes on where it belongs to what the last one does. */
function joinText(texts: v1.TextDelta.$Properties[], next: v1.TextDelta.$Properties): void {
  const last = texts.at(-1);
  if (last !== undefined && PLACE.every((field) => last[field] === next[field])) last.text! += next.text!;
  else texts.push(next);
}

class Choice {
  offset = 0;
  isFinished = false;
  lastTokenId = -1;
  numPrefilled = 0;
  /** Of its first token. */
  timings: SequenceTimings | null = null;

  constructor(
    readonly index: number,
    readonly seqId: number,
    readonly text: ChoiceText,
  ) {}

  /** Both times on the clock of `nowMs`. @returns null while no token came */
  times(receivedMs: number, endedMs: number): ChoiceTimes | null {
    if (this.timings === null) return null;
    const { arrivalMs, scheduledMs, firstTokenMs } = this.timings;
    const beginMs = scheduledMs ?? arrivalMs;
    const tokenMs = firstTokenMs ?? endedMs;
    return { queueMs: beginMs - receivedMs, prefillMs: tokenMs - beginMs, decodeMs: Math.max(0, endedMs - tokenMs) };
  }
}

function errorDetail(error: MoesaicError): v1.ErrorDetail.$Properties {
  return { code: error.code, message: error.message, place: error.place ?? "" };
}
