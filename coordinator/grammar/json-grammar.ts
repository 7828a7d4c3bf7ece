import type { Piece } from "./automaton-builder.js";
import { CODE_POINT_MAX, type CodePoints, complement, jsonCharacter, union } from "./characters.js";
import { numberPiece } from "./decimal-range.js";
import { anyOf, fork, literal, optional, repeated, rule, sequence, symbol } from "./pieces.js";

const ANY: CodePoints[] = [[0, CODE_POINT_MAX]];
const INDENT_MAX = 32;

/** Hexadecimal escapes of any character; those beyond the first 65,536 are a pair of surrogates, and one character. */
const hexEscape = rule("hexadecimal escapes", () => {
  const hex = anyOf([symbol(0x30, 0x39), symbol(0x41, 0x46), symbol(0x61, 0x66)]);
  const beforeD = anyOf([
    symbol(0x30, 0x39),
    symbol(0x41, 0x43),
    symbol(0x45, 0x46),
    symbol(0x61, 0x63),
    symbol(0x65, 0x66),
  ]);
  const d = anyOf([literal("d"), literal("D")]);
  const single = anyOf([sequence(beforeD, hex), sequence(d, symbol(0x30, 0x37))]);
  const high = sequence(d, anyOf([symbol(0x38, 0x39), symbol(0x41, 0x42), symbol(0x61, 0x62)]));
  const low = sequence(d, anyOf([symbol(0x43, 0x46), symbol(0x63, 0x66)]));
  const pair = sequence(high, hex, hex, literal("\\u"), low, hex, hex);
  return sequence(literal("\\u"), anyOf([sequence(single, hex, hex), pair]));
});

/** One character of a string, as JSON writes it. */
export const stringCharacter = rule("any character", () => anyOf([jsonCharacter(ANY), literal("\\/"), hexEscape]));

/** Between values: as little as compact JSON has, or as much as printed JSON. A rule, since it stands everywhere. */
const someSpace = rule("white space", () =>
  anyOf([literal(" "), sequence(literal("\n"), repeated(literal(" "), 0, INDENT_MAX))]),
);
const space = optional(someSpace);
const comma = sequence(literal(","), space);

/** A string whose characters, between the quotes, are `content`. */
export function quoted(content: Piece): Piece {
  return sequence(literal('"'), content, literal('"'));
}

/** A JSON value that is equal to this one; members in its order. */
export function constantPiece(value: unknown): Piece {
  if (Array.isArray(value)) return arrayPiece(value.map(constantPiece), null, value.length, value.length);
  if (typeof value !== "object" || value === null) return literal(JSON.stringify(value));
  const members = Object.entries(value).map(([name, member]) => ({
    name,
    value: constantPiece(member),
    isRequired: true,
  }));
  return objectPiece(members, null);
}

export interface Member {
  name: string;
  value: Piece;
  isRequired: boolean;
}

/**
 * An object with these members in this order, and then with others.
 * @param others value of members of any other name; null: there are none
 */
export function objectPiece(members: readonly Member[], others: Piece | null): Piece {
  const names = members.map(({ name }) => name);
  const other = others === null ? null : memberPiece(otherName(names), others);
  const content: Piece = (automaton, from) => {
    // Two states go along: nothing is written yet, or something is and a comma comes first.
    let empty = from;
    let filled = automaton.state();
    for (const { name, value, isRequired } of members) {
      const member = memberPiece(literal(JSON.stringify(name)), value);
      const after = automaton.state();
      automaton.jump(member(automaton, fork(automaton, empty)), after);
      automaton.jump(sequence(comma, member)(automaton, fork(automaton, filled)), after);
      if (!isRequired) automaton.jump(filled, after);
      filled = after;
      empty = isRequired ? automaton.state() : fork(automaton, empty);
    }
    if (other !== null) {
      const after = automaton.state();
      automaton.jump(other(automaton, fork(automaton, empty)), after);
      automaton.jump(filled, after);
      filled = repeated(sequence(comma, other), 0, Infinity)(automaton, after);
    }
    const end = automaton.state();
    automaton.jump(empty, end);
    automaton.jump(filled, end);
    return end;
  };
  return sequence(literal("{"), space, content, space, literal("}"));
}

/** An array of these items and then of `rest` ones, `min` to `max` in all. */
export function arrayPiece(items: readonly Piece[], rest: Piece | null, min: number, max: number): Piece {
  const most = rest === null ? Math.min(max, items.length) : max;
  const content = most === 0 ? [] : [space, elements(items, rest, min, most)];
  return sequence(literal("["), ...content, space, literal("]"));
}

/** Any JSON value. */
export const anyValue: Piece = rule("any value", () =>
  anyOf([
    numberPiece({}, false)!,
    quoted(repeated(stringCharacter, 0, Infinity)),
    ...["true", "false", "null"].map(literal),
    anyArray,
    anyObject,
  ]),
);
export const anyArray: Piece = arrayPiece([], (automaton, from) => anyValue(automaton, from), 0, Infinity);
export const anyObject: Piece = objectPiece([], (automaton, from) => anyValue(automaton, from));

function memberPiece(name: Piece, value: Piece): Piece {
  return sequence(name, literal(":"), space, value);
}

function elements(items: readonly Piece[], rest: Piece | null, min: number, max: number): Piece {
  return (automaton, from) => {
    const end = automaton.state();
    let state = from;
    for (let index = 0; index < Math.min(items.length, max); index++) {
      if (index >= min) automaton.jump(state, end);
      state = withComma(items[index]!, index)(automaton, fork(automaton, state));
    }
    if (rest !== null && max > items.length) {
      const first = items.length === 0 ? 1 : 0;
      const least = Math.max(0, min - items.length);
      if (first === 1 && least === 0) automaton.jump(state, end);
      if (first === 1) state = rest(automaton, fork(automaton, state));
      const more = repeated(sequence(comma, rest), Math.max(0, least - first), max - items.length - first);
      state = more(automaton, state);
    }
    automaton.jump(state, end);
    return end;
  };
}

function withComma(item: Piece, index: number): Piece {
  return index === 0 ? item : sequence(comma, item);
}

/**
 * The name of a member that is none of `names`, quotes included. Without escapes, since there would be other spellings
 * of the names; a tree of their characters leads away from them.
 */
function otherName(names: readonly string[]): Piece {
  const plain = complement([
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
  ]);
  const rest = sequence(repeated(jsonCharacter(plain), 0, Infinity), literal('"'));
  const beside = (known: readonly string[]): Piece => {
    const firsts = [...new Set(known.filter((name) => name !== "").map((name) => Array.from(name)[0]!))];
    const codes = firsts.map((first): CodePoints => [first.codePointAt(0)!, first.codePointAt(0)!]);
    const pieces = firsts.map((first) => {
      const tails = known.filter((name) => name.startsWith(first)).map((name) => name.slice(first.length));
      return sequence(literal(JSON.stringify(first).slice(1, -1)), beside(tails));
    });
    const others = complement(union([...codes, ...complement(plain)]));
    pieces.push(sequence(jsonCharacter(others), rest));
    if (!known.includes("")) pieces.push(literal('"'));
    return anyOf(pieces);
  };
  return sequence(literal('"'), beside(names));
}
