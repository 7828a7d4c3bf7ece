import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { describeDummy } from "../plans/model-description.js";
import { ManualClock } from "../proto/clock.js";
import { silentLogger } from "../proto/log.js";
import { GREEDY } from "../proto/step-fixture.js";
import { FakeRank } from "./cluster/fake-rank.js";
import { Replica } from "./cluster/replica.js";
import { configOf } from "./cluster/replica-fixture.js";
import { Seating } from "./cluster/seating.js";
import type { LiveSequence } from "./engine-loop.js";
import { Metrics } from "./metrics.js";
import { ServedReplica } from "./served-replica.js";

/** A replica of one rank that is ready and runs a sequence whose step is never answered. */
async function busyReplica() {
  const clock = new ManualClock();
  const config = configOf({ chooseNumBlocks: () => 40, stallMs: 3_600_000 });
  const replica = new Replica(config, clock, silentLogger);
  const served = new ServedReplica({
    replica,
    placement: { placements: ["replicated"], predictMs: () => 1 },
    description: describeDummy("gpt-oss-20b:2"),
    scheduler: {
      ...{ maxBatchedTokens: "auto", maxSequences: 4, maxWaiting: 10, runAhead: "auto", admissionMargin: 0.01 },
      ...{ policy: "fair", tenants: [], targetStepMs: null, targetTtftMs: null, prefixCache: true },
    },
    runAhead: 1,
    recoveryTimeoutMs: 10_000,
    metrics: new Metrics("demo", () => []).ofReplica(0),
    clock,
    log: silentLogger,
  });
  replica.onChange = () => served.replicaChanged();
  const rank = new FakeRank();
  new Seating([replica], 0, silentLogger).attach(rank);
  rank.becomeReady(1);
  const limits = { maxBatchedTokens: 16, maxSequences: 4, maxSeqLen: 16, blockSize: 8, numBlocks: 40 };
  served.serve({ limits, choices: [] }, () => assert.fail("it does not fail"));
  const spec = { seqId: 1, requestId: "r", promptTokenIds: [1, 2, 3], sampling: GREEDY, priority: 0 };
  served.submit({ ...spec, deadlineMs: null, wantsLogits: false }, () => assert.fail("nothing comes of it"));
  await turn();
  assert.ok(rank.last.step_plan, "a step runs");
  return { clock, served, rank };
}

describe("ServedReplica", () => {
  it("goes on beyond its grace while nobody can take its sequences over, and then hands them on and leaves", async () => {
    const { clock, served, rank } = await busyReplica();
    const adopted: LiveSequence[] = [];
    let isReady = false;
    const heirs = { areReady: () => isReady, adopt: (sequences: LiveSequence[]) => void adopted.push(...sequences) };
    const pass = async (ms: number): Promise<void> => {
      rank.onMessage({ progress: { epoch: 1, counter: 1 } });
      clock.advance(ms);
      await turn();
    };
    const left = served.leave(1_000, 500, heirs);
    assert.deepEqual([served.isOpen, served.availability], [false, "away"]);
    assert.equal(served.status().state, "draining");
    for (let i = 0; i < 3; i += 1) await pass(1_000);
    assert.equal(adopted.length, 0);
    isReady = true;
    await pass(1_000);
    assert.deepEqual(
      adopted.map(({ spec }) => spec.seqId),
      [1],
    );
    assert.equal(rank.last.drain, undefined, "the step that runs is waited for");
    await pass(500);
    assert.ok(rank.last.drain, "but not for ever");
    rank.onLost("the rank ended its stream");
    assert.equal(await left, 0);
    assert.deepEqual([served.status().state, served.reason], ["closed", "drained"]);
  });
});
