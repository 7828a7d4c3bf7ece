import { isErrorCode, MoesaicError } from "../proto/errors.js";
import { v1 } from "../proto/messages.js";

/**
 * What happens to one choice of a request, in order: `started` at once, `prefill` where it was asked for and the prompt is long, `delta`
 * for every token or for some that come together from a busy server, `finish` as the last.
 * Events of different choices mix. `offset` rises by one with each event of a choice, from 1.
 */
export type GenerateEvent = StartedEvent | PrefillEvent | DeltaEvent | FinishEvent;

export interface EventHead {
  requestId: string;
  /** Which of the n choices, from 0. */
  choice: number;
  offset: number;
}

export interface StartedEvent extends EventHead {
  type: "started";
  model: string;
  promptTokenIds: number[];
}

/** How far the prompt is; only with `prefillProgress`, and for prompts that take several steps. */
export interface PrefillEvent extends EventHead {
  type: "prefill";
  /** Rises. What came from the prefix cache counts. */
  numDone: number;
  numPromptTokens: number;
}

export interface DeltaEvent extends EventHead {
  type: "delta";
  tokenIds: number[];
  /** Text that these tokens completed; none while a character is not whole. */
  text: TextDelta[];
  /** One per token id when logprobs were asked for, else empty. */
  logprobs: TokenLogprob[];
}

export interface FinishEvent extends EventHead {
  type: "finish";
  reason: FinishReason;
  /** The stop string or id that ended the choice, when one did. */
  stopString: string | null;
  stopTokenId: number | null;
  usage: Usage;
  timings: Timings;
  /** With reason error or abort. */
  error: MoesaicError | null;
}

export type FinishReason = "stop" | "length" | "tool_calls" | "abort" | "error";

/** raw: the request was not a chat. The text of a tool call is a part of its arguments. */
export type TextDelta =
  | { kind: "raw" | "reasoning" | "content"; text: string }
  | { kind: "tool_call"; text: string; toolCallIndex: number; toolCallId: string; toolName: string };

export interface TokenLogprob {
  tokenId: number;
  logprob: number;
  top: { tokenId: number; logprob: number }[];
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number;
  reasoningTokens: number;
}

/** Milliseconds by the coordinator's monotonic clock. */
export interface Timings {
  queueMs: number;
  timeToFirstTokenMs: number;
  decodeMs: number;
  totalMs: number;
}

/** @throws MoesaicError unimplemented for an event of a newer server */
export function toGenerateEvent(message: v1.GenerateEvent): GenerateEvent {
  const head = { requestId: message.request_id, choice: message.choice, offset: message.offset };
  if (message.delta) return { type: "delta", ...head, ...deltaOf(message.delta) };
  if (message.started) return { type: "started", ...head, ...startedOf(message.started) };
  if (message.finish) return { type: "finish", ...head, ...finishOf(message.finish) };
  if (message.prefill) {
    const { num_done: numDone, num_prompt_tokens: numPromptTokens } = message.prefill;
    return { type: "prefill", ...head, numDone: numDone ?? 0, numPromptTokens: numPromptTokens ?? 0 };
  }
  throw new MoesaicError(
    "unimplemented",
    "the server sent an event that this client does not know; update moesaic here",
  );
}

function startedOf(started: v1.Started.$Properties): Omit<StartedEvent, "type" | keyof EventHead> {
  return { model: started.model ?? "", promptTokenIds: started.prompt_token_ids ?? [] };
}

function deltaOf(delta: v1.Delta.$Properties): Omit<DeltaEvent, "type" | keyof EventHead> {
  return {
    tokenIds: delta.token_ids ?? [],
    text: (delta.text ?? []).map(textOf),
    logprobs: (delta.logprobs ?? []).map(logprobOf),
  };
}

const { REASONING, CONTENT, TOOL_CALL } = v1.TextDelta.Kind;

function textOf(delta: v1.TextDelta.$Properties): TextDelta {
  const text = delta.text ?? "";
  if (delta.kind === TOOL_CALL) {
    const { tool_call_index: toolCallIndex, tool_call_id: toolCallId, tool_name: toolName } = delta;
    return {
      kind: "tool_call",
      text,
      toolCallIndex: toolCallIndex ?? 0,
      toolCallId: toolCallId ?? "",
      toolName: toolName ?? "",
    };
  }
  const kind = delta.kind === REASONING ? "reasoning" : delta.kind === CONTENT ? "content" : "raw";
  return { kind, text };
}

function logprobOf(entry: v1.TokenLogprob.$Properties): TokenLogprob {
  const top = (entry.top ?? []).map((other) => ({ tokenId: other.token_id ?? 0, logprob: other.logprob ?? 0 }));
  return { tokenId: entry.token_id ?? 0, logprob: entry.logprob ?? 0, top };
}

function finishOf(finish: v1.Finish.$Properties): Omit<FinishEvent, "type" | keyof EventHead> {
  return {
    reason: (finish.reason ?? "error") as FinishReason,
    stopString: finish.stop_string || null,
    stopTokenId: finish.stop_token_id ?? null,
    usage: {
      promptTokens: finish.usage?.prompt_tokens ?? 0,
      completionTokens: finish.usage?.completion_tokens ?? 0,
      cachedTokens: finish.usage?.cached_tokens ?? 0,
      reasoningTokens: finish.usage?.reasoning_tokens ?? 0,
    },
    timings: {
      queueMs: finish.timings?.queue_ms ?? 0,
      timeToFirstTokenMs: finish.timings?.time_to_first_token_ms ?? 0,
      decodeMs: finish.timings?.decode_ms ?? 0,
      totalMs: finish.timings?.total_ms ?? 0,
    },
    error: finish.error ? errorOf(finish.error) : null,
  };
}

function errorOf(detail: v1.ErrorDetail.$Properties): MoesaicError {
  const code = isErrorCode(detail.code) ? detail.code : "internal";
  return new MoesaicError(code, detail.message ?? "", detail.place ? { place: detail.place } : {});
}
