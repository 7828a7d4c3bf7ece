import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BlockPool } from "./block-pool.js";

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
