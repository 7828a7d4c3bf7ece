import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";

type GenerateEvent = v1.GenerateEvent.$Properties;

/** A request's result as it is kept: of each choice few events, and what a record's head says of them. */
export interface JobResult {
  events: GenerateEvent[];
  isFailed: boolean;
  numPromptTokens: number;
  numOutputTokens: number;
}

interface CollectedChoice {
  started: GenerateEvent;
  deltas: MergedDelta[];
  finish: v1.Finish.$Properties | null;
}

/** Gathers the events of one request into few: what came as hundreds of deltas is read back as one. */
export class ResultCollector {
  readonly #isPerToken: boolean;
  readonly #choices: CollectedChoice[] = [];

  /** @param isPerToken deltas are to be read back as they came */
  constructor(isPerToken = false) {
    this.#isPerToken = isPerToken;
  }

  take(event: GenerateEvent): void {
    const index = event.choice ?? 0;
    if (event.started) this.#choices[index] = { started: event, deltas: [], finish: null };
    else if (event.delta) this.#deltaOf(this.#choices[index]!.deltas).add(event.delta);
    else if (event.finish) this.#choices[index]!.finish = event.finish;
  }

  #deltaOf(deltas: MergedDelta[]): MergedDelta {
    if (deltas.length === 0 || this.#isPerToken) deltas.push(new MergedDelta());
    return deltas.at(-1)!;
  }

  /** The first error of a choice that may go away by itself: the result is not one yet. */
  get transientError(): MoesaicError | null {
    const error = this.#choices.map(({ finish }) => finish?.error).find((each) => each?.code === "unavailable");
    return error ? new MoesaicError("unavailable", error.message ?? "") : null;
  }

  /** @returns null when some choice has not finished */
  result(): JobResult | null {
    if (this.#choices.length === 0 || this.#choices.some(({ finish }) => finish === null)) return null;
    const finishes = this.#choices.map(({ finish }) => finish!);
    return {
      events: this.#choices.flatMap(({ started, deltas }, index) => eventsOf(started, deltas, finishes[index]!)),
      isFailed: finishes.some(({ error }) => error != null),
      numPromptTokens: finishes[0]!.usage?.prompt_tokens ?? 0,
      numOutputTokens: finishes.reduce((sum, { usage }) => sum + (usage?.completion_tokens ?? 0), 0),
    };
  }
}

/** The result of a request that was refused, or that nobody will run. */
export function failedResult(requestId: string, model: string, error: MoesaicError): JobResult {
  const head = { request_id: requestId, choice: 0 };
  const { code, message, place = "" } = error;
  const finish = { reason: code === "cancelled" ? "abort" : "error", error: { code, message, place } };
  const events = [
    { ...head, offset: 1, started: { model } },
    { ...head, offset: 2, finish },
  ];
  return { events, isFailed: true, numPromptTokens: 0, numOutputTokens: 0 };
}

/** Offsets count the events that there are. The prompt stands with the first choice alone: it is the same for all. */
function eventsOf(
  begin: GenerateEvent,
  deltas: readonly MergedDelta[],
  finish: v1.Finish.$Properties,
): GenerateEvent[] {
  const [requestId, choice] = [begin.request_id ?? "", begin.choice ?? 0];
  const promptTokenIds = choice === 0 ? (begin.started?.prompt_token_ids ?? []) : [];
  const started = { model: begin.started?.model ?? "", prompt_token_ids: promptTokenIds };
  const events: GenerateEvent[] = [{ started }, ...deltas.map(({ merged }) => ({ delta: merged })), { finish }];
  return events.map((event, index) => ({ request_id: requestId, choice, offset: index + 1, ...event }));
}

class MergedDelta {
  readonly merged = {
    token_ids: [] as number[],
    text: [] as v1.TextDelta.$Properties[],
    logprobs: [] as v1.TokenLogprob.$Properties[],
  };

  add(delta: v1.Delta.$Properties): void {
    for (const tokenId of delta.token_ids ?? []) this.merged.token_ids.push(tokenId);
    for (const logprob of delta.logprobs ?? []) this.merged.logprobs.push(logprob);
    for (const part of delta.text ?? []) this.#addText(part);
  }

  #addText(part: v1.TextDelta.$Properties): void {
    const last = this.merged.text.at(-1);
    const isSame = last !== undefined && last.kind === part.kind && last.tool_call_id === part.tool_call_id;
    if (isSame) last.text = (last.text ?? "") + (part.text ?? "");
    else this.merged.text.push({ ...part });
  }
}
