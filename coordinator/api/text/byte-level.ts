import { assert } from "../../../proto/errors.js";

/**
 * Byte-level BPE writes each byte as one printable character: the printable ASCII and Latin-1 characters stand for
 * themselves, the other 68 bytes take U+0100 and up in order. So space is `Ġ` (0x20 -> U+0120).
 * Source: the byte alphabet of GPT-2's encoder, which every ByteLevel tokenizer.json uses.
 */
export const BYTE_CHARS: readonly string[] = byteChars();
const BYTE_OF_CHAR: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

/**
 * The bytes a vocabulary entry stands for. An entry with a character outside the alphabet, such as a special token's
 * spelling, stands for its own UTF-8 bytes, as in the reference decoder.
 */
export function bytesOfEntry(entry: string): Uint8Array {
  const bytes = new Uint8Array(entry.length);
  for (let i = 0; i < entry.length; i++) {
    const byte = BYTE_OF_CHAR.get(entry.charAt(i));
    if (byte === undefined) return new TextEncoder().encode(entry);
    bytes[i] = byte;
  }
  return bytes;
}

/** The bytes of all tokens in one array: 200,000 small arrays would cost more than the vocabulary itself. */
export class TokenByteTable {
  readonly #bytes: Uint8Array;
  /** Token id `i` owns bytes [offsets[i], offsets[i + 1]). */
  readonly #offsets: Uint32Array;

  /** @param entries sparse by token id; an id without an entry has no bytes */
  constructor(entries: readonly (Uint8Array | undefined)[]) {
    this.#offsets = new Uint32Array(entries.length + 1);
    for (let id = 0; id < entries.length; id++) {
      this.#offsets[id + 1] = offsetAt(this.#offsets, id) + (entries[id]?.length ?? 0);
    }
    this.#bytes = new Uint8Array(offsetAt(this.#offsets, entries.length));
    for (const [id, entry] of entries.entries()) {
      if (entry !== undefined) this.#bytes.set(entry, offsetAt(this.#offsets, id));
    }
  }

  /** A view, not a copy; empty for an id that has no entry. */
  get(tokenId: number): Uint8Array {
    const start = this.#offsets[tokenId];
    const end = this.#offsets[tokenId + 1];
    if (start === undefined || end === undefined) return new Uint8Array(0);
    return this.#bytes.subarray(start, end);
  }
}

function offsetAt(offsets: Uint32Array, index: number): number {
  const offset = offsets[index];
  assert(offset !== undefined, "a token id lies inside the offset table");
  return offset;
}

function byteChars(): string[] {
  let nextChar = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : nextChar++));
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}
