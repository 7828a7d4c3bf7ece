import type { Automaton } from "./automaton-builder.js";
import { DEAD, LazyAutomaton } from "./lazy-automaton.js";
import type { Vocabulary } from "./vocabulary.js";

/** Which tokens may come next, a bit each: bit `id % 32` of word `id / 32`. */
export interface TokenSet {
  words: Int32Array;
  size: number;
}

/** What may come in one state: the allowed tokens, and those of them after which the state is the same. */
export interface NextTokens {
  allowed: TokenSet;
  staying: TokenSet;
}

/** An automaton over a vocabulary: the states in which a text can be, and the tokens that may follow in each. */
export class Grammar {
  static readonly START = LazyAutomaton.START;
  readonly #automaton: LazyAutomaton;
  readonly #vocabulary: Vocabulary;

  constructor(automaton: Automaton, vocabulary: Vocabulary) {
    this.#automaton = new LazyAutomaton(automaton, vocabulary.numSymbols);
    this.#vocabulary = vocabulary;
  }

  get numStates(): number {
    return this.#automaton.numStates;
  }

  isAccepting(state: number): boolean {
    return this.#automaton.isAccepting(state);
  }

  /** The state after one more token, or DEAD. @throws MoesaicError resource_exhausted as LazyAutomaton.step */
  advance(state: number, tokenId: number): number {
    this.#automaton.beginQuestion();
    const symbols = this.#vocabulary.symbolsOf(tokenId);
    let reached = symbols.length === 0 ? DEAD : state;
    for (let at = 0; at < symbols.length && reached !== DEAD; at++) {
      reached = this.#automaton.step(reached, symbols[at]!);
    }
    return reached;
  }

  /**
   * Goes over the vocabulary in alphabetical order, so that what neighbours share is read once, and passes over all
   * words that begin with what is dead. O(symbols of the words that are alive, and one more each).
   * @throws MoesaicError resource_exhausted as LazyAutomaton.step
   */
  nextTokens(state: number): NextTokens {
    this.#automaton.beginQuestion();
    const { tokenIds, sharedLengths, vocabSize, lengthMax } = this.#vocabulary;
    const next = { allowed: emptySet(vocabSize), staying: emptySet(vocabSize) };
    // reached[n] is the state after the first n symbols of the last word that was read; deadAt: how many were too many.
    const reached = new Int32Array(lengthMax + 1);
    reached[0] = state;
    let deadAt = Infinity;
    for (let index = 0; index < tokenIds.length; index++) {
      const shared = sharedLengths[index]!;
      if (shared >= deadAt) continue;
      deadAt = this.#read(index, shared, reached);
      if (deadAt < Infinity) continue;
      put(next.allowed, tokenIds[index]!);
      if (reached[this.#lengthOf(index)] === state) put(next.staying, tokenIds[index]!);
    }
    return next;
  }

  /** Reads a word from its `place`th symbol on. @returns the length at which it died, or Infinity */
  #read(index: number, place: number, reached: Int32Array): number {
    const { symbols, starts } = this.#vocabulary;
    const start = starts[index]!;
    const length = this.#lengthOf(index);
    for (let at = place; at < length; at++) {
      const to = this.#automaton.step(reached[at]!, symbols[start + at]!);
      if (to === DEAD) return at + 1;
      reached[at + 1] = to;
    }
    return Infinity;
  }

  #lengthOf(index: number): number {
    return this.#vocabulary.starts[index + 1]! - this.#vocabulary.starts[index]!;
  }
}

export function isIn({ words }: TokenSet, tokenId: number): boolean {
  return ((words[tokenId >>> 5]! >>> (tokenId & 31)) & 1) === 1;
}

function emptySet(vocabSize: number): TokenSet {
  return { words: new Int32Array(Math.ceil(vocabSize / 32)), size: 0 };
}

function put(set: TokenSet, tokenId: number): void {
  set.words[tokenId >>> 5]! |= 1 << (tokenId & 31);
  set.size += 1;
}
