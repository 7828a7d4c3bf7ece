import { CONTROL_SYMBOLS } from "./automaton-builder.js";

/** The tokens of a model, as a thread can be sent them. */
export interface VocabularyTable {
  /** Logits of a step: ids without bytes are never allowed. */
  vocabSize: number;
  /** The bytes of all ordinary tokens, one after the other. */
  bytes: Uint8Array;
  /** (vocabSize + 1) where each begins; control tokens have none. */
  offsets: Uint32Array;
  /** Token ids that are a symbol each; other control tokens are never allowed. */
  controlIds: readonly number[];
}

/** Tokens as words of symbols, in alphabetical order: neighbours share their beginnings. */
export class Vocabulary {
  readonly vocabSize: number;
  readonly numSymbols: number;
  /** Symbols of the longest word. */
  readonly lengthMax: number;
  /** (numWords) token id of each word. */
  readonly tokenIds: Int32Array;
  /** (numWords + 1) where the symbols of each word begin in `symbols`. */
  readonly starts: Int32Array;
  readonly symbols: Uint16Array;
  /** (numWords) symbols that a word has in common with the one before. */
  readonly sharedLengths: Int32Array;
  /** (vocabSize) index of the token's word, -1: it has none. */
  readonly #wordOf: Int32Array;

  constructor(table: VocabularyTable) {
    this.vocabSize = table.vocabSize;
    this.numSymbols = CONTROL_SYMBOLS + table.controlIds.length;
    const words = new UnsortedWords(table);
    this.tokenIds = words.sorted();
    this.starts = new Int32Array(this.tokenIds.length + 1);
    for (const [index, tokenId] of this.tokenIds.entries()) {
      this.starts[index + 1] = this.starts[index]! + words.lengthOf(tokenId);
    }
    this.symbols = new Uint16Array(this.starts.at(-1)!);
    this.#wordOf = new Int32Array(table.vocabSize).fill(-1);
    for (const [index, tokenId] of this.tokenIds.entries()) {
      this.symbols.set(words.symbolsOf(tokenId), this.starts[index]);
      this.#wordOf[tokenId] = index;
    }
    this.lengthMax = this.tokenIds.reduce((most, tokenId) => Math.max(most, words.lengthOf(tokenId)), 0);
    this.sharedLengths = this.tokenIds.map((tokenId, index) =>
      index === 0 ? 0 : words.sharedLength(this.tokenIds[index - 1]!, tokenId),
    );
  }

  /** The symbols of a token; empty for one that is never allowed. */
  symbolsOf(tokenId: number): Uint16Array {
    const word = this.#wordOf[tokenId] ?? -1;
    return word < 0 ? this.symbols.subarray(0, 0) : this.symbols.subarray(this.starts[word], this.starts[word + 1]);
  }
}

/** The words by token id. */
class UnsortedWords {
  readonly #symbols: Uint16Array;
  readonly #offsets: Uint32Array;

  constructor({ bytes, offsets, controlIds, vocabSize }: VocabularyTable) {
    this.#symbols = new Uint16Array(bytes.length + controlIds.length);
    this.#offsets = new Uint32Array(vocabSize + 1);
    const controls = new Map(controlIds.map((tokenId, index) => [tokenId, CONTROL_SYMBOLS + index]));
    for (let tokenId = 0; tokenId < vocabSize; tokenId++) {
      const control = controls.get(tokenId);
      const word = control === undefined ? bytes.subarray(offsets[tokenId], offsets[tokenId + 1]) : [control];
      this.#symbols.set(word, this.#offsets[tokenId]);
      this.#offsets[tokenId + 1] = this.#offsets[tokenId]! + word.length;
    }
  }

  lengthOf(tokenId: number): number {
    return this.#offsets[tokenId + 1]! - this.#offsets[tokenId]!;
  }

  symbolsOf(tokenId: number): Uint16Array {
    return this.#symbols.subarray(this.#offsets[tokenId], this.#offsets[tokenId + 1]);
  }

  /** Ids of the tokens that have a word. */
  sorted(): Int32Array {
    const ids = Array.from({ length: this.#offsets.length - 1 }, (_, tokenId) => tokenId);
    return Int32Array.from(ids.filter((tokenId) => this.lengthOf(tokenId) > 0)).sort((a, b) => this.#compare(a, b));
  }

  sharedLength(a: number, b: number): number {
    const [startA, startB] = [this.#offsets[a]!, this.#offsets[b]!];
    const end = Math.min(this.lengthOf(a), this.lengthOf(b));
    let length = 0;
    while (length < end && this.#symbols[startA + length] === this.#symbols[startB + length]) length += 1;
    return length;
  }

  #compare(a: number, b: number): number {
    const shared = this.sharedLength(a, b);
    const [lengthA, lengthB] = [this.lengthOf(a), this.lengthOf(b)];
    if (shared === lengthA || shared === lengthB) return lengthA - lengthB;
    return this.#symbols[this.#offsets[a]! + shared]! - this.#symbols[this.#offsets[b]! + shared]!;
  }
}
