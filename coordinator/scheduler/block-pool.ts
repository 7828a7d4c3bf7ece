import { NULL_BLOCK_ID } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";

/** Who knows what blocks hold, and whether somebody may want it again. */
export interface BlockKeeper {
  holds(blockId: number): boolean;
  /** The block has no reference any more. */
  released(blockId: number): void;
  /** The block is taken for something else. */
  evict(blockId: number): void;
}

/** Fields of a block's record. */
const REFERENCES = 0;
const NEXT = 1;
const PREVIOUS = 2;

const NO_KEEPER: BlockKeeper = { holds: () => false, released: () => {}, evict: () => {} };

/**
 * Owner of all KV block ids, 1 to numBlocks - 1; the null block is never handed out. A block with references is owned,
 * one without is free. Free blocks form a list, and a block is taken from its front:
 *
 *     front                                                              back
 *     hold nothing, freed last first    hold a prefix, freed first first          list of free blocks
 *
 * So a block that is warm in the device's caches comes first, and of the prefixes the one that nobody wanted for longest
 * is evicted first. The list is a ring through the null block: taking any block out of it is O(1).
 */
export class BlockPool {
  readonly numBlocks: number;
  readonly #keeper: BlockKeeper;
  /** (numBlocks, 4) REFERENCES, NEXT, PREVIOUS of each block side by side: a step asks for blocks that lie anywhere. */
  readonly #records: Int32Array;
  #numFree: number;

  /** @param numBlocks blocks of the device, the null block included; at least 2 */
  constructor(numBlocks: number, keeper: BlockKeeper = NO_KEEPER) {
    assert(Number.isSafeInteger(numBlocks) && numBlocks >= 2, `a pool needs 2 blocks or more, got ${numBlocks}`);
    this.numBlocks = numBlocks;
    this.#keeper = keeper;
    this.#numFree = numBlocks - 1;
    this.#records = new Int32Array(4 * numBlocks);
    for (let blockId = 0; blockId < numBlocks; blockId++) this.#link(blockId, (blockId + 1) % numBlocks);
  }

  get numFree(): number {
    return this.#numFree;
  }

  /** Blocks that can be owned. */
  get numTotal(): number {
    return this.numBlocks - 1;
  }

  /** Appends `count` fresh blocks with one reference each to `blockIds`; on false nothing has changed. */
  allocate(count: number, blockIds: number[]): boolean {
    assert(count >= 0, `cannot allocate ${count} blocks`);
    if (count > this.#numFree) return false;
    for (let i = 0; i < count; i++) {
      const blockId = this.#next(NULL_BLOCK_ID);
      this.#takeOut(blockId);
      if (this.#keeper.holds(blockId)) this.#keeper.evict(blockId);
      this.#records[4 * blockId + REFERENCES] = 1;
      blockIds.push(blockId);
    }
    return true;
  }

  /** One more reference to an owned block, or the first to a free one that holds something. */
  retain(blockId: number): void {
    if (this.refCount(blockId) === 0) {
      assert(this.#keeper.holds(blockId), `retained block ${blockId}, which nobody owns`);
      this.#takeOut(blockId);
    }
    this.#records[4 * blockId + REFERENCES]!++;
  }

  /** One reference less; the block is free when none is left. */
  release(blockId: number): void {
    assert(this.refCount(blockId) > 0, () => `released block ${blockId}, which nobody owns`);
    if (--this.#records[4 * blockId + REFERENCES]! > 0) return;
    this.#keeper.released(blockId);
    this.#putIn(blockId, this.#keeper.holds(blockId) ? NULL_BLOCK_ID : this.#next(NULL_BLOCK_ID));
  }

  /** Moves a free block to the front: what it held is not wanted any more. */
  discard(blockId: number): void {
    assert(!this.#keeper.holds(blockId), () => `discarded block ${blockId}, which holds something`);
    this.#takeOut(blockId);
    this.#putIn(blockId, this.#next(NULL_BLOCK_ID));
  }

  refCount(blockId: number): number {
    assert(blockId > NULL_BLOCK_ID && blockId < this.numBlocks, () => `block ${blockId} is not of this pool`);
    return this.#records[4 * blockId + REFERENCES]!;
  }

  #takeOut(blockId: number): void {
    assert(this.refCount(blockId) === 0, () => `block ${blockId} was free and referenced`);
    this.#link(this.#previous(blockId), this.#next(blockId));
    this.#numFree--;
  }

  #putIn(blockId: number, before: number): void {
    this.#link(this.#previous(before), blockId);
    this.#link(blockId, before);
    this.#numFree++;
  }

  /** Of a free block, the next one towards the back; of the null block, the front. */
  #next(blockId: number): number {
    return this.#records[4 * blockId + NEXT]!;
  }

  #previous(blockId: number): number {
    return this.#records[4 * blockId + PREVIOUS]!;
  }

  #link(blockId: number, next: number): void {
    this.#records[4 * blockId + NEXT] = next;
    this.#records[4 * next + PREVIOUS] = blockId;
  }

  /**
   * Compares every block with a recount of the references to it. O(numBlocks).
   * @param recounted (numBlocks) references found in the tables
   */
  check(recounted: Int32Array): void {
    let numOwned = 0;
    for (let id = 0; id < this.numBlocks; id++) {
      assert(
        this.#records[4 * id + REFERENCES] === recounted[id],
        `block ${id}: ${this.#records[4 * id + REFERENCES]} references counted, ${recounted[id]} in the tables`,
      );
      if (recounted[id]! > 0) numOwned++;
    }
    assert(recounted[NULL_BLOCK_ID] === 0, "the null block is owned");
    assert(numOwned + this.#numFree === this.numTotal, `${numOwned} owned and ${this.#numFree} free blocks`);
    this.#checkFreeBlocks();
  }

  #checkFreeBlocks(): void {
    let numSeen = 0;
    let hasSeenHeld = false;
    for (let id = this.#next(NULL_BLOCK_ID); id !== NULL_BLOCK_ID; id = this.#next(id)) {
      assert(this.refCount(id) === 0, `block ${id} is free and referenced`);
      assert(this.#previous(this.#next(id)) === id, `block ${id} is not where its neighbour says`);
      const isHeld = this.#keeper.holds(id);
      assert(isHeld || !hasSeenHeld, `block ${id} holds nothing and stands behind one that does`);
      hasSeenHeld ||= isHeld;
      assert(++numSeen <= this.#numFree, "the list of free blocks goes in circles");
    }
    assert(numSeen === this.#numFree, `${numSeen} blocks in the list of ${this.#numFree} free ones`);
  }
}
