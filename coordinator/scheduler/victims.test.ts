import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GREEDY_SAMPLING } from "../../proto/step.js";
import { BlockPool } from "./block-pool.js";
import { KvTables } from "./kv-tables.js";
import { byPriority } from "./policy.js";
import { Sequence } from "./sequence.js";
import { TenantAccount } from "./tenant-account.js";
import { victimsToAdmit, victimToGrow } from "./victims.js";

const SHARING = { numRows: 10, numBlocks: 100 };

/** Running sequences in order of service, as [tenant, blocks held]; a tenant called `heavy` has weight 4. */
function running(...holders: [tenant: string, numBlocks: number][]): Sequence[] {
  const pool = new BlockPool(SHARING.numBlocks + 1);
  const accounts = new Map<string, TenantAccount>();
  return holders.map(([tenant, numBlocks], index) => {
    const account = accounts.get(tenant) ?? new TenantAccount(tenant, tenant === "heavy" ? 4 : 1, byPriority);
    accounts.set(tenant, account);
    const kv = new KvTables(pool, { blockSize: 1, windows: [0] });
    kv.grow(numBlocks);
    const named = { seqId: index, requestId: "", promptTokenIds: [1], sampling: { ...GREEDY_SAMPLING, maxSeqLen: 99 } };
    return new Sequence({ ...named, priority: 0, deadlineMs: null, wantsLogits: false }, kv, account, 0, index);
  });
}

function toGrow(sequences: readonly Sequence[], index: number): number {
  return victimToGrow(sequences, sequences[index]!, SHARING).seqId;
}

describe("victimToGrow", () => {
  it("is the youngest where there is one tenant", () => {
    const sequences = running(["a", 5], ["a", 50], ["a", 5]);
    assert.deepEqual(
      [0, 1, 2].map((index) => toGrow(sequences, index)),
      [2, 2, 2],
    );
  });

  it("is the youngest of who holds more and will after the loss", () => {
    assert.equal(toGrow(running(["b", 5], ["b", 30], ["b", 20], ["a", 10], ["a", 1]), 3), 2);
  });

  it("is one's own where the other would hold less after the loss", () => {
    assert.equal(toGrow(running(["b", 1], ["b", 60], ["a", 10], ["a", 1]), 2), 3);
  });

  it("is no sequence of who holds more but weighs more still", () => {
    assert.equal(toGrow(running(["heavy", 1], ["heavy", 30], ["heavy", 30], ["a", 20], ["a", 1]), 3), 4);
  });

  it("is anybody for the first of all, which is never one itself", () => {
    assert.equal(toGrow(running(["a", 90], ["b", 1]), 0), 1);
    assert.equal(toGrow(running(["a", 90], ["b", 1]), 1), 1);
  });
});

describe("victimsToAdmit", () => {
  const toAdmit = (sequences: readonly Sequence[], numBlocksShort: number, numRowsShort: number): number[] => {
    const account = sequences.find((sequence) => sequence.account.tenant === "a")?.account;
    const newcomer = account ?? new TenantAccount("a", 1, byPriority);
    const shortage = { numBlocksNeeded: 10, numBlocksShort, numRowsShort };
    return victimsToAdmit(sequences, newcomer, shortage, SHARING).map(({ seqId }) => seqId);
  };

  it("are the youngest of who holds most, as many as it takes", () => {
    assert.deepEqual(toAdmit(running(["b", 10], ["b", 20], ["c", 5], ["b", 20], ["b", 5]), 20, 1), [4, 3]);
  });

  it("are none where the other would then hold less", () => {
    assert.deepEqual(toAdmit(running(["b", 10], ["b", 20], ["a", 25]), 5, 0), []);
  });

  it("are none where all that may be taken is not enough", () => {
    assert.deepEqual(toAdmit(running(["b", 60], ["b", 5], ["b", 5]), 50, 0), []);
  });

  it("could not take the place back: afterwards nothing is taken the other way", () => {
    const before = running(["b", 20], ["b", 20], ["b", 20]);
    assert.deepEqual(toAdmit(before, 10, 0), [2]);
    const after = running(["b", 20], ["b", 20], ["a", 10]);
    const shortage = { numBlocksNeeded: 20, numBlocksShort: 10, numRowsShort: 0 };
    assert.deepEqual(victimsToAdmit(after, after[0]!.account, shortage, SHARING), []);
  });
});
