import { MoesaicError } from "../proto/errors.js";
import type {
  FinishEvent,
  FinishReason,
  GenerateEvent,
  StartedEvent,
  TextDelta,
  Timings,
  TokenLogprob,
  Usage,
} from "./generate-event.js";
import type { ToolCall } from "./generate-request.js";

/** A whole request, collected. */
export interface Completion {
  requestId: string;
  model: string;
  promptTokenIds: number[];
  /** In the order of their number. */
  choices: CompletionChoice[];
}

export interface CompletionChoice {
  tokenIds: number[];
  /** Content of a chat, or the plain text of a prompt. */
  text: string;
  reasoning: string;
  toolCalls: ToolCall[];
  /** One per token when asked for, else empty. */
  logprobs: TokenLogprob[];
  finishReason: FinishReason;
  stopString: string | null;
  stopTokenId: number | null;
  usage: Usage;
  timings: Timings;
  /** With finish reason error or abort; some other choice went well. */
  error: MoesaicError | null;
}

/**
 * @throws MoesaicError what the events ended with; the error of the first choice when every choice failed; unavailable when
 * the events ended before every choice had finished
 */
export async function collectCompletion(events: AsyncIterable<GenerateEvent>): Promise<Completion> {
  let first: StartedEvent | null = null;
  const choices = new Map<number, CollectedChoice>();
  for await (const event of events) {
    if (event.type === "started") first ??= event;
    let choice = choices.get(event.choice);
    if (choice === undefined) choices.set(event.choice, (choice = new CollectedChoice()));
    choice.take(event);
  }
  if (first === null) throw new MoesaicError("unavailable", "the stream ended before the request had started");
  const inOrder = [...choices].toSorted(([a], [b]) => a - b).map(([, choice]) => choice.result());
  const failure = inOrder[0]?.error ?? null;
  if (failure !== null && inOrder.every(({ error }) => error !== null)) throw failure;
  return {
    requestId: first.requestId,
    model: first.model,
    promptTokenIds: first.promptTokenIds,
    choices: inOrder,
  };
}

class CollectedChoice {
  readonly #tokenIds: number[] = [];
  readonly #logprobs: TokenLogprob[] = [];
  readonly #toolCalls: ToolCall[] = [];
  #text = "";
  #reasoning = "";
  #finish: FinishEvent | null = null;

  take(event: GenerateEvent): void {
    if (event.type === "finish") this.#finish = event;
    if (event.type !== "delta") return;
    this.#tokenIds.push(...event.tokenIds);
    this.#logprobs.push(...event.logprobs);
    for (const delta of event.text) this.#append(delta);
  }

  result(): CompletionChoice {
    if (this.#finish === null)
      throw new MoesaicError("unavailable", "the stream ended before the request had finished");
    const { reason, stopString, stopTokenId, usage, timings, error } = this.#finish;
    return {
      tokenIds: this.#tokenIds,
      text: this.#text,
      reasoning: this.#reasoning,
      toolCalls: this.#toolCalls,
      logprobs: this.#logprobs,
      finishReason: reason,
      stopString,
      stopTokenId,
      usage,
      timings,
      error,
    };
  }

  #append(delta: TextDelta): void {
    if (delta.kind === "reasoning") this.#reasoning += delta.text;
    else if (delta.kind !== "tool_call") this.#text += delta.text;
    else {
      const call = (this.#toolCalls[delta.toolCallIndex] ??= {
        id: delta.toolCallId,
        name: delta.toolName,
        arguments: "",
      });
      call.arguments += delta.text;
    }
  }
}
