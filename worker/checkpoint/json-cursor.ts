import { isUtf8 } from "node:buffer";
import { MoesaicError } from "../../proto/errors.js";

/** Deeper nesting than any file of a checkpoint has; keeps recursion off the end of the stack. */
const MAX_DEPTH = 64;
/** Values that `skipValue` passes before it gives up: as objects of JSON.parse, more of them would take a gigabyte. */
const MAX_VALUES = 2 ** 20;
const MAX_KEY_BYTES = 4096;
/** Longest literal or number worth reading whole. */
const MAX_WORD_BYTES = 64;
const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/;

/**
 * Reads strict JSON from front to back, in linear time and without building values that nobody asked for.
 * `JSON.parse` is not enough for files of strangers: it keeps the last of two equal keys without a word, and its
 * values for a small hostile text can be many times the text's size.
 * Every method throws MoesaicError invalid_argument at the place `ORIGIN N`, N the byte where reading stopped.
 */
export class JsonCursor {
  readonly #bytes: Buffer;
  readonly #origin: string;
  #index = 0;
  #numSkipped = 0;

  /** @param origin what a byte number is appended to, such as `model.safetensors: header byte` */
  constructor(bytes: Uint8Array, origin: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#origin = origin;
  }

  /** Calls `visit` with each key; it must read the value. Two equal keys, and more than `maxKeys`, are refused. */
  object(limits: { maxKeys: number; maxKeyBytes: number }, visit: (key: string) => void): void {
    const seen = new Set<string>();
    this.#take("{");
    if (this.#takeIf("}")) return;
    do {
      const at = this.#index;
      const key = this.string(limits.maxKeyBytes);
      if (seen.has(key)) throw this.#error(at, `the key ${shown(key)} once`, "it again");
      if (seen.size === limits.maxKeys) throw this.#error(at, `at most ${limits.maxKeys} keys`, "one more");
      seen.add(key);
      this.#take(":");
      visit(key);
    } while (this.#takeIf(","));
    this.#take("}");
  }

  /** Calls `visit` at each item; it must read the item. */
  array(visit: () => void): void {
    this.#take("[");
    if (this.#takeIf("]")) return;
    do visit();
    while (this.#takeIf(","));
    this.#take("]");
  }

  string(maxBytes: number): string {
    this.#take('"');
    const begin = this.#index;
    const { end, escaped, ascii } = this.#stringEnd(begin);
    if (end - begin > maxBytes) {
      throw this.#error(begin, `a string of at most ${maxBytes} bytes`, `one of ${end - begin}`);
    }
    if (!ascii && !isUtf8(this.#bytes.subarray(begin, end))) {
      throw this.#error(begin, "a string in UTF-8", "bytes that are not UTF-8");
    }
    this.#index = end + 1;
    return escaped ? this.#unescape(begin, end) : this.#bytes.toString(ascii ? "latin1" : "utf8", begin, end);
  }

  /** A whole number from 0 to 2^53 - 1, written without sign, point or exponent. */
  unsignedInteger(): number {
    const begin = this.#skipSpace();
    const word = this.#word();
    const value = /^(0|[1-9][0-9]*)$/.test(word) ? Number(word) : NaN;
    if (!Number.isSafeInteger(value)) {
      throw this.#error(begin, "a whole number from 0 to 2^53 - 1", word === "" ? this.#byteAt(begin) : shown(word));
    }
    return value;
  }

  /** Checks one value of any kind and forgets it. Bounded in depth and in the number of values inside. */
  skipValue(depth = 0): void {
    const begin = this.#skipSpace();
    if (depth > MAX_DEPTH) throw this.#error(begin, `at most ${MAX_DEPTH} levels of nesting`, "one more");
    if (++this.#numSkipped > MAX_VALUES) throw this.#error(begin, `at most ${MAX_VALUES} values`, "one more");
    const byte = this.#bytes[begin];
    const limits = { maxKeys: MAX_VALUES, maxKeyBytes: MAX_KEY_BYTES };
    if (byte === OPEN_BRACE) this.object(limits, () => this.skipValue(depth + 1));
    else if (byte === OPEN_BRACKET) this.array(() => this.skipValue(depth + 1));
    else if (byte === QUOTE) this.string(this.#bytes.length);
    else this.#literal(begin);
  }

  /** Nothing but white space may be left. */
  end(): void {
    const index = this.#skipSpace();
    if (index < this.#bytes.length) throw this.#error(index, "the end", this.#byteAt(index));
  }

  #literal(begin: number): void {
    const word = this.#word();
    if (word === "true" || word === "false" || word === "null" || NUMBER.test(word)) return;
    throw this.#error(begin, "a JSON value", word === "" ? this.#byteAt(begin) : shown(word));
  }

  #word(): string {
    const begin = this.#index;
    let end = begin;
    while (end < this.#bytes.length && end - begin <= MAX_WORD_BYTES && isWordByte(this.#bytes[end])) end++;
    this.#index = end;
    return this.#bytes.toString("latin1", begin, end);
  }

  #stringEnd(begin: number): { end: number; escaped: boolean; ascii: boolean } {
    const bytes = this.#bytes;
    let escaped = false;
    let seenBits = 0;
    for (let index = begin; index < bytes.length; index++) {
      const byte = bytes[index] as number;
      if (byte === QUOTE) return { end: index, escaped, ascii: seenBits < 0x80 };
      if (byte < 0x20) throw this.#error(index, "an escaped control character", this.#byteAt(index));
      seenBits |= byte;
      if (byte !== BACKSLASH) continue;
      escaped = true;
      index++;
    }
    throw this.#error(bytes.length, "the end of a string", "the end of the text");
  }

  /** JSON.parse knows the escapes; what it lets pass are halves of surrogate pairs, which have no UTF-8. */
  #unescape(begin: number, end: number): string {
    try {
      const text = JSON.parse(this.#bytes.toString("utf8", begin - 1, end + 1)) as string;
      if (Buffer.from(text, "utf8").toString("utf8") === text) return text;
    } catch {
      // Said below, with our place instead of the parser's.
    }
    throw this.#error(begin, "valid escapes in a string", "others");
  }

  #take(character: string): void {
    const index = this.#skipSpace();
    if (this.#bytes[index] !== character.charCodeAt(0)) {
      throw this.#error(index, JSON.stringify(character), this.#byteAt(index));
    }
    this.#index = index + 1;
  }

  #takeIf(character: string): boolean {
    const index = this.#skipSpace();
    if (this.#bytes[index] !== character.charCodeAt(0)) return false;
    this.#index = index + 1;
    return true;
  }

  #skipSpace(): number {
    while (isSpace(this.#bytes[this.#index])) this.#index++;
    return this.#index;
  }

  #byteAt(index: number): string {
    const byte = this.#bytes[index];
    if (byte === undefined) return "the end of the text";
    return byte > 0x20 && byte < 0x7f ? JSON.stringify(String.fromCharCode(byte)) : `byte ${byte}`;
  }

  #error(index: number, wanted: string, there: string): MoesaicError {
    return new MoesaicError("invalid_argument", `wanted ${wanted}, there is ${there}`, {
      place: `${this.#origin} ${index}`,
    });
  }
}

/** A text of a stranger, made safe to print on one line: at most 120 characters, all of them printable ASCII. */
export function shown(text: string): string {
  const clipped = text.length > 120 ? `${text.slice(0, 117)}...` : text;
  return clipped.replace(/[^\x20-\x7e]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Bytes of numbers and of the three literals: letters, digits, sign and point. */
function isWordByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  if (byte >= 0x30 && byte <= 0x39) return true;
  if (byte >= 0x61 && byte <= 0x7a) return true;
  return byte === 0x2d || byte === 0x2b || byte === 0x2e || byte === 0x45;
}
