import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { array, assert as assertProperty, integer, property } from "fast-check";
import { GREEDY_SAMPLING } from "../../proto/step.js";
import { BlockPool } from "./block-pool.js";
import { KvTables } from "./kv-tables.js";
import { byPriority } from "./policy.js";
import { Sequence } from "./sequence.js";
import { TenantAccount } from "./tenant-account.js";
import { SequenceHeap } from "./sequence-heap.js";

const NO_SAMPLING = { ...GREEDY_SAMPLING, maxSeqLen: 2 };

function sequence(priority: number, arrivalOrder: number): Sequence {
  const kv = new KvTables(new BlockPool(2), { blockSize: 1, windows: [0] });
  const named = { seqId: arrivalOrder, requestId: "", promptTokenIds: [1], sampling: NO_SAMPLING };
  const account = new TenantAccount("", 1, byPriority);
  return new Sequence({ ...named, priority, deadlineMs: null, wantsLogits: false }, kv, account, 0, arrivalOrder);
}

describe("SequenceHeap", () => {
  // Against a sorted list: 0 takes the first, 1 ends some member in place, the rest push with that priority.
  it("gives the first in order whatever came, went and ended in between", () => {
    assertProperty(
      property(array(integer({ min: 0, max: 9 }), { maxLength: 400 }), (commands) => {
        const heap = new SequenceHeap(byPriority, ({ state }) => state === "waiting");
        let expected: Sequence[] = [];
        for (const [index, command] of commands.entries()) {
          if (command === 0) {
            assert.equal(heap.shift(), expected.shift());
          } else if (command === 1) {
            const ended = expected[index % Math.max(1, expected.length)];
            if (ended !== undefined) ended.state = "ended";
            expected = expected.filter((other) => other !== ended);
          } else {
            const added = sequence(command, index);
            heap.push(added);
            expected = [...expected, added].sort((a, b) => (byPriority(a, b) ? -1 : 1));
          }
          assert.equal(heap.first(), expected[0]);
          assert.equal(heap.members().length, expected.length);
        }
      }),
      { seed: 1, numRuns: 60 },
    );
  });

  it("lets ended sequences go without anybody asking for them", () => {
    const heap = new SequenceHeap(byPriority, ({ state }) => state === "waiting");
    heap.push(sequence(0, 0));
    let sizeMax = 0;
    for (let i = 1; i <= 10_000; i++) {
      const added = sequence(1, i);
      heap.push(added);
      added.state = "ended";
      sizeMax = Math.max(sizeMax, heap.size);
    }
    assert.ok(sizeMax <= 65, `${sizeMax} entries for one that lives`);
  });
});
