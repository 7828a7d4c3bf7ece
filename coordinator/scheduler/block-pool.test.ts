import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BlockPool } from "./block-pool.js";

function poolWithKeeper(numBlocks: number): { pool: BlockPool; keeper: { held: Set<number>; evicted: number[] } } {
  const keeper = { held: new Set<number>(), evicted: [] as number[] };
  const pool = new BlockPool(numBlocks, {
    holds: (blockId) => keeper.held.has(blockId),
    released: () => {},
    evict: (blockId) => {
      keeper.held.delete(blockId);
      keeper.evicted.push(blockId);
    },
  });
  return { pool, keeper };
}

function references(pool: BlockPool, ...blockIds: number[]): Int32Array {
  const counts = new Int32Array(pool.numBlocks);
  for (const blockId of blockIds) counts[blockId]!++;
  return counts;
}

describe("BlockPool", () => {
  it("hands out every block but the null block, each once", () => {
    const pool = new BlockPool(6);
    const blockIds: number[] = [];
    assert.ok(pool.allocate(5, blockIds));
    assert.deepEqual(blockIds, [1, 2, 3, 4, 5]);
    assert.equal(pool.numFree, 0);
    pool.check(references(pool, 1, 2, 3, 4, 5));
  });

  it("allocates all or nothing", () => {
    const pool = new BlockPool(4);
    const blockIds = [9];
    assert.ok(!pool.allocate(4, blockIds));
    assert.deepEqual([blockIds, pool.numFree], [[9], 3]);
  });

  it("frees a block with its last reference, and takes it again first", () => {
    const pool = new BlockPool(6);
    const blockIds: number[] = [];
    pool.allocate(2, blockIds);
    pool.retain(1);
    pool.release(1);
    assert.deepEqual([pool.refCount(1), pool.numFree], [1, 3]);
    pool.check(references(pool, 1, 2));
    pool.release(1);
    assert.deepEqual([pool.refCount(1), pool.numFree], [0, 4]);
    pool.allocate(1, blockIds);
    assert.equal(blockIds.at(-1), 1);
  });

  it("takes what holds nothing first, and evicts what was freed first", () => {
    const { pool, keeper } = poolWithKeeper(8);
    const blockIds: number[] = [];
    pool.allocate(7, blockIds);
    for (const blockId of [1, 2, 3, 5]) keeper.held.add(blockId);
    for (const blockId of [3, 6, 2, 7, 1]) pool.release(blockId);
    pool.check(references(pool, 4, 5));
    const taken: number[] = [];
    pool.allocate(4, taken);
    assert.deepEqual(
      [taken, keeper.evicted],
      [
        [7, 6, 3, 2],
        [3, 2],
      ],
    );
    pool.check(references(pool, 4, 5, 7, 6, 3, 2));
  });

  it("gives a free block back to whoever wants what it holds, from anywhere in the list", () => {
    const { pool, keeper } = poolWithKeeper(5);
    pool.allocate(4, []);
    for (const blockId of [1, 2, 3]) keeper.held.add(blockId);
    for (const blockId of [1, 2, 3, 4]) pool.release(blockId);
    pool.retain(2);
    pool.retain(2);
    assert.deepEqual([pool.refCount(2), pool.numFree], [2, 3]);
    keeper.held.delete(3);
    pool.discard(3);
    pool.check(references(pool, 2, 2));
    const taken: number[] = [];
    pool.allocate(3, taken);
    assert.deepEqual([taken, keeper.evicted], [[3, 4, 1], [1]]);
  });

  it("stops on a block that is released twice, retained while free, or not of the pool", () => {
    const pool = new BlockPool(4);
    for (const blockId of [0, -1, 4, 1]) {
      assert.throws(() => pool.release(blockId), { code: "internal" }, `${blockId}`);
      assert.throws(() => pool.retain(blockId), { code: "internal" }, `${blockId}`);
    }
  });

  it("notices references that the tables do not have, and the other way round", () => {
    const pool = new BlockPool(4);
    pool.allocate(1, []);
    assert.throws(() => pool.check(references(pool)), /block 1: 1 references counted, 0 in the tables/);
    assert.throws(() => pool.check(references(pool, 1, 2)), /block 2: 0 references counted, 1 in the tables/);
  });
});
