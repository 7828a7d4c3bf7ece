import { NULL_BLOCK_ID } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import type { BlockPool } from "./block-pool.js";
import { firstLiveIndex, type KvShape, type KvTables } from "./kv-tables.js";
import type { BlockKey, PrefixCache } from "./prefix-cache.js";

/** Token ids that are known: prompt, then outputs. */
export interface TokenList {
  /** Writes the token ids of positions begin to end - 1 to `tokenIds` from `at` on. */
  copyTokens(begin: number, end: number, tokenIds: Int32Array, at: number): void;
}

/** A prefix whose KV is there, in blocks: what a sequence begins with. */
export interface PrefixHit {
  numBlocks: number;
  /** By KV group: the blocks that a query behind the prefix reads, the last of them at its end. */
  blockIds: readonly (readonly number[])[];
  /** The prefix's, in the cache. */
  prefixId: number;
}

export const NO_HIT: PrefixHit = { numBlocks: 0, blockIds: [], prefixId: 0 };

/**
 * One sequence's blocks in the prefix cache: finds those of its tokens that are there, and makes known those that it fills.
 * A block is hashed once, whatever becomes of the sequence; what hits depends on the moment.
 */
export class PrefixChain {
  readonly #cache: PrefixCache;
  readonly #pool: BlockPool;
  readonly #shape: KvShape;
  readonly #tokens: TokenList;
  /** By block: hash of the salt and all tokens up to its end. */
  readonly #hashes: number[];
  readonly #saltHash: number;
  /** Blocks of the sequence that are known to the cache, and the prefix that they are. */
  #numKnown = 0;
  #prefixId = 0;
  /** The first block that `find` did not find, and the prefix before it; null: it found all it was asked for. */
  #missing: { index: number; parentId: number } | null = null;
  /** Blocks that held the same as those published last, and that nobody used. */
  #twins: { group: number; index: number; parentId: number; blockId: number }[] = [];
  /** The block that is being looked at. */
  readonly #key: BlockKey;

  /** @param hashes of its first blocks, as far as somebody has hashed them; grows */
  constructor(
    cache: PrefixCache,
    pool: BlockPool,
    shape: KvShape,
    tokens: TokenList,
    salt: string,
    hashes: number[] = [],
  ) {
    this.#hashes = hashes;
    this.#cache = cache;
    this.#pool = pool;
    this.#shape = shape;
    this.#tokens = tokens;
    this.#saltHash = cache.blockHash(0, Buffer.from(salt));
    this.#key = { parentId: 0, salt, hash: 0, tokenIds: new Int32Array(shape.blockSize) };
  }

  /**
   * The longest prefix of at most `numTokensMax` tokens that every group has: all of it in full groups, the window before
   * its end in sliding ones. Group 0 is scanned from the left, the others from the right within what it has.
   */
  find(numTokensMax: number): PrefixHit {
    const full: number[] = [];
    const prefixIds = [0];
    const numBlocksMax = Math.floor(numTokensMax / this.#shape.blockSize);
    while (full.length < numBlocksMax) {
      const blockId = this.#find(0, full.length, prefixIds[full.length]!);
      if (blockId === NULL_BLOCK_ID) break;
      full.push(blockId);
      prefixIds.push(this.#cache.prefixId(blockId));
    }
    const parentId = prefixIds[full.length]!;
    this.#missing = full.length < numBlocksMax ? { index: full.length, parentId } : null;
    const numBlocks = this.#endInAllGroups(full.length, prefixIds);
    const blockIds = this.#shape.windows.map((window, group) => {
      if (group === 0) return full.slice(0, numBlocks);
      const first = firstLiveIndex(this.#shape, window, numBlocks * this.#shape.blockSize);
      return prefixIds.slice(first, numBlocks).map((parentId, i) => this.#find(group, first + i, parentId));
    });
    return { numBlocks, blockIds, prefixId: prefixIds[numBlocks]! };
  }

  /** Whether `find` would find more than it did last. It looks for one block, where `find` looks for all. */
  get hasGrown(): boolean {
    return this.#missing !== null && this.#find(0, this.#missing.index, this.#missing.parentId) !== NULL_BLOCK_ID;
  }

  /** The sequence's tables are about to begin with what was found. */
  beginWith({ numBlocks, prefixId, blockIds }: PrefixHit): void {
    this.#numKnown = numBlocks;
    this.#prefixId = prefixId;
    const last = blockIds[0]!.at(-1);
    if (last !== undefined) this.#cache.noteReuse(last, this.#pool.refCount(last) > 0);
  }

  /**
   * Makes known the full blocks of the first `numTokens` tokens, which are in a plan. Plans run in order, and a step writes all
   * keys and values of a layer before it reads any, so whoever is planned later, in the same step too, finds the KV there.
   */
  publish(numTokens: number, kv: KvTables): void {
    if (this.#twins.length > 0) this.#discardTwins();
    const { blockSize } = this.#shape;
    for (; (this.#numKnown + 1) * blockSize <= numTokens; this.#numKnown++) {
      this.#lookAt(this.#numKnown, this.#prefixId);
      for (let group = 0; group < this.#shape.windows.length; group++) this.#publish(group, kv);
    }
  }

  /** With fewer tokens `publish` has nothing to do: most steps do not come to the end of a block. */
  get publishesAt(): number {
    return this.#twins.length > 0 ? 0 : (this.#numKnown + 1) * this.#shape.blockSize;
  }

  /** Takes back what was published beyond the first `numTokens` tokens: it will not be computed. @returns the blocks */
  retract(numTokens: number, kv: KvTables): number[] {
    const retracted: number[] = [];
    this.#twins = [];
    while (this.#numKnown * this.#shape.blockSize > numTokens) {
      this.#numKnown--;
      for (const group of this.#shape.windows.keys()) {
        const blockId = kv.blockId(group, this.#numKnown);
        if (blockId === NULL_BLOCK_ID) continue;
        this.#cache.forget(blockId);
        retracted.push(blockId);
      }
    }
    this.#prefixId = this.#numKnown === 0 ? 0 : this.#cache.prefixId(kv.blockId(0, this.#numKnown - 1));
    return retracted;
  }

  /** Asserts that the cache knows the sequence's blocks by the sequence's own tokens. */
  check(kv: KvTables): void {
    let parentId = 0;
    for (let index = 0; index < this.#numKnown; index++) {
      for (const group of this.#shape.windows.keys()) {
        const blockId = kv.blockId(group, index);
        if (blockId === NULL_BLOCK_ID) continue;
        this.#lookAt(index, parentId);
        assert(this.#cache.isHolding(blockId, group, this.#key), `block ${blockId} is not known by what it holds`);
      }
      parentId = this.#cache.prefixId(kv.blockId(0, index));
    }
  }

  /** The largest end, of at most `end` blocks, that no group is against. One group may shorten what another has agreed to. */
  #endInAllGroups(end: number, prefixIds: readonly number[]): number {
    for (;;) {
      let shortened = end;
      for (const group of this.#shape.windows.keys()) {
        if (group > 0) shortened = this.#endInGroup(group, shortened, prefixIds);
      }
      if (shortened === end) return end;
      end = shortened;
    }
  }

  /** A block that is not there bounds the prefix, if the window of the prefix's end reaches back to it. */
  #endInGroup(group: number, end: number, prefixIds: readonly number[]): number {
    const window = this.#shape.windows[group]!;
    for (let index = end - 1; index >= firstLiveIndex(this.#shape, window, end * this.#shape.blockSize); index--) {
      if (this.#find(group, index, prefixIds[index]!) === NULL_BLOCK_ID) end = index;
    }
    return end;
  }

  #find(group: number, index: number, parentId: number): number {
    this.#lookAt(index, parentId);
    return this.#cache.find(group, this.#key);
  }

  /** Publishes the block that is being looked at. */
  #publish(group: number, kv: KvTables): void {
    const blockId = kv.blockId(group, this.#numKnown);
    if (blockId === NULL_BLOCK_ID) return;
    const twin = this.#cache.find(group, this.#key);
    this.#cache.insert(blockId, group, this.#key, twin);
    if (group === 0) this.#prefixId = this.#cache.prefixId(blockId);
    if (twin === NULL_BLOCK_ID || this.#pool.refCount(twin) > 0) return;
    this.#twins.push({ group, index: this.#numKnown, parentId: this.#key.parentId, blockId: twin });
  }

  /**
   * A copy that nobody uses would only be in the way of others. It goes a step after it got a twin: were that taken back, what
   * is cached behind both would have lost its prefix.
   */
  #discardTwins(): void {
    for (const { group, index, parentId, blockId } of this.#twins.splice(0)) {
      this.#lookAt(index, parentId);
      if (this.#pool.refCount(blockId) > 0 || !this.#cache.isHolding(blockId, group, this.#key)) continue;
      this.#cache.forget(blockId);
      this.#pool.discard(blockId);
    }
  }

  #lookAt(index: number, parentId: number): void {
    const { blockSize } = this.#shape;
    this.#key.parentId = parentId;
    this.#tokens.copyTokens(index * blockSize, (index + 1) * blockSize, this.#key.tokenIds, 0);
    this.#key.hash = this.#hash(index);
  }

  /** Of the block that is being looked at: at most one further than the last that was hashed. */
  #hash(index: number): number {
    if (index === this.#hashes.length) {
      const parentHash = index === 0 ? this.#saltHash : this.#hashes[index - 1]!;
      this.#hashes.push(this.#cache.blockHash(parentHash, this.#key.tokenIds));
    }
    return this.#hashes[index]!;
  }
}
