import { MoesaicError } from "../../../proto/errors.js";

/** Words up to this length are remembered: they recur; longer ones are hostile or rare. */
const CACHED_CHARS_MAX = 64;
const CACHED_WORDS_MAX = 16_384;
/** A heap key is rank * 2^30 + position: ranks below 2^22 keep it an exact integer, and sort before positions. */
const POSITIONS = 2 ** 30;
const TOKEN_IDS = 2 ** 22;

/**
 * Byte pair encoding of one word: of all neighbouring pairs that have a merge the one of lowest rank is joined, the
 * leftmost first, until none is left. O(n log n) in the word's length, so that a word of a megabyte is no attack.
 */
export class BytePairEncoder {
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #ignoreMerges: boolean;
  /** left * TOKEN_IDS + right -> rank. */
  readonly #ranks = new Map<number, number>();
  readonly #mergedIds: Int32Array;
  readonly #cache = new Map<string, readonly number[]>();

  /**
   * @param vocab entry -> token id, ids below 2^22, with every character of the byte alphabet
   * @param merges pairs of entries whose joined entry is in the vocabulary, in order of rank; below 2^22 of them
   * @param options ignoreMerges: a word that is an entry is that one token, whatever the merges would give
   */
  constructor(
    vocab: ReadonlyMap<string, number>,
    merges: readonly (readonly [string, string])[],
    options: { ignoreMerges: boolean },
  ) {
    this.#vocab = vocab;
    this.#ignoreMerges = options.ignoreMerges;
    this.#mergedIds = new Int32Array(merges.length);
    for (const [rank, [left, right]] of merges.entries()) this.#addMerge(rank, left, right);
  }

  /**
   * @param word in the byte alphabet, one character a byte
   * @throws MoesaicError invalid_argument when it has a character outside the alphabet
   */
  encode(word: string): readonly number[] {
    if (word.length > CACHED_CHARS_MAX) return this.#encode(word);
    const known = this.#cache.get(word);
    if (known !== undefined) return known;
    const tokenIds = this.#encode(word);
    // Starting over now and then costs less than keeping an order of use.
    if (this.#cache.size >= CACHED_WORDS_MAX) this.#cache.clear();
    this.#cache.set(word, tokenIds);
    return tokenIds;
  }

  #addMerge(rank: number, left: string, right: string): void {
    const leftId = this.#vocab.get(left);
    const rightId = this.#vocab.get(right);
    const mergedId = this.#vocab.get(left + right);
    // A part that is not in the vocabulary never arises, so neither does the pair.
    if (leftId === undefined || rightId === undefined || mergedId === undefined) return;
    this.#ranks.set(leftId * TOKEN_IDS + rightId, rank);
    this.#mergedIds[rank] = mergedId;
  }

  #encode(word: string): number[] {
    const whole = this.#ignoreMerges ? this.#vocab.get(word) : undefined;
    if (whole !== undefined) return [whole];
    const chain = new TokenChain(Array.from({ length: word.length }, (_, index) => this.#byteId(word.charAt(index))));
    const heap = new MinHeap();
    for (let position = 0; position + 1 < word.length; position++) this.#offer(heap, chain, position);
    for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
      const position = key % POSITIONS;
      const rank = (key - position) / POSITIONS;
      // Entries are not taken out of the heap when their pair changes: they are recognised here.
      if (this.#rankAt(chain, position) !== rank) continue;
      chain.join(position, this.#mergedIds[rank] ?? -1);
      this.#offer(heap, chain, position);
      this.#offer(heap, chain, chain.previous(position));
    }
    return chain.tokenIds();
  }

  #offer(heap: MinHeap, chain: TokenChain, position: number): void {
    const rank = this.#rankAt(chain, position);
    if (rank !== undefined) heap.push(rank * POSITIONS + position);
  }

  /** The rank of the pair that begins at a position; undefined when there is no such merge or no such pair. */
  #rankAt(chain: TokenChain, position: number): number | undefined {
    const left = chain.at(position);
    const right = chain.at(chain.next(position));
    return left < 0 || right < 0 ? undefined : this.#ranks.get(left * TOKEN_IDS + right);
  }

  #byteId(char: string): number {
    const tokenId = this.#vocab.get(char);
    if (tokenId !== undefined) return tokenId;
    const message = `the pre-tokenizer gave ${JSON.stringify(char)}, which is not in the byte alphabet`;
    throw new MoesaicError("invalid_argument", message);
  }
}

/** The tokens of a word, each at the position of its first byte; joined ones leave the position. */
class TokenChain {
  readonly #ids: number[];
  readonly #next: number[];
  readonly #previous: number[];

  constructor(tokenIds: number[]) {
    this.#ids = tokenIds;
    this.#next = tokenIds.map((_, position) => position + 1);
    this.#previous = tokenIds.map((_, position) => position - 1);
  }

  /** -1 where no token begins. */
  at(position: number): number {
    return this.#ids[position] ?? -1;
  }

  next(position: number): number {
    return this.#next[position] ?? -1;
  }

  previous(position: number): number {
    return this.#previous[position] ?? -1;
  }

  /** Replaces the tokens at a position and after it by one. */
  join(position: number, mergedId: number): void {
    const joined = this.next(position);
    const after = this.next(joined);
    this.#ids[position] = mergedId;
    this.#ids[joined] = -1;
    this.#next[position] = after;
    if (after < this.#previous.length) this.#previous[after] = position;
  }

  tokenIds(): number[] {
    return this.#ids.filter((tokenId) => tokenId >= 0);
  }
}

/** Smallest number first. */
class MinHeap {
  readonly #keys: number[] = [];

  push(key: number): void {
    const keys = this.#keys;
    let index = keys.length;
    keys.push(key);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const parentKey = keys[parent] ?? -Infinity;
      if (parentKey <= key) break;
      keys[index] = parentKey;
      index = parent;
    }
    keys[index] = key;
  }

  pop(): number | undefined {
    const keys = this.#keys;
    const smallest = keys[0];
    const moved = keys.pop();
    if (moved !== undefined && keys.length > 0) this.#sink(moved);
    return smallest;
  }

  /** Puts a key in at the top and moves it down to where it belongs. */
  #sink(key: number): void {
    const keys = this.#keys;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const right = left + 1;
      const child = (keys[right] ?? Infinity) < (keys[left] ?? Infinity) ? right : left;
      const childKey = keys[child];
      if (childKey === undefined || childKey >= key) break;
      keys[index] = childKey;
      index = child;
    }
    keys[index] = key;
  }
}
