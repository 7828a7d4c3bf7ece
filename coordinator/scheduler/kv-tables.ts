import { NULL_BLOCK_ID } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import type { BlockPool } from "./block-pool.js";

/** How KV is laid out, the same for every sequence. */
export interface KvShape {
  /** Tokens per KV block. */
  blockSize: number;
  /** One entry per KV group: tokens a query sees, itself included; 0 means all. Group 0 is always a full one. */
  windows: readonly number[];
}

/** Blocks that hold `numTokens` tokens from the sequence's start. */
export function blocksFor(shape: KvShape, numTokens: number): number {
  return Math.ceil(numTokens / shape.blockSize);
}

/**
 * Most blocks that one group holds while a sequence grows to `numTokens` in chunks of at most `chunk` tokens. A query
 * reads window - 1 earlier tokens, so a step touches window - 1 + chunk in a row; these may begin inside a block.
 */
export function groupBlocksMax(shape: KvShape, window: number, numTokens: number, chunk: number): number {
  const all = blocksFor(shape, numTokens);
  return window === 0 ? all : Math.min(all, blocksFor(shape, window - 1 + chunk) + 1);
}

/** Blocks that a sequence begins with because others have filled them. */
export interface BlocksAtHand {
  /** Blocks of the prefix that they hold. */
  numBlocks: number;
  /** By KV group: those of them that nobody uses now. */
  numFree: readonly number[];
}

/**
 * The same over all groups: what a pool must have free for the sequence to get there undisturbed. Of the blocks at hand,
 * those that nobody uses are taken from the free ones too.
 */
export function kvBlocksMax(shape: KvShape, numTokens: number, chunk: number, atHand?: BlocksAtHand): number {
  const numNew = blocksFor(shape, numTokens) - (atHand?.numBlocks ?? 0);
  return shape.windows.reduce((sum, window, group) => {
    const numTaken = numNew + (atHand?.numFree[group] ?? 0);
    return sum + Math.min(numTaken, groupBlocksMax(shape, window, numTokens, chunk));
  }, 0);
}

/**
 * Fewest blocks with which a sequence can get to `numTokens` at all, one token a step. The need is highest somewhere in
 * the last block: from one block to the next the full groups grow and the sliding ones repeat themselves.
 */
export function kvBlocksMin(shape: KvShape, numTokens: number): number {
  let most = 0;
  for (let position = (blocksFor(shape, numTokens) - 1) * shape.blockSize; position < numTokens; position++) {
    const end = Math.floor(position / shape.blockSize) + 1;
    const held = shape.windows.reduce((sum, window) => sum + end - firstLiveIndex(shape, window, position), 0);
    most = Math.max(most, held);
  }
  return most;
}

/**
 * The block tables of one sequence, one per KV group. All groups grow to the same end; sliding groups give back blocks
 * at their front:
 *
 *     table index    0     1     2     3     4          blockSize 4, window 6, 14 tokens computed
 *     full          [b1]  [b2]  [b3]  [b4]
 *     sliding        -     -    [b7]  [b9]              token 14 reads 9..14, so blocks 0 and 1 (tokens 0..7) are dead
 */
export class KvTables {
  readonly #pool: BlockPool;
  readonly #shape: KvShape;
  readonly #groups: GroupTable[];
  /** Table index past the last block, in every group. */
  #endIndex = 0;
  /** Table index up to which step plans have told the ranks. */
  #toldIndex = 0;
  /** With fewer tokens computed no window has left its first block: most steps leave none. */
  #nextDeadAt: number;

  constructor(pool: BlockPool, shape: KvShape) {
    this.#pool = pool;
    this.#shape = shape;
    this.#groups = shape.windows.map((window) => ({ window, firstIndex: 0, blockIds: [] }));
    this.#nextDeadAt = this.#findNextDeadAt();
  }

  /** Tokens that the tables have room for. */
  get numTokensMax(): number {
    return this.#endIndex * this.#shape.blockSize;
  }

  /** Up to so many tokens nothing grows and nothing is freed. */
  get unchangedUntil(): number {
    return Math.min(this.numTokensMax, this.#nextDeadAt);
  }

  /** Most of `wanted` further tokens for which the pool has blocks now. */
  numTokensThatFit(numComputedTokens: number, wanted: number): number {
    const room = this.numTokensMax - numComputedTokens;
    if (wanted <= room) return wanted;
    const blocksEach = Math.floor(this.#pool.numFree / this.#groups.length);
    return Math.min(wanted, room + blocksEach * this.#shape.blockSize);
  }

  /** Blocks to be taken for `numTokens` tokens in every group. */
  numBlocksMissing(numTokens: number): number {
    return Math.max(0, blocksFor(this.#shape, numTokens) - this.#endIndex) * this.#groups.length;
  }

  /**
   * Blocks still to be taken, at the worst moment, on the way to `numTokens` in chunks of at most `chunk`. Blocks that others
   * use too do not come back when the window leaves them, so they save a sliding group none.
   */
  blocksPromised(numTokens: number, chunk: number): number {
    const numNew = blocksFor(this.#shape, numTokens) - this.#endIndex;
    return this.#groups.reduce((sum, { window, blockIds }) => {
      if (window === 0) return sum + numNew;
      const numOwn = blockIds.reduce((count, blockId) => count + (this.#pool.refCount(blockId) === 1 ? 1 : 0), 0);
      return sum + Math.min(numNew, Math.max(0, groupBlocksMax(this.#shape, window, numTokens, chunk) - numOwn));
    }, 0);
  }

  /**
   * Begins empty tables with the blocks of a prefix that others have filled.
   * @param blockIds by group, as PrefixHit
   */
  beginWith(numBlocks: number, blockIds: readonly (readonly number[])[]): void {
    assert(this.#endIndex === 0, "tables that hold blocks began anew");
    this.#endIndex = numBlocks;
    for (const [index, group] of this.#groups.entries()) {
      group.blockIds = [...blockIds[index]!];
      group.firstIndex = numBlocks - group.blockIds.length;
      for (const blockId of group.blockIds) this.#pool.retain(blockId);
    }
    this.#nextDeadAt = this.#findNextDeadAt();
  }

  /** Makes room for `numTokens` tokens in every group; the caller has asked that they fit. */
  grow(numTokens: number): void {
    const count = blocksFor(this.#shape, numTokens) - this.#endIndex;
    if (count <= 0) return;
    assert(this.#pool.numFree >= count * this.#groups.length, "grew past the free blocks");
    for (const group of this.#groups) assert(this.#pool.allocate(count, group.blockIds), "all or nothing broke");
    this.#endIndex += count;
  }

  /** Frees the sliding groups' blocks that no token from `numComputedTokens` on can see. */
  freeBehindWindow(numComputedTokens: number): void {
    if (numComputedTokens < this.#nextDeadAt) return;
    for (const group of this.#groups) {
      const firstLive = firstLiveIndex(this.#shape, group.window, numComputedTokens);
      assert(firstLive <= Math.max(this.#toldIndex, group.firstIndex), "freed a block before the ranks knew of it");
      for (; group.firstIndex < firstLive; group.firstIndex++) this.#pool.release(group.blockIds.shift()!);
    }
    this.#nextDeadAt = this.#findNextDeadAt();
  }

  #findNextDeadAt(): number {
    const { blockSize } = this.#shape;
    return this.#groups.reduce((earliest, { window, firstIndex }) => {
      return window === 0 ? earliest : Math.min(earliest, (firstIndex + 1) * blockSize + window - 1);
    }, Infinity);
  }

  /**
   * Appends a record [row, first table index, count, block ids…] per group that the ranks have not been told of.
   * @param deltas one list per group, as StepPlan.blockDeltas
   */
  tell(row: number, deltas: readonly number[][]): void {
    if (this.#toldIndex === this.#endIndex) return;
    for (const [index, group] of this.#groups.entries()) {
      const records = deltas[index]!;
      // A prefix from the cache has no blocks left of its window.
      const first = Math.max(this.#toldIndex, group.firstIndex);
      if (first === this.#endIndex) continue;
      records.push(row, first, this.#endIndex - first);
      for (let i = first - group.firstIndex; i < group.blockIds.length; i++) records.push(group.blockIds[i]!);
    }
    this.#toldIndex = this.#endIndex;
  }

  /** Table entries that the ranks know of. */
  get numToldBlocks(): number {
    return this.#toldIndex;
  }

  /** The ranks have not heard of entries from `numBlocks` on after all: they are told again. */
  untell(numBlocks: number): void {
    this.#toldIndex = Math.min(this.#toldIndex, numBlocks);
  }

  /** Gives every block back. Last first: of a prefix the end is the first to be evicted, and its beginning the last. */
  free(): void {
    for (const group of this.#groups) {
      for (let i = group.blockIds.length - 1; i >= 0; i--) this.#pool.release(group.blockIds[i]!);
      group.blockIds = [];
      group.firstIndex = 0;
    }
    this.#endIndex = 0;
    this.#toldIndex = 0;
    this.#nextDeadAt = this.#findNextDeadAt();
  }

  /** The block at a table index; the null block where the window has left it. */
  blockId(groupIndex: number, index: number): number {
    const { firstIndex, blockIds } = this.#groups[groupIndex]!;
    return blockIds[index - firstIndex] ?? NULL_BLOCK_ID;
  }

  /** Blocks of all groups that nobody else uses: what comes free when the sequence gives its blocks back. */
  get numBlocksAlone(): number {
    let count = 0;
    for (const { blockIds } of this.#groups) for (const id of blockIds) if (this.#pool.refCount(id) === 1) count++;
    return count;
  }

  /** Of all groups together. */
  get numBlocksHeld(): number {
    let sum = 0;
    for (const { blockIds } of this.#groups) sum += blockIds.length;
    return sum;
  }

  numBlocks(groupIndex: number): number {
    return this.#groups[groupIndex]!.blockIds.length;
  }

  /** The same, where a block that n sequences use counts as 1/n: over all of them each block counts once. */
  shareOfBlocks(groupIndex: number): number {
    return this.#groups[groupIndex]!.blockIds.reduce((sum, blockId) => sum + 1 / this.#pool.refCount(blockId), 0);
  }

  /** Adds this sequence's references to `references`, which has an entry per block of the pool. */
  recount(references: Int32Array): void {
    for (const group of this.#groups) {
      assert(group.firstIndex + group.blockIds.length === this.#endIndex, "a table ends where no other does");
      for (const blockId of group.blockIds) references[blockId]!++;
    }
  }

  /** Asserts the bound on what sliding groups hold while `chunk` tokens are computed. */
  checkBounds(chunk: number): void {
    for (const { window, blockIds } of this.#groups) {
      const most = groupBlocksMax(this.#shape, window, this.numTokensMax, chunk);
      assert(blockIds.length <= most, `a group of window ${window} holds ${blockIds.length} blocks, more than ${most}`);
    }
  }
}

interface GroupTable {
  window: number;
  /** Table index of `blockIds[0]`; above 0 only in sliding groups. */
  firstIndex: number;
  blockIds: number[];
}

/** Table index of the first block that a query at `position` or later reads. */
export function firstLiveIndex(shape: KvShape, window: number, position: number): number {
  if (window === 0) return 0;
  return Math.floor(Math.max(0, position - window + 1) / shape.blockSize);
}
