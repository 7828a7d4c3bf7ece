import { NULL_BLOCK_ID } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import type { BlockHash } from "./block-hash.js";
import type { BlockKeeper } from "./block-pool.js";

/** What the cache tells of itself as it goes, milliseconds. */
export interface PrefixCacheObserver {
  /** A prefix was taken from the cache: since its last block was used last; 0 when a sequence is using it now. */
  reused(gapMs: number): void;
  /** A block was evicted to make room: since it was used last, and since it was filled. Told once per step. */
  evicted(idleMs: number, residencyMs: number): void;
}

export const NO_CACHE_OBSERVER: PrefixCacheObserver = { reused: () => {}, evicted: () => {} };

/** What a full block holds in each KV group: tokens behind a prefix. */
export interface BlockKey {
  /** Id of the prefix before the block; 0: there is none. */
  parentId: number;
  /** Sequences of different salts never share a block. */
  salt: string;
  /** Of the parent's hash and the token ids. */
  hash: number;
  /** (blockSize) */
  tokenIds: Int32Array;
}

/** Fields of a block's record, as doubles. Times are of `nowMs`. */
const PARENT_ID = 0;
/** Of group 0: the prefix that ends with the block. */
const PREFIX_ID = 1;
const FILLED_MS = 2;
const USED_MS = 3;
/** And behind them, as int32, the first of blockSize token ids. */
const TOKEN_IDS = 8;
/** Fields of a block's link. */
const HASH = 0;
const NEXT_IN_BUCKET = 1;
/** A cache line of 64 bytes. */
const INTS_PER_LINE = 16;

/**
 * Which full blocks hold the KV of which tokens. Keys and values of a token depend on all tokens before it, so a block is
 * known by its token ids *and* the prefix before it. A prefix is a salt and the token ids up to the end of a block; each one
 * that is cached has an id, which is never given to another:
 *
 *     salt "a", [5 8 1 3] is prefix 7        block 30 of group 0: no parent, salt "a", tokens 5 8 1 3, prefix 7
 *               then [2 2 9 4] is prefix 9   block 31 of group 0: parent 7, tokens 2 2 9 4, prefix 9
 *                                            block 12 of group 1: parent 7, tokens 2 2 9 4
 *               or [6 1 1 0] is prefix 8     block 33 of group 0: parent 7, tokens 6 1 1 0, prefix 8
 *
 * A hash finds the bucket; the parent's id and the token ids decide. So a hit is right by construction: no collision of
 * hashes, of this block or of any before it, can make one prefix pass for another.
 *
 * A block stays known while sequences use it and after they have released it, until the pool takes it for something else.
 * Two blocks may hold the same, when two sequences computed it side by side. A pool has 100,000 blocks,
 * and those that a step asks for lie anywhere; so the time goes to the memory that is touched, and the layout is made for that.
 */
export class PrefixCache implements BlockKeeper {
  /** When things happen; whoever calls keeps it up to date. */
  nowMs = 0;
  readonly blockHash: BlockHash;
  readonly blockSize: number;
  readonly #observer: PrefixCacheObserver;
  /** By block: KV group + 1, or 0 when it holds nothing that is known. */
  readonly #groups: Uint8Array;
  /** (numBlocks, 2) what a search looks at on its way: few bytes a block, so that it stays in the processor's caches. */
  readonly #links: Int32Array;
  /** A record per block, which only a hit reads, seen as numbers of two kinds. */
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;
  /** Of a record. */
  readonly #numInts: number;
  readonly #numDoubles: number;
  /** By bucket: its first block. A power of two of them. */
  readonly #buckets: Int32Array;
  /** By block without a parent. */
  readonly #salts = new Map<number, string>();
  #lastPrefixId = 0;
  #numBlocks = 0;
  #evictionToldMs = -1;

  /** @param numBlocks blocks of the device, the null block included */
  constructor(numBlocks: number, blockSize: number, blockHash: BlockHash, observer = NO_CACHE_OBSERVER) {
    this.blockHash = blockHash;
    this.blockSize = blockSize;
    this.#observer = observer;
    this.#groups = new Uint8Array(numBlocks);
    this.#links = new Int32Array(2 * numBlocks);
    this.#numInts = INTS_PER_LINE * Math.ceil((TOKEN_IDS + blockSize) / INTS_PER_LINE);
    this.#numDoubles = this.#numInts / 2;
    this.#ints = new Int32Array(numBlocks * this.#numInts);
    this.#doubles = new Float64Array(this.#ints.buffer);
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(numBlocks)));
  }

  /** Blocks that are known, in use or free. */
  get numBlocks(): number {
    return this.#numBlocks;
  }

  /** A block that holds this, or the null block. */
  find(groupIndex: number, key: BlockKey): number {
    let blockId = this.#buckets[this.#bucketOf(key.hash)]!;
    while (blockId !== NULL_BLOCK_ID && !this.isHolding(blockId, groupIndex, key)) blockId = this.#next(blockId);
    return blockId;
  }

  /** Whether a block is known by this. */
  isHolding(blockId: number, groupIndex: number, { parentId, salt, hash, tokenIds }: BlockKey): boolean {
    if (this.#hash(blockId) !== hash || this.#groups[blockId] !== groupIndex + 1) return false;
    if (this.#double(blockId, PARENT_ID) !== parentId) return false;
    if (parentId === 0 && this.#salts.get(blockId) !== salt) return false;
    const begin = blockId * this.#numInts + TOKEN_IDS;
    for (let i = 0; i < this.blockSize; i++) if (this.#ints[begin + i] !== tokenIds[i]) return false;
    return true;
  }

  /** The prefix that ends with a known block of group 0. */
  prefixId(blockId: number): number {
    return this.#double(blockId, PREFIX_ID);
  }

  /**
   * From now on the block holds this.
   * @param twin another block that holds the same, or the null block
   */
  insert(blockId: number, groupIndex: number, { parentId, salt, hash, tokenIds }: BlockKey, twin: number): void {
    assert(!this.holds(blockId), () => `block ${blockId} holds something already`);
    const bucket = this.#bucketOf(hash);
    this.#groups[blockId] = groupIndex + 1;
    this.#links[2 * blockId + HASH] = hash;
    this.#links[2 * blockId + NEXT_IN_BUCKET] = this.#buckets[bucket]!;
    const begin = blockId * this.#numInts + TOKEN_IDS;
    for (let i = 0; i < this.blockSize; i++) this.#ints[begin + i] = tokenIds[i]!;
    this.#buckets[bucket] = blockId;
    const doubles = blockId * this.#numDoubles;
    this.#doubles[doubles + PARENT_ID] = parentId;
    this.#doubles[doubles + FILLED_MS] = this.nowMs;
    if (groupIndex === 0) {
      this.#doubles[doubles + PREFIX_ID] = twin === NULL_BLOCK_ID ? ++this.#lastPrefixId : this.prefixId(twin);
    }
    if (parentId === 0) this.#salts.set(blockId, salt);
    this.#numBlocks++;
  }

  holds(blockId: number): boolean {
    return this.#groups[blockId] !== 0;
  }

  released(blockId: number): void {
    this.#doubles[blockId * this.#numDoubles + USED_MS] = this.nowMs;
  }

  evict(blockId: number): void {
    this.forget(blockId);
    if (this.#evictionToldMs === this.nowMs) return;
    this.#evictionToldMs = this.nowMs;
    const [usedMs, filledMs] = [this.#double(blockId, USED_MS), this.#double(blockId, FILLED_MS)];
    this.#observer.evicted(this.nowMs - usedMs, this.nowMs - filledMs);
  }

  /** The block holds nothing that is known any more. */
  forget(blockId: number): void {
    assert(this.holds(blockId), () => `block ${blockId} holds nothing`);
    const bucket = this.#bucketOf(this.#hash(blockId));
    const next = this.#next(blockId);
    if (this.#buckets[bucket] === blockId) this.#buckets[bucket] = next;
    else this.#links[2 * this.#before(blockId, bucket) + NEXT_IN_BUCKET] = next;
    this.#groups[blockId] = 0;
    this.#salts.delete(blockId);
    this.#numBlocks--;
  }

  /** A sequence begins behind a prefix that ends with this block. @param isInUse another one uses it now */
  noteReuse(blockId: number, isInUse: boolean): void {
    this.#observer.reused(isInUse ? 0 : this.nowMs - this.#double(blockId, USED_MS));
  }

  /** The KV is gone. */
  clear(): void {
    this.#groups.fill(0);
    this.#buckets.fill(NULL_BLOCK_ID);
    this.#salts.clear();
    this.#numBlocks = 0;
  }

  /**
   * Asserts that every known block is in its bucket, and that its parent is cached too: the prefix of a block is released
   * after the block, so it must be evicted after it. O(numBlocks).
   */
  check(): void {
    const prefixIds = new Set([0]);
    let numKnown = 0;
    for (const [blockId, group] of this.#groups.entries()) {
      if (group === 0) continue;
      numKnown++;
      if (group === 1) prefixIds.add(this.prefixId(blockId));
      const bucket = this.#bucketOf(this.#hash(blockId));
      assert(this.#buckets[bucket] === blockId || this.#before(blockId, bucket) > 0, "a block is in no bucket");
    }
    assert(numKnown === this.#numBlocks, `${numKnown} blocks are known, ${this.#numBlocks} were counted`);
    for (const [blockId, group] of this.#groups.entries()) {
      if (group !== 1) continue;
      assert(prefixIds.has(this.#double(blockId, PARENT_ID)), `block ${blockId} outlived the prefix before it`);
    }
  }

  #hash(blockId: number): number {
    return this.#links[2 * blockId + HASH]!;
  }

  #next(blockId: number): number {
    return this.#links[2 * blockId + NEXT_IN_BUCKET]!;
  }

  #double(blockId: number, field: number): number {
    return this.#doubles[blockId * this.#numDoubles + field]!;
  }

  #bucketOf(hash: number): number {
    return hash & (this.#buckets.length - 1);
  }

  /** The block before this one in its bucket; a linear search, of one or two blocks. */
  #before(blockId: number, bucket: number): number {
    let before = this.#buckets[bucket]!;
    while (before !== NULL_BLOCK_ID && this.#next(before) !== blockId) {
      before = this.#next(before);
    }
    assert(before !== NULL_BLOCK_ID, () => `block ${blockId} is not in its bucket`);
    return before;
  }
}
