import { MoesaicError } from "../../proto/errors.js";
import type { Piece } from "./automaton-builder.js";
import { type CharacterWriter, CODE_POINT_MAX, type CodePoints, complement, plainCharacter } from "./characters.js";
import { anyOf, nothing, repeated, sequence } from "./pieces.js";

/** A pattern of more characters is refused. */
const PATTERN_LENGTH_MAX = 16_384;
const GROUP_DEPTH_MAX = 128;

const DIGIT: CodePoints[] = [[0x30, 0x39]];
const WORD: CodePoints[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACE: CodePoints[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: CodePoints[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const ANY: CodePoints[] = [[0, CODE_POINT_MAX]];
const CONTROL_ESCAPES: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c, v: 0x0b, "0": 0 };

/**
 * A regular expression in the syntax of JavaScript: literals, classes (also `\d \w \s \p{…}`), groups, alternatives and
 * repetitions, greedy or not. What is no regular language, or looks at its surroundings, is refused.
 * @param options isSearch: the pattern may match within the text, as in JSON schema, unless anchored; else all of the text
 * @throws MoesaicError invalid_argument with the character at which the pattern cannot be read
 */
export function regexPiece(
  pattern: string,
  options: { place: string; isSearch?: boolean; write?: CharacterWriter },
): Piece {
  return new RegexParser(pattern, options.place, options.isSearch === true, options.write ?? plainCharacter).parse();
}

class RegexParser {
  readonly #chars: string[];
  readonly #place: string;
  readonly #isSearch: boolean;
  readonly #write: CharacterWriter;
  #at = 0;
  #depth = 0;

  constructor(pattern: string, place: string, isSearch: boolean, write: CharacterWriter) {
    this.#place = place;
    if (pattern.length > PATTERN_LENGTH_MAX) {
      const text = `expected at most ${PATTERN_LENGTH_MAX} characters, got ${pattern.length}`;
      throw new MoesaicError("invalid_argument", text, { place });
    }
    this.#chars = Array.from(pattern);
    this.#isSearch = isSearch;
    this.#write = write;
  }

  parse(): Piece {
    const piece = this.#alternatives();
    if (this.#at < this.#chars.length) this.#fail("a ) that closes no group");
    return piece;
  }

  #alternatives(): Piece {
    if (this.#depth > GROUP_DEPTH_MAX) this.#fail(`more than ${GROUP_DEPTH_MAX} groups within each other`);
    const pieces = [this.#terms()];
    while (this.#take("|")) pieces.push(this.#terms());
    return pieces.length === 1 ? pieces[0]! : anyOf(pieces);
  }

  /** One alternative. Outside of groups it may be anchored; a search reads any text where it is not. */
  #terms(): Piece {
    const isOutermost = this.#depth === 0;
    const isAnchored = isOutermost && this.#takeAll("^");
    const pieces: Piece[] = [];
    while (this.#at < this.#chars.length && !"|)$".includes(this.#peek())) pieces.push(this.#term());
    if (this.#peek() === "$" && !isOutermost) this.#fail("an anchor within a group");
    const isAnchoredAtEnd = this.#takeAll("$");
    if (isAnchoredAtEnd && this.#at < this.#chars.length && !"|)".includes(this.#peek())) this.#fail("text after $");
    if (this.#isSearch && isOutermost) {
      const anything = repeated(this.#write(ANY), 0, Infinity);
      if (!isAnchored) pieces.unshift(anything);
      if (!isAnchoredAtEnd) pieces.push(anything);
    }
    return sequence(...pieces);
  }

  #term(): Piece {
    const atom = this.#atom();
    const [min, max] = this.#quantifier();
    if (min === 1 && max === 1) return atom;
    return repeated(atom, min, max);
  }

  #atom(): Piece {
    const char = this.#next();
    if (char === "(") return this.#group();
    if (char === "[") return this.#write(this.#class());
    if (char === ".") return this.#write(complement(LINE_ENDS));
    if (char === "\\") return this.#write(this.#escape(false));
    if ("*+?".includes(char)) this.#fail("a repetition of nothing", 1);
    if (char === "^") this.#fail("an anchor that is not at the beginning", 1);
    const code = char.codePointAt(0)!;
    return this.#write([[code, code]]);
  }

  #group(): Piece {
    if (this.#take("?")) {
      if (this.#peek() === "=" || this.#peek() === "!") this.#fail("lookahead: only what is read can be asked for");
      if (this.#take("<")) this.#groupName();
      else if (!this.#take(":")) this.#fail("an unknown kind of group");
    }
    this.#depth += 1;
    const piece = this.#peek() === ")" ? nothing : this.#alternatives();
    this.#depth -= 1;
    if (!this.#take(")")) this.#fail("the end: a group is not closed");
    return piece;
  }

  #groupName(): void {
    if (this.#peek() === "=" || this.#peek() === "!") this.#fail("lookbehind: only what is read can be asked for");
    while (/^[\p{ID_Continue}$]$/u.test(this.#peek())) this.#at += 1;
    if (!this.#take(">")) this.#fail("a group's name that does not end");
  }

  /** Bounds of the repetition that follows, 1 and 1 when none does. A lazy one reads the same language. */
  #quantifier(): [number, number] {
    const bounds = this.#bounds();
    if (bounds === null) return [1, 1];
    this.#take("?");
    if ("*+".includes(this.#peek()) && this.#peek() !== "") this.#fail("a repetition of a repetition");
    return bounds;
  }

  #bounds(): [number, number] | null {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    if (this.#peek() !== "{") return null;
    const written = /^\{(\d{1,6})(?:(,)(\d{0,6}))?\}/.exec(this.#chars.slice(this.#at, this.#at + 16).join(""));
    if (written === null) this.#fail("a { that is no repetition such as {2,5}; write \\{ for the character");
    this.#at += written[0].length;
    const min = Number(written[1]);
    const max = written[2] === undefined ? min : written[3] === "" ? Infinity : Number(written[3]);
    if (max < min) this.#fail(`a repetition of at least ${min} and at most ${max}`);
    return [min, max];
  }

  #class(): CodePoints[] {
    const isNegated = this.#take("^");
    const ranges: CodePoints[] = [];
    while (!this.#take("]")) {
      const first = this.#classMember();
      const from = singleOf(first);
      if (from === null || this.#peek() !== "-" || this.#chars[this.#at + 1] === "]") {
        ranges.push(...first);
        continue;
      }
      this.#at += 1;
      const to = singleOf(this.#classMember());
      if (to === null || to < from) this.#fail("a range that does not rise");
      ranges.push([from, to]);
    }
    if (ranges.length === 0 && !isNegated) this.#fail("an empty class: nothing matches it");
    return isNegated ? complement(ranges) : ranges;
  }

  #classMember(): CodePoints[] {
    if (this.#at >= this.#chars.length) this.#fail("the end: a class is not closed");
    const char = this.#next();
    if (char === "\\") return this.#escape(true);
    const code = char.codePointAt(0)!;
    return [[code, code]];
  }

  /** What a backslash, read already, and the characters after it stand for. */
  #escape(isInClass: boolean): CodePoints[] {
    if (this.#at >= this.#chars.length) this.#fail("the end after a backslash");
    const char = this.#next();
    if (char === "d") return DIGIT;
    if (char === "D") return complement(DIGIT);
    if (char === "w") return WORD;
    if (char === "W") return complement(WORD);
    if (char === "s") return SPACE;
    if (char === "S") return complement(SPACE);
    if (char === "p" || char === "P") return this.#property(char === "P");
    if (char === "x") return this.#hex(2);
    if (char === "u") return this.#take("{") ? this.#bracedHex() : this.#hex(4);
    if (char === "b" && isInClass) return [[8, 8]];
    if (char === "b" || char === "B") this.#fail("a word border: only what is read can be asked for", 1);
    if (/^[1-9k]$/.test(char)) this.#fail("a back reference: no automaton can remember what it has read", 1);
    const code = CONTROL_ESCAPES[char] ?? char.codePointAt(0)!;
    if (/^[A-Za-z]$/.test(char) && CONTROL_ESCAPES[char] === undefined) this.#fail(`an unknown escape \\${char}`, 1);
    return [[code, code]];
  }

  #hex(numDigits: number): CodePoints[] {
    const digits = this.#chars.slice(this.#at, this.#at + numDigits).join("");
    if (!new RegExp(`^[\\dA-Fa-f]{${numDigits}}$`).test(digits))
      this.#fail(`fewer than ${numDigits} hexadecimal digits`);
    this.#at += numDigits;
    const code = parseInt(digits, 16);
    return [[code, code]];
  }

  #bracedHex(): CodePoints[] {
    const written = /^([\dA-Fa-f]{1,6})\}/.exec(this.#chars.slice(this.#at, this.#at + 7).join(""));
    const code = written === null ? Infinity : parseInt(written[1]!, 16);
    if (code > CODE_POINT_MAX) this.#fail("no code point between { and }");
    this.#at += written![0].length;
    return [[code, code]];
  }

  #property(isNegated: boolean): CodePoints[] {
    const written = /^\{([\w=]{1,64})\}/.exec(this.#chars.slice(this.#at, this.#at + 66).join(""));
    const ranges = written === null ? null : propertyRanges(written[1]!);
    if (ranges === null) this.#fail("no Unicode property such as {L} after \\p");
    this.#at += written![0].length;
    return isNegated ? complement(ranges) : ranges;
  }

  #peek(): string {
    return this.#chars[this.#at] ?? "";
  }

  #next(): string {
    return this.#chars[this.#at++]!;
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false;
    this.#at += 1;
    return true;
  }

  /** As #take, however often it stands there. */
  #takeAll(char: string): boolean {
    const isThere = this.#peek() === char;
    while (this.#take(char));
    return isThere;
  }

  #fail(what: string, numBack = 0): never {
    const text = `regular expression, character ${this.#at - numBack + 1}: found ${what}`;
    throw new MoesaicError("invalid_argument", text, { place: this.#place });
  }
}

function singleOf(ranges: CodePoints[]): number | null {
  const [only] = ranges;
  return ranges.length === 1 && only !== undefined && only[0] === only[1] ? only[0] : null;
}

const rangesByProperty = new Map<string, CodePoints[] | null>();

/** The characters that have a property, as JavaScript knows them; null when it knows no such property. */
function propertyRanges(name: string): CodePoints[] | null {
  const known = rangesByProperty.get(name);
  if (known !== undefined) return known;
  const ranges = searchProperty(name);
  // The names that exist are few: nobody can fill this.
  if (ranges !== null) rangesByProperty.set(name, ranges);
  return ranges;
}

function searchProperty(name: string): CodePoints[] | null {
  let pattern: RegExp;
  try {
    pattern = new RegExp(`^\\p{${name}}$`, "u");
  } catch {
    return null;
  }
  const ranges: [number, number][] = [];
  for (let code = 0; code <= CODE_POINT_MAX; code++) {
    if (!pattern.test(String.fromCodePoint(code))) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  return ranges;
}
