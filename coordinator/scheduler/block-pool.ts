import { NULL_BLOCK_ID } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";

/**
 * Owner of all KV block ids, 1 to numBlocks - 1; the null block is never handed out. A block with references is owned,
 * one without is free. The free ones form a stack: the block freed last, warm in the device's caches, is taken first.
 */
export class BlockPool {
  readonly numBlocks: number;
  readonly #refCounts: Int32Array;
  readonly #freeIds: Int32Array;
  #numFree: number;

  /** @param numBlocks blocks of the device, the null block included; at least 2 */
  constructor(numBlocks: number) {
    assert(Number.isSafeInteger(numBlocks) && numBlocks >= 2, `a pool needs 2 blocks or more, got ${numBlocks}`);
    this.numBlocks = numBlocks;
    this.#numFree = numBlocks - 1;
    this.#refCounts = new Int32Array(numBlocks);
    this.#freeIds = Int32Array.from({ length: this.#numFree }, (_, index) => numBlocks - 1 - index);
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
      const blockId = this.#freeIds[--this.#numFree]!;
      assert(this.#refCounts[blockId] === 0, () => `block ${blockId} was free and referenced`);
      this.#refCounts[blockId] = 1;
      blockIds.push(blockId);
    }
    return true;
  }

  /** One more reference to an owned block. */
  retain(blockId: number): void {
    assert(this.refCount(blockId) > 0, `retained block ${blockId}, which nobody owns`);
    this.#refCounts[blockId]!++;
  }

  /** One reference less; the block is free when none is left. */
  release(blockId: number): void {
    assert(this.refCount(blockId) > 0, () => `released block ${blockId}, which nobody owns`);
    if (--this.#refCounts[blockId]! === 0) this.#freeIds[this.#numFree++] = blockId;
  }

  refCount(blockId: number): number {
    assert(blockId > NULL_BLOCK_ID && blockId < this.numBlocks, () => `block ${blockId} is not of this pool`);
    return this.#refCounts[blockId]!;
  }

  /**
   * Compares every block with a recount of the references to it. O(numBlocks).
   * @param recounted (numBlocks) references found in the tables
   */
  check(recounted: Int32Array): void {
    let numOwned = 0;
    for (let id = 0; id < this.numBlocks; id++) {
      assert(
        this.#refCounts[id] === recounted[id],
        `block ${id}: ${this.#refCounts[id]} references counted, ${recounted[id]} in the tables`,
      );
      if (this.#refCounts[id]! > 0) numOwned++;
    }
    assert(this.#refCounts[NULL_BLOCK_ID] === 0, "the null block is owned");
    assert(numOwned + this.#numFree === this.numTotal, `${numOwned} owned and ${this.#numFree} free blocks`);
    this.#checkFreeIds();
  }

  #checkFreeIds(): void {
    const seen = new Uint8Array(this.numBlocks);
    for (const blockId of this.#freeIds.subarray(0, this.#numFree)) {
      assert(this.refCount(blockId) === 0, `block ${blockId} is free and referenced`);
      assert(seen[blockId] === 0, `block ${blockId} is free twice`);
      seen[blockId] = 1;
    }
  }
}
