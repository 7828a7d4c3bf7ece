import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BlockPool } from "./block-pool.js";
import { groupBlocksMax, kvBlocksMax, kvBlocksMin, KvTables, type KvShape } from "./kv-tables.js";

/** Every free block holds something, so that it may be taken again. */
const HOLDS_ALL = { holds: () => true, released: () => {}, evict: () => {} };
const SHAPE: KvShape = { blockSize: 4, windows: [0, 6] };

function told(tables: KvTables, numGroups = 2): number[][] {
  const deltas = Array.from({ length: numGroups }, (): number[] => []);
  tables.tell(7, deltas);
  return deltas;
}

describe("KvTables", () => {
  it("grows all groups alike and tells each block once", () => {
    const tables = new KvTables(new BlockPool(20), SHAPE);
    tables.grow(5);
    assert.deepEqual(told(tables), [
      [7, 0, 2, 1, 2],
      [7, 0, 2, 3, 4],
    ]);
    tables.grow(8);
    assert.deepEqual(told(tables), [[], []]);
    tables.grow(9);
    assert.deepEqual(told(tables), [
      [7, 2, 1, 5],
      [7, 2, 1, 6],
    ]);
  });

  // The picture in the class comment: with 14 tokens computed, token 14 reads 9..14.
  it("frees whole blocks of sliding groups behind the window, none of full groups", () => {
    const pool = new BlockPool(20);
    const tables = new KvTables(pool, SHAPE);
    tables.grow(14);
    told(tables);
    tables.freeBehindWindow(8);
    assert.deepEqual([tables.numBlocks(0), tables.numBlocks(1)], [4, 4], "token 8 reads 3..8");
    tables.freeBehindWindow(9);
    assert.deepEqual([tables.numBlocks(0), tables.numBlocks(1)], [4, 3], "token 9 reads 4..9");
    tables.freeBehindWindow(14);
    assert.deepEqual([tables.numBlocks(0), tables.numBlocks(1)], [4, 2]);
    tables.grow(17);
    assert.deepEqual(told(tables)[1]!.slice(0, 3), [7, 4, 1]);
    tables.free();
    assert.equal(pool.numFree, pool.numTotal);
  });

  it("says how many tokens fit, room in the last block included", () => {
    const pool = new BlockPool(10);
    const tables = new KvTables(pool, SHAPE);
    tables.grow(5);
    assert.equal(tables.numTokensThatFit(5, 3), 3);
    assert.equal(tables.numTokensThatFit(5, 100), 3 + 2 * 4, "5 free blocks are 2 per group");
    assert.equal(tables.numTokensThatFit(8, 100), 8);
  });

  // Token 12 reads 7..12 in the sliding group: of 3 shared blocks the last two.
  it("begins behind blocks that others filled, tells them from the window on, and gives them back", () => {
    const pool = new BlockPool(20, HOLDS_ALL);
    const first = new KvTables(pool, SHAPE);
    first.grow(14);
    const second = new KvTables(pool, SHAPE);
    second.beginWith(3, [
      [1, 2, 3],
      [6, 7],
    ]);
    second.grow(13);
    assert.deepEqual(told(second), [
      [7, 0, 4, 1, 2, 3, 9],
      [7, 1, 3, 6, 7, 10],
    ]);
    assert.deepEqual([second.blockId(1, 0), second.blockId(1, 1), second.blockId(0, 4)], [0, 6, 0]);
    assert.deepEqual([second.shareOfBlocks(0), second.shareOfBlocks(1)], [2.5, 2]);
    first.free();
    assert.deepEqual([pool.refCount(1), pool.refCount(5), pool.refCount(7)], [1, 0, 1]);
    second.free();
    assert.equal(pool.numFree, pool.numTotal);
  });

  it("counts shared blocks of a window as still to be taken: when the window leaves them nobody gets them", () => {
    const pool = new BlockPool(40, HOLDS_ALL);
    const first = new KvTables(pool, SHAPE);
    first.grow(12);
    const second = new KvTables(pool, SHAPE);
    second.beginWith(3, [
      [1, 2, 3],
      [5, 6],
    ]);
    const most = groupBlocksMax(SHAPE, 6, 40, 4);
    assert.equal(second.blocksPromised(40, 4), 7 + most);
    first.free();
    assert.equal(second.blocksPromised(40, 4), 7 + most - 2);
    assert.equal(kvBlocksMax(SHAPE, 40, 4, { numBlocks: 3, numFree: [0, 0] }), 7 + most);
    assert.equal(kvBlocksMax(SHAPE, 40, 4, { numBlocks: 3, numFree: [3, 2] }), 10 + most);
    assert.equal(kvBlocksMax(SHAPE, 16, 4, { numBlocks: 3, numFree: [3, 2] }), 4 + 3);
  });

  it("stays within the bounds on any way through a sequence, and needs no fewer than it says", () => {
    for (const window of [0, 1, 3, 4, 5, 8, 9, 17]) {
      for (const blockSize of [1, 2, 4, 8]) {
        for (const chunk of [1, 2, 3, 7, 16, 40]) checkWay({ blockSize, windows: [0, window] }, chunk, 40);
      }
    }
  });
});

/** Goes through a sequence in chunks and compares what is held with the bounds. */
function checkWay(shape: KvShape, chunk: number, numTokens: number): void {
  const pool = new BlockPool(200);
  const tables = new KvTables(pool, shape);
  let heldMax = 0;
  for (let computed = 0; computed < numTokens; computed += chunk) {
    const end = Math.min(numTokens, computed + chunk);
    tables.freeBehindWindow(computed);
    tables.grow(end);
    told(tables);
    tables.checkBounds(end - computed);
    const most = groupBlocksMax(shape, shape.windows[1]!, end, chunk);
    assert.ok(tables.numBlocks(1) <= most, `${JSON.stringify(shape)} chunk ${chunk} at ${computed}`);
    heldMax = Math.max(heldMax, pool.numTotal - pool.numFree);
  }
  assert.ok(heldMax <= kvBlocksMax(shape, numTokens, chunk));
  if (chunk === 1) assert.equal(heldMax, kvBlocksMin(shape, numTokens), JSON.stringify(shape));
}
