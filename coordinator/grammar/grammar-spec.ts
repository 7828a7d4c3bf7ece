import type { Automaton, Piece } from "./automaton-builder.js";
import { AutomatonBuilder, CONTROL_SYMBOLS } from "./automaton-builder.js";
import { MoesaicError } from "../../proto/errors.js";
import { anyObject } from "./json-grammar.js";
import { jsonSchemaPiece } from "./json-schema.js";
import { anyOf, literal, optional, repeated, sequence, symbol } from "./pieces.js";
import { regexPiece } from "./regex.js";

/** What the text of an answer must be. Plain data, to be sent to a thread. */
export type ContentConstraint =
  | { kind: "json_schema"; schema: unknown; place: string }
  | { kind: "regex"; pattern: string; place: string }
  | { kind: "choice"; values: readonly string[]; place: string };

/** A function whose call is constrained. */
export interface ConstrainedTool {
  name: string;
  /** JSON schema of the arguments; null: any object. */
  parameters: unknown;
  /** Whether arguments are of the schema; else they are any text. */
  isStrict: boolean;
  place: string;
}

/** Which calls may or must come. `auto` leaves the choice to the model. */
export type ToolUse = "none" | "auto" | "required";

/** Control tokens by their place in Harmony. */
export interface FrameIds {
  start: number;
  channel: number;
  message: number;
  end: number;
  constrain: number | null;
  call: number | null;
}

/** What a generation must be, from its first token to its stop token. */
export interface GrammarSpec {
  /** null: any text. */
  content: ContentConstraint | null;
  /** null: the content is all there is. */
  chat: { ids: FrameIds; tools: readonly ConstrainedTool[]; toolUse: ToolUse } | null;
  /** Tokens of which one ends the answer. */
  stopIds: readonly number[];
}

const anyText = repeated(symbol(0, 255), 0, Infinity);

/** @param controlIds of the vocabulary: the symbol of a control token is its index there */
export function compileGrammar(spec: GrammarSpec, controlIds: readonly number[]): Automaton {
  const control = (tokenId: number): Piece => symbol(CONTROL_SYMBOLS + controlIds.indexOf(tokenId));
  const content = spec.content === null ? anyText : contentPiece(spec.content);
  const answer = sequence(content, anyOf(spec.stopIds.map(control)));
  const automaton = AutomatonBuilder.build(
    spec.chat === null ? answer : chatPiece(spec.chat, answer, spec.content === null, control),
  );
  if (automaton.states[automaton.start]!.ranges.length > 0 || hasWay(automaton)) return automaton;
  throw new MoesaicError("invalid_argument", "the constraint allows no text at all");
}

function contentPiece(constraint: ContentConstraint): Piece {
  const { place } = constraint;
  if (constraint.kind === "json_schema") return jsonSchemaPiece(constraint.schema, place);
  if (constraint.kind === "regex") return regexPiece(constraint.pattern, { place });
  return anyOf(constraint.values.map(literal));
}

/**
 * The messages of an assistant: thoughts and preambles as it likes, then the answer or a call. The recipient may stand in
 * front of the channel or behind it, the content type may be left out: as models were seen to write it.
 * @param hasPreambles clients see a preamble as content: none may stand before an answer that is constrained
 */
function chatPiece(
  { ids, tools, toolUse }: NonNullable<GrammarSpec["chat"]>,
  answer: Piece,
  hasPreambles: boolean,
  control: (tokenId: number) => Piece,
): Piece {
  const json = literal("json");
  const marked = ids.constrain === null ? json : anyOf([json, sequence(control(ids.constrain), json)]);
  const unspaced = ids.constrain === null ? [] : [sequence(control(ids.constrain), json)];
  const contentType = optional(anyOf([sequence(literal(" "), marked), ...unspaced]));
  const channel = (name: string): Piece => sequence(control(ids.channel), literal(name));
  const open = sequence(contentType, control(ids.message));
  const thought = sequence(
    hasPreambles ? anyOf([channel("analysis"), channel("commentary")]) : channel("analysis"),
    sequence(control(ids.message), anyText, control(ids.end), control(ids.start), literal("assistant")),
  );
  const call = (tool: ConstrainedTool): Piece => {
    const recipient = literal(` to=functions.${tool.name}`);
    const header = anyOf([sequence(channel("commentary"), recipient), sequence(recipient, channel("commentary"))]);
    return sequence(header, open, argumentsPiece(tool), control(ids.call!));
  };
  const ends = [
    ...(toolUse === "required" ? [] : [sequence(channel("final"), open, answer)]),
    ...(toolUse === "none" ? [] : tools.map(call)),
  ];
  return sequence(repeated(thought, 0, Infinity), anyOf(ends));
}

function argumentsPiece({ parameters, isStrict, place }: ConstrainedTool): Piece {
  if (!isStrict) return anyText;
  return parameters === null ? anyObject : jsonSchemaPiece(parameters, place);
}

/** Whether the start leads anywhere, after dead ends were removed. */
function hasWay({ states, start }: Automaton): boolean {
  const { jumps, calls } = states[start]!;
  return jumps.length > 0 || calls.length > 0;
}
