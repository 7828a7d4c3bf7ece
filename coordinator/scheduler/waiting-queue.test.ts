import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GREEDY_SAMPLING } from "../../proto/step.js";
import { BlockPool } from "./block-pool.js";
import { KvTables } from "./kv-tables.js";
import type { Policy } from "./policy.js";
import { Sequence } from "./sequence.js";
import { NUM_TENANTS_MAX, WaitingQueue } from "./waiting-queue.js";

const CREDIT = 100;

class Queue extends WaitingQueue {
  #numAdded = 0;

  constructor(policy: Policy = "fair", weights: Record<string, number> = {}) {
    super(policy, weights, CREDIT);
  }

  add(tenant: string, numTokens: number, priority = 0): Sequence {
    const kv = new KvTables(new BlockPool(2), { blockSize: 1, windows: [0] });
    const promptTokenIds = new Int32Array(numTokens);
    const sampling = { ...GREEDY_SAMPLING, maxSeqLen: numTokens + 1 };
    const named = { seqId: this.#numAdded, requestId: "", promptTokenIds, sampling, tenant };
    const spec = { ...named, priority, deadlineMs: null, wantsLogits: false };
    const sequence = new Sequence(spec, kv, this.accountOf(tenant), 0, this.#numAdded++);
    sequence.account.numLive++;
    this.push(sequence);
    return sequence;
  }

  /** Takes the first and computes all of it. */
  serve(): Sequence {
    const sequence = this.first()!;
    this.take(sequence);
    this.planned({ sequence, position: 0, numTokens: sequence.numTokens });
    return sequence;
  }

  ahead(tenant: string, numTokens: number, priority = 0): number {
    return this.numTokensAhead(this.accountOf(tenant), priority, numTokens);
  }
}

describe("WaitingQueue", () => {
  it("serves three times as much of a tenant of three times the weight", () => {
    const queue = new Queue("fair", { heavy: 3 });
    for (let i = 0; i < 400; i++) for (const tenant of ["heavy", "light"]) queue.add(tenant, 10);
    const served = Array.from({ length: 400 }, () => queue.serve().account.tenant);
    assert.equal(served.filter((tenant) => tenant === "heavy").length, 300);
  });

  // A sequence that was preempted before the result of its last granted step came had a token less pending than it has.
  it("charges for a step whose sequence waits again by now, and leaves it all that it has pending", () => {
    const queue = new Queue();
    const sequence = queue.add("a", 10);
    queue.serve();
    queue.push(sequence);
    queue.ran({ sequence, position: 10, numTokens: 1 });
    assert.equal(sequence.account.virtualTokens, 11);
    queue.check([sequence]);
  });

  it("charges once for what is computed twice", () => {
    const queue = new Queue();
    const sequence = queue.add("a", 10);
    queue.serve();
    assert.equal(sequence.account.virtualTokens, 10);
    queue.push(sequence);
    queue.serve();
    assert.equal(sequence.account.virtualTokens, 10);
  });

  it("gives who was away no more than its credit, however often it goes away", () => {
    const queue = new Queue();
    queue.add("idle", 1);
    queue.serve();
    for (let i = 0; i < 100; i++) {
      queue.add("busy", 50);
      queue.serve();
      if (i % 10 === 9) queue.drop(queue.add("idle", 1));
    }
    const { virtualTokens: busy } = queue.accountOf("busy");
    queue.add("idle", 1);
    assert.equal(queue.accountOf("idle").virtualTokens, busy - CREDIT);
  });

  it("does not forget what a tenant was served too much when it goes away for a moment", () => {
    const queue = new Queue();
    queue.add("other", 10);
    queue.add("greedy", 500);
    queue.serve();
    queue.serve();
    const { virtualTokens } = queue.accountOf("greedy");
    queue.add("greedy", 1);
    assert.equal(queue.accountOf("greedy").virtualTokens, virtualTokens);
  });

  it("sees ahead of a newcomer its own tenant's tokens, and of another's no more than will be served first", () => {
    const queue = new Queue();
    queue.add("flood", 1000);
    for (let i = 0; i < 100; i++) queue.add("flood", 1000);
    queue.serve();
    // The flood is at 1000 and what asks for little starts at 900: the flood's next prompt is not before it.
    assert.equal(queue.ahead("quiet", 50), 0);
    assert.equal(queue.ahead("quiet", 300), 200);
    queue.add("quiet", 80);
    assert.equal(queue.ahead("quiet", 10), 80);
    assert.equal(queue.ahead("flood", 10), 100_000 + 80);
  });

  it("sees ahead what is of the same priority or smaller", () => {
    const queue = new Queue("priority");
    for (const [priority, numTokens] of [
      [-20, 1],
      [0, 10],
      [1, 100],
      [300, 1000],
    ] as const) {
      queue.add("a", numTokens, priority);
    }
    assert.equal(queue.ahead("b", 5, 0), 11);
    assert.equal(queue.ahead("b", 5, 1), 111);
    assert.equal(queue.ahead("b", 5, 2 ** 31 - 1), 1111);
    const fifo = new Queue("fifo");
    fifo.add("a", 7, 5);
    assert.equal(fifo.ahead("b", 5, 0), 7);
  });

  it("keeps a bounded number of tenants, and forgets those without requests first", () => {
    const queue = new Queue();
    for (let i = 0; i < 2 * NUM_TENANTS_MAX; i++) queue.accountOf(`idle ${i}`);
    for (let i = 0; i < NUM_TENANTS_MAX; i++) queue.add(`busy ${i}`, 1);
    assert.throws(() => queue.accountOf("one more"), { code: "resource_exhausted", message: /256 may have/ });
    assert.equal(queue.accountOf("busy 7").numLive, 1);
  });
});
