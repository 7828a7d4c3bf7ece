import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NULL_BLOCK_ID } from "../../proto/step.js";
import { keyedBlockHash } from "./block-hash.js";
import { PrefixCache, type BlockKey } from "./prefix-cache.js";

function key(parentId: number, tokenIds: number[], fields: Partial<BlockKey> = {}): BlockKey {
  return { parentId, salt: "", hash: 7, tokenIds: Int32Array.from(tokenIds), ...fields };
}

function cacheOf(numBlocks = 16): PrefixCache {
  return new PrefixCache(numBlocks, 2, keyedBlockHash([1, 2]));
}

// All keys have one hash unless a test says otherwise: everything is in one bucket, and only what they are tells them apart.
describe("PrefixCache", () => {
  it("tells blocks apart by group, prefix, salt and every token id, whatever their hash", () => {
    const cache = cacheOf();
    cache.insert(3, 0, key(0, [1, 2]), NULL_BLOCK_ID);
    assert.equal(cache.find(0, key(0, [1, 2])), 3);
    const others: [number, BlockKey][] = [
      [1, key(0, [1, 2])],
      [0, key(1, [1, 2])],
      [0, key(0, [1, 2], { salt: "a" })],
      [0, key(0, [1, 3])],
      [0, key(0, [2, 2])],
    ];
    for (const [group, other] of others) assert.equal(cache.find(group, other), NULL_BLOCK_ID, JSON.stringify(other));
    for (const [index, [group, other]] of others.entries()) cache.insert(4 + index, group, other, NULL_BLOCK_ID);
    for (const [index, [group, other]] of others.entries()) assert.equal(cache.find(group, other), 4 + index);
    cache.check();
  });

  it("never takes one prefix for another of the same hash: what stands behind it has its own parent", () => {
    const cache = cacheOf();
    cache.insert(1, 0, key(0, [1, 1]), NULL_BLOCK_ID);
    cache.insert(2, 0, key(0, [2, 2]), NULL_BLOCK_ID);
    cache.insert(3, 0, key(cache.prefixId(1), [9, 9]), NULL_BLOCK_ID);
    assert.equal(cache.find(0, key(cache.prefixId(1), [9, 9])), 3);
    assert.equal(cache.find(0, key(cache.prefixId(2), [9, 9])), NULL_BLOCK_ID);
  });

  it("finds a copy when another is evicted, and gives both one prefix", () => {
    const cache = cacheOf();
    cache.insert(1, 0, key(0, [1, 1]), NULL_BLOCK_ID);
    cache.insert(2, 0, key(0, [1, 1]), 1);
    assert.equal(cache.prefixId(1), cache.prefixId(2));
    cache.evict(2);
    assert.deepEqual([cache.find(0, key(0, [1, 1])), cache.holds(2)], [1, false]);
    cache.evict(1);
    assert.deepEqual([cache.find(0, key(0, [1, 1])), cache.numBlocks], [NULL_BLOCK_ID, 0]);
  });

  it("never gives the id of a prefix to another, which would then have its children", () => {
    const cache = cacheOf();
    cache.insert(1, 0, key(0, [1, 1]), NULL_BLOCK_ID);
    const parentId = cache.prefixId(1);
    cache.evict(1);
    cache.insert(1, 0, key(0, [2, 2]), NULL_BLOCK_ID);
    assert.notEqual(cache.prefixId(1), parentId);
  });

  it("takes blocks out of the front, the middle and the end of a bucket", () => {
    for (const order of [
      [1, 2, 3],
      [2, 1, 3],
      [3, 2, 1],
      [2, 3, 1],
    ]) {
      const cache = cacheOf();
      for (const blockId of [1, 2, 3]) cache.insert(blockId, 0, key(0, [blockId, blockId]), NULL_BLOCK_ID);
      const left = new Set(order);
      for (const blockId of order) {
        cache.forget(blockId);
        left.delete(blockId);
        for (const id of [1, 2, 3]) assert.equal(cache.find(0, key(0, [id, id])), left.has(id) ? id : NULL_BLOCK_ID);
        cache.check();
      }
    }
  });

  it("notices a block that outlived the prefix before it", () => {
    const cache = cacheOf();
    cache.insert(1, 0, key(0, [1, 1]), NULL_BLOCK_ID);
    cache.insert(2, 0, key(cache.prefixId(1), [2, 2]), NULL_BLOCK_ID);
    cache.evict(1);
    assert.throws(() => cache.check(), { code: "internal", message: /block 2 outlived the prefix before it/ });
  });

  it("tells how long blocks were idle and there, once a step, and what gap a hit bridged", () => {
    const told: (number | string)[][] = [];
    const observer = {
      reused: (gapMs: number) => told.push(["reused", gapMs]),
      evicted: (idleMs: number, residencyMs: number) => told.push(["evicted", idleMs, residencyMs]),
    };
    const cache = new PrefixCache(8, 2, keyedBlockHash([1, 2]), observer);
    cache.nowMs = 100;
    for (const blockId of [1, 2, 3]) cache.insert(blockId, 0, key(0, [blockId, blockId]), NULL_BLOCK_ID);
    cache.nowMs = 150;
    for (const blockId of [1, 2, 3]) cache.released(blockId);
    cache.nowMs = 170;
    cache.noteReuse(1, false);
    cache.noteReuse(2, true);
    cache.evict(2);
    cache.evict(3);
    assert.deepEqual(told, [
      ["reused", 20],
      ["reused", 0],
      ["evicted", 20, 70],
    ]);
  });
});

describe("keyedBlockHash", () => {
  const hash = keyedBlockHash([0x03020100, 0x07060504]);

  it("depends on the key, the parent, each token and their order", () => {
    const hashes = [
      hash(0, [1, 2, 3]),
      hash(1, [1, 2, 3]),
      hash(0, [1, 2, 4]),
      hash(0, [2, 1, 3]),
      hash(0, [1, 2]),
      hash(0, [1, 2, 3, 0]),
      keyedBlockHash([0x03020100, 0x07060505])(0, [1, 2, 3]),
    ];
    assert.equal(new Set(hashes).size, hashes.length);
    assert.ok(hashes.every((value) => value === (value | 0)));
    assert.equal(hash(0, [1, 2, 3]), hashes[0]);
  });

  // Text and counters are what prompts are made of; a weak hash piles them up in few buckets.
  it("spreads blocks that differ in one small number over the buckets", () => {
    const numBuckets = 1_024;
    const counts = new Int32Array(numBuckets);
    for (let i = 0; i < 16 * numBuckets; i++) counts[hash(0, [5, 5, i]) & (numBuckets - 1)]!++;
    assert.ok(Math.max(...counts) < 48, `${Math.max(...counts)} of 16 on average in one bucket`);
    assert.ok(counts.every((count) => count > 0));
  });
});
