import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { array, assert as assertProperty, boolean, constantFrom, integer, property } from "fast-check";
import { keyedBlockHash } from "./block-hash.js";
import { BlockPool } from "./block-pool.js";
import { KvTables, type KvShape } from "./kv-tables.js";
import { PrefixCache } from "./prefix-cache.js";
import { PrefixChain } from "./prefix-chain.js";

const NUM_BLOCKS = 12;

/** Token 3 * position at each position. */
const TOKENS = {
  copyTokens(begin: number, end: number, tokenIds: Int32Array, at: number): void {
    for (let position = begin; position < end; position++) tokenIds[at++] = 3 * position;
  },
};

/** A world in which a sequence has filled NUM_BLOCKS blocks of every group and released them. */
function filled(shape: KvShape) {
  const cache = new PrefixCache(100, shape.blockSize, keyedBlockHash([1, 2]));
  const pool = new BlockPool(100, cache);
  const tables = new KvTables(pool, shape);
  const chain = new PrefixChain(cache, pool, shape, TOKENS, "");
  tables.grow(NUM_BLOCKS * shape.blockSize);
  chain.publish(NUM_BLOCKS * shape.blockSize, tables);
  const blockIds = shape.windows.map((_, group) =>
    Array.from({ length: NUM_BLOCKS }, (_, index) => tables.blockId(group, index)),
  );
  tables.free();
  return { cache, pool, blockIds, chain: new PrefixChain(cache, pool, shape, TOKENS, "") };
}

describe("PrefixChain", () => {
  // Against the definition: the largest end such that no token that a query behind it can see is missing in any group.
  it("finds the longest prefix that every group has, whatever was evicted of them", () => {
    const shapes = constantFrom([0], [0, 1], [0, 3], [0, 4], [0, 5], [0, 8, 3], [0, 17, 6], [0, 0, 5], [0, 100]);
    const there = array(array(boolean(), { minLength: NUM_BLOCKS, maxLength: NUM_BLOCKS }), {
      minLength: 3,
      maxLength: 3,
    });
    const asked = [
      integer({ min: 1, max: 4 }),
      integer({ min: 0, max: 50 }),
      integer({ min: 0, max: NUM_BLOCKS }),
    ] as const;
    assertProperty(
      property(shapes, there, ...asked, (windows, isThere, blockSize, numTokensMax, numFull) => {
        const shape = { blockSize, windows };
        const { cache, pool, blockIds, chain } = filled(shape);
        const isHeld = (group: number, index: number): boolean =>
          group === 0 ? index < numFull : isThere[group]![index]!;
        for (const [group, ids] of blockIds.entries()) {
          for (const [index, blockId] of ids.entries()) {
            if (isHeld(group, index)) continue;
            cache.forget(blockId);
            pool.discard(blockId);
          }
        }
        const wanted = longest(shape, numTokensMax, isHeld);
        const hit = chain.find(numTokensMax);
        assert.equal(hit.numBlocks, wanted);
        for (const [group, window] of windows.entries()) {
          const first = window === 0 ? 0 : Math.floor(Math.max(0, wanted * blockSize - window + 1) / blockSize);
          assert.deepEqual(hit.blockIds[group], blockIds[group]!.slice(first, wanted));
        }
      }),
    );
  });

  it("sees with one look that what it did not find has come", () => {
    const shape = { blockSize: 2, windows: [0] };
    const { cache, pool, blockIds, chain } = filled(shape);
    for (const blockId of blockIds[0]!.slice(3)) cache.forget(blockId);
    for (const blockId of blockIds[0]!.slice(3)) pool.discard(blockId);
    assert.equal(chain.find(100).numBlocks, 3);
    assert.equal(chain.hasGrown, false);
    const tables = new KvTables(pool, shape);
    const other = new PrefixChain(cache, pool, shape, TOKENS, "");
    const hit = other.find(6);
    other.beginWith(hit);
    tables.beginWith(hit.numBlocks, hit.blockIds);
    tables.grow(8);
    other.publish(7, tables);
    assert.equal(chain.hasGrown, false, "the block is not full");
    other.publish(8, tables);
    assert.equal(chain.hasGrown, true);
    assert.equal(chain.find(100).numBlocks, 4);
  });
});

function longest(
  { blockSize, windows }: KvShape,
  numTokensMax: number,
  isHeld: (group: number, index: number) => boolean,
): number {
  for (let end = Math.min(NUM_BLOCKS, Math.floor(numTokensMax / blockSize)); end > 0; end--) {
    const isWhole = windows.every((window, group) => {
      for (let position = end * blockSize - 1; position >= 0; position--) {
        const isSeen = window === 0 || position > end * blockSize - window;
        if (isSeen && !isHeld(group, Math.floor(position / blockSize))) return false;
      }
      return true;
    });
    if (isWhole) return end;
  }
  return 0;
}
