import { snakeCased } from "../client/camel-case.js";
import type { Completion, CompletionChoice } from "../client/completion.js";
import { MoesaicError } from "../proto/errors.js";

/** A request's result as its JSON line; with several choices the first stands outside and all of them in `choices`. */
export function completionJson(id: string | number, completion: Completion): Record<string, unknown> {
  const [first, ...others] = completion.choices;
  const head = { id, prompt_token_ids: completion.promptTokenIds, ...(first === undefined ? {} : choiceJson(first)) };
  return others.length === 0 ? head : { ...head, choices: completion.choices.map(choiceJson) };
}

export function errorJson(id: string | number, error: MoesaicError): Record<string, unknown> {
  return { id, error: { code: error.code, message: error.message, place: error.place ?? null } };
}

export function choiceJson(choice: CompletionChoice): Record<string, unknown> {
  const { error, reasoning, toolCalls, logprobs, stopString, stopTokenId } = choice;
  return {
    token_ids: choice.tokenIds,
    text: choice.text,
    ...(reasoning === "" ? {} : { reasoning }),
    ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
    ...(logprobs.length === 0 ? {} : { logprobs: snakeCased(logprobs) }),
    finish_reason: choice.finishReason,
    ...(stopString === null ? {} : { stop_string: stopString }),
    ...(stopTokenId === null ? {} : { stop_token_id: stopTokenId }),
    usage: snakeCased(choice.usage),
    timings: snakeCased(choice.timings),
    ...(error === null ? {} : { error: { code: error.code, message: error.message, place: error.place ?? null } }),
  };
}
