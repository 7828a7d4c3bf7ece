import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import type { ConstrainedTool, ContentConstraint, FrameIds, GrammarSpec } from "../grammar/grammar-spec.js";
import type { ParsedChat } from "./chat-input.js";
import type { HarmonyTokenIds } from "./text/harmony.js";

const SCHEMA_LENGTH_MAX = 262_144;
const CHOICES_MAX = 1_024;
const CHOICE_LENGTH_MAX = 4_096;

/** What a constraint is put together from. */
export interface ConstrainedRequest {
  constraint: v1.OutputConstraint.$Properties | null | undefined;
  /** null: the prompt is no chat. */
  chat: ParsedChat | null;
  sampling: v1.SamplingParams.$Properties;
  /** null: the model has no Harmony, and the constraint is for all of the output. */
  harmony: HarmonyTokenIds | null;
  /** The model's stop tokens. */
  stopTokenIds: readonly number[];
}

/**
 * The grammar that a request asks for; null when its output is free.
 * @throws MoesaicError invalid_argument with the field as its place; failed_precondition: the vocabulary cannot do it
 */
export function grammarSpecOf(request: ConstrainedRequest): GrammarSpec | null {
  const content = contentOf(request.constraint);
  const toolChoice = request.chat?.toolChoice ?? { mode: "auto" };
  const isStrict = request.chat?.tools.some(({ strict }) => strict === true) ?? false;
  if (content === null && toolChoice.mode === "auto" && !isStrict) return null;
  refuseEndless(request.sampling);
  if (request.chat === null || request.harmony === null) {
    if (isStrict) throw unable("tools", "the model writes no Harmony: its calls are not known, and cannot be strict");
    if (toolChoice.mode !== "auto") throw unable("tool_choice", "the model writes no Harmony: its calls are not known");
    return { content, chat: null, stopIds: stopIdsOf(request.stopTokenIds) };
  }
  const { harmony, chat } = request;
  const stopIds = [harmony.return, harmony.endOfText].filter((tokenId) => tokenId !== undefined);
  return {
    content,
    chat: { ids: frameIdsOf(harmony), tools: toolsOf(chat, harmony), toolUse: toolChoice.mode },
    stopIds: stopIdsOf(stopIds.filter((tokenId) => request.stopTokenIds.includes(tokenId))),
  };
}

/** Control tokens that a grammar of this model may name. */
export function controlIdsOf(harmony: HarmonyTokenIds | null, stopTokenIds: readonly number[]): number[] {
  const named = harmony === null ? [] : Object.values(harmony).filter((tokenId) => tokenId !== undefined);
  return [...new Set([...named, ...stopTokenIds])];
}

function contentOf(constraint: v1.OutputConstraint.$Properties | null | undefined): ContentConstraint | null {
  if (constraint == null) return null;
  if (constraint.json_schema != null && constraint.json_schema !== "") return schemaOf(constraint.json_schema);
  if (constraint.regex != null && constraint.regex !== "") {
    return { kind: "regex", pattern: constraint.regex, place: "constraint.regex" };
  }
  if (constraint.choice) return choiceOf(constraint.choice.values ?? []);
  throw invalid("constraint", "expected one of json_schema, regex and choice, and not empty");
}

function schemaOf(text: string): ContentConstraint {
  const place = "constraint.json_schema";
  if (text.length > SCHEMA_LENGTH_MAX) {
    throw invalid(place, `at most ${SCHEMA_LENGTH_MAX} characters, got ${text.length}`);
  }
  try {
    return { kind: "json_schema", schema: JSON.parse(text), place };
  } catch (cause) {
    throw new MoesaicError("invalid_argument", `not JSON: ${(cause as Error).message}`, { place, cause });
  }
}

function choiceOf(values: readonly string[]): ContentConstraint {
  const place = "constraint.choice";
  if (values.length === 0 || values.length > CHOICES_MAX) {
    throw invalid(place, `expected 1 to ${CHOICES_MAX} texts, got ${values.length}`);
  }
  for (const [index, value] of values.entries()) {
    if (value.length >= 1 && value.length <= CHOICE_LENGTH_MAX) continue;
    throw invalid(`${place}[${index}]`, `expected 1 to ${CHOICE_LENGTH_MAX} characters, got ${value.length}`);
  }
  return { kind: "choice", values, place };
}

/** The tools that may be called: the one that was named, or all. */
function toolsOf({ tools, toolChoice }: ParsedChat, harmony: HarmonyTokenIds): ConstrainedTool[] {
  if (toolChoice.mode === "none") return [];
  if (tools.length > 0 && harmony.call === undefined) throw unable("tools", "the vocabulary has no <|call|>");
  const all = tools.map(({ name, parameters, strict }, index) => ({
    name,
    parameters: parameters ?? null,
    isStrict: strict === true || toolChoice.mode === "required",
    place: `tools[${index}].parameters_json`,
  }));
  return toolChoice.name === undefined ? all : all.filter(({ name }) => name === toolChoice.name);
}

function frameIdsOf({ start, channel, message, end, constrain, call }: HarmonyTokenIds): FrameIds {
  return { start, channel, message, end, constrain: constrain ?? null, call: call ?? null };
}

/** An output that may not end where its grammar does would have no token left. */
function refuseEndless({ ignore_eos, min_tokens }: v1.SamplingParams.$Properties): void {
  if (ignore_eos) throw invalid("sampling.ignore_eos", "a constrained output ends with a stop token; leave this out");
  if (min_tokens)
    throw invalid("sampling.min_tokens", "a constrained output ends where it is complete; leave this out");
}

function stopIdsOf(tokenIds: readonly number[]): readonly number[] {
  if (tokenIds.length > 0) return tokenIds;
  throw unable("constraint", "the model has no stop token, so that a constrained output could not end");
}

function invalid(place: string, message: string): MoesaicError {
  return new MoesaicError("invalid_argument", message, { place });
}

function unable(place: string, message: string): MoesaicError {
  return new MoesaicError("failed_precondition", message, { place });
}
