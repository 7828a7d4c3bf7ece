import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ManualClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { PROTOCOL_VERSION } from "../../proto/messages.js";
import { encodeStepResult } from "../../proto/step-codec.js";
import { planOf, resultOf } from "../../proto/step-fixture.js";
import { FakeRank } from "./fake-rank.js";
import type { Replica } from "./replica.js";
import type { ReplicaConfig } from "./replica-config.js";
import { attachTo, becomeReady, replicaWith } from "./replica-fixture.js";

describe("Replica", () => {
  it("takes a rank from Hello over Assignment and Load to ready", () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    attachTo(replica, rank);
    assert.equal(rank.received[0]?.assignment?.epoch, 1);
    rank.becomeReady(1);
    assert.deepEqual(rank.received[1]?.load, { epoch: 1, num_blocks: 8 });
    assert.equal(replica.state, "ready");
  });

  it("starts an epoch only when every seat is taken", () => {
    const { replica } = replicaWith({ worldSize: 2 });
    const [first, second] = [new FakeRank(), new FakeRank()];
    attachTo(replica, first);
    assert.equal(first.received.length, 0);
    attachTo(replica, second);
    assert.deepEqual([first.last.assignment?.rank, second.last.assignment?.rank], [0, 1]);
  });

  it("refuses a rank of another protocol version and names both versions", () => {
    const { replica } = replicaWith();
    const rank = new FakeRank({ protocol_version: PROTOCOL_VERSION + 1, host_id: "h" });
    const message = new RegExp(`speaks version ${PROTOCOL_VERSION + 1}, this coordinator ${PROTOCOL_VERSION}`);
    assert.throws(() => attachTo(replica, rank), { code: "failed_precondition", message, place: "rank of host h" });
  });

  it("refuses one rank too many", () => {
    const { replica } = replicaWith();
    attachTo(replica, new FakeRank());
    assert.throws(() => attachTo(replica, new FakeRank()), { code: "failed_precondition", message: /no free seat/ });
  });

  it("gives a step's result to whoever waits for it", async () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    attachTo(replica, rank);
    rank.becomeReady(1);
    const step = replica.step(planOf(1, 5));
    assert.equal(rank.last.step_plan?.step_id, 5);
    rank.onMessage({ step_result: encodeStepResult(resultOf(1, 5)) });
    assert.equal((await step)?.stepId, 5);
  });

  it("fails the running step when the rank is lost, says where it was, and is ready again with the next one", async () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    attachTo(replica, rank);
    rank.becomeReady(1);
    const step = replica.step(planOf(1, 1));
    rank.onMessage({ progress: { epoch: 1, counter: 3, step_id: 1, op: "attention" } });
    rank.die();
    await assert.rejects(step, {
      code: "unavailable",
      message: /rank 0 of h was lost in step 1 at op attention: gone/,
    });
    assert.equal(replica.state, "waiting");
    const next = new FakeRank();
    attachTo(replica, next);
    next.becomeReady(2);
    assert.equal(replica.state, "ready");
    assert.equal(replica.epoch, 2);
  });

  it("drops what an ended epoch still says", async () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    attachTo(replica, rank);
    rank.becomeReady(1);
    const step = replica.step(planOf(1, 1));
    rank.onMessage({ step_result: encodeStepResult(resultOf(0, 1)) });
    rank.onMessage({ step_result: encodeStepResult(resultOf(1, 1)) });
    assert.equal((await step)?.epoch, 1);
  });

  it("calls a counter that stands still a stall, and a long step none", async () => {
    const { replica, clock } = replicaWith();
    const rank = new FakeRank();
    attachTo(replica, rank);
    rank.becomeReady(1);
    const step = replica.step(planOf(1, 1));
    clock.advance(1900);
    rank.onMessage({ progress: { epoch: 1, counter: 1, step_id: 1, op: "experts" } });
    clock.advance(1900);
    assert.equal(replica.state, "ready");
    const rejected = assert.rejects(step, { code: "unavailable", message: /no progress for 2000 ms, last op experts/ });
    clock.advance(3000);
    await rejected;
  });

  it("fails for good when the checkpoint is bad, and tells the rank's reason", () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    attachTo(replica, rank);
    rank.onMessage({ failure: { epoch: 1, code: "invalid_argument", text: "wanted BF16", place: "model: tensor x" } });
    assert.equal(replica.state, "failed");
    assert.match(replica.reason, /model: tensor x: wanted BF16/);
  });

  it("fails for good when no number of blocks fits", () => {
    const refuse = () => {
      throw new MoesaicError("resource_exhausted", "too small");
    };
    const { replica } = replicaWith({ chooseNumBlocks: refuse });
    const rank = new FakeRank();
    attachTo(replica, rank);
    rank.onMessage({ sized: { epoch: 1 } });
    assert.equal(replica.state, "failed");
    assert.match(replica.reason, /too small/);
  });

  it("treats a result that cannot be used as the loss of its rank", async () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    attachTo(replica, rank);
    rank.becomeReady(1);
    const step = replica.step(planOf(1, 1));
    rank.onMessage({ step_result: { epoch: 1, step_id: 1, token_ids: Uint8Array.of(1) } });
    await assert.rejects(step, { code: "unavailable", message: /cannot be used: token_ids/ });
  });

  it("waits for drained ranks, and no longer than it was told", async () => {
    const { replica, clock } = replicaWith();
    const rank = new FakeRank();
    attachTo(replica, rank);
    rank.becomeReady(1);
    const drained = replica.drain(500);
    assert.ok(rank.last.drain);
    clock.advance(500);
    await drained;
    assert.equal(rank.closedWith, undefined);
  });

  // ---- several ranks

  function threeRanks(): { replica: Replica; clock: ManualClock; ranks: FakeRank[] } {
    const { replica, clock } = replicaWith({ worldSize: 3 });
    const ranks = [1, 2, 3].map((pid) => new FakeRank({ pid }));
    for (const rank of ranks) attachTo(replica, rank);
    return { replica, clock, ranks };
  }

  it("tells every rank of the epoch the same key, which no other epoch has, and all peers", () => {
    const { replica, ranks } = threeRanks();
    const keysOf = () => ranks.map(({ last }) => Buffer.from(last.assignment!.data_plane_key!).toString("hex"));
    const first = keysOf();
    assert.equal(new Set(first).size, 1);
    assert.equal(first[0]!.length, 64);
    assert.deepEqual(
      ranks[2]!.last.assignment?.peers?.map(({ rank }) => rank),
      [0, 1, 2],
    );
    ranks[1]!.die();
    ranks[1] = new FakeRank({ pid: 9 });
    attachTo(replica, ranks[1]);
    assert.notEqual(keysOf()[0], first[0]);
  });

  it("asks what all ranks take, and loads with the number of blocks that was chosen for all", () => {
    const seen: number[] = [];
    const chooseNumBlocks: ReplicaConfig["chooseNumBlocks"] = (ranks) => {
      seen.push(...ranks.map(({ sized }) => sized.memory_bytes ?? 0));
      return 5;
    };
    const { replica } = replicaWith({ worldSize: 2, chooseNumBlocks });
    const ranks = [new FakeRank(), new FakeRank()];
    for (const rank of ranks) attachTo(replica, rank);
    ranks[0]!.size(1, { memory_bytes: 70 });
    assert.deepEqual(seen, []);
    ranks[1]!.size(1, { memory_bytes: 30 });
    assert.deepEqual(seen, [70, 30]);
    for (const rank of ranks) assert.equal(rank.last.load?.num_blocks, 5);
  });

  it("ends the epoch on the others when a rank is lost, and drops what they still say of it", async () => {
    const { replica, ranks } = threeRanks();
    becomeReady(ranks, 1);
    const step = replica.step(planOf(1, 1));
    const rejected = assert.rejects(step, { code: "unavailable", message: /rank 2 of h was lost/ });
    ranks[2]!.die();
    await rejected;
    for (const rank of ranks.slice(0, 2)) assert.match(rank.last.end_epoch?.reason ?? "", /rank 2 of h was lost/);
    ranks[0]!.onMessage({ step_result: encodeStepResult(resultOf(1, 1)) });
    ranks[0]!.onMessage({ failure: { epoch: 1, code: "internal", text: "late" } });
    assert.match(replica.reason, /rank 2 of h was lost.*2 of 3 ranks attached, waiting for rank 2/);
  });

  it("keeps a rank that reports a peer's loss, and begins anew with all of them after a pause", () => {
    const { replica, clock, ranks } = threeRanks();
    becomeReady(ranks, 1);
    ranks[0]!.onMessage({ failure: { epoch: 1, code: "unavailable", text: "rank 1: all_reduce timed out" } });
    assert.equal(replica.state, "waiting");
    clock.advance(600);
    assert.equal(replica.epoch, 2);
    becomeReady(ranks, 2);
    assert.equal(replica.state, "ready");
  });

  it("gives up when epoch after epoch fails with every rank there", () => {
    const { replica, clock, ranks } = threeRanks();
    for (let epoch = 1; epoch <= 5; epoch += 1) {
      for (const rank of ranks) rank.size(epoch);
      ranks[1]!.onMessage({ failure: { epoch, code: "deadline_exceeded", text: "rank 0 cannot be reached" } });
      clock.advance(4_900);
      for (const rank of ranks) rank.onMessage({ progress: { epoch: 0 } });
    }
    assert.equal(replica.state, "failed");
    assert.match(
      replica.reason,
      /5 epochs ended before a step was finished: rank 1 reported: rank 0 cannot be reached/,
    );
  });

  it("blames the follower that is behind or silent for a step that stands still", async () => {
    for (const isSilent of [true, false]) {
      const { replica, clock, ranks } = threeRanks();
      becomeReady(ranks, 1);
      const step = replica.step(planOf(1, 1));
      const rejected = assert.rejects(step, { message: /rank 1 of h was lost in step.*no progress for 2000 ms/ });
      for (let ms = 0; ms < 3_000; ms += 250) {
        for (const [index, rank] of ranks.entries()) {
          const counter = index === 1 ? 3 : 7;
          if (index !== 1 || !isSilent) rank.onMessage({ progress: { epoch: 1, counter, step_id: 1, op: "linear" } });
        }
        clock.advance(250);
      }
      await rejected;
    }
  });

  it("loses a rank that says nothing, wherever it is in its life", () => {
    const { replica, clock, ranks } = threeRanks();
    for (let ms = 0; ms < 7_000; ms += 250) {
      for (const rank of ranks.slice(1)) rank.onMessage({ progress: { epoch: 1 } });
      clock.advance(250);
    }
    assert.match(replica.reason, /rank 0 of h was lost.*it said nothing for 6000 ms/);
  });

  it("tells ranks how long to wait for peers, and the coordinator's token of the moment", () => {
    let token = 7;
    const { replica } = replicaWith({ peerDeadlineMs: 1_234, fencingToken: () => token });
    const assigned = () => {
      const rank = new FakeRank();
      attachTo(replica, rank);
      rank.die();
      return [rank.received[0]?.assignment?.peer_deadline_ms, rank.received[0]?.assignment?.fencing_token];
    };
    assert.deepEqual(assigned(), [1_234, 7]);
    token = 9;
    assert.deepEqual(assigned(), [1_234, 9]);
  });

  it("waits longer for a load in which ranks may wait longer for each other", () => {
    const { replica, clock } = replicaWith({ worldSize: 2, peerDeadlineMs: 100_000 });
    const ranks = [new FakeRank({ pid: 1 }), new FakeRank({ pid: 2 })];
    for (const rank of ranks) attachTo(replica, rank);
    for (const rank of ranks) rank.size(1);
    const wait = (ms: number) => {
      for (let passed = 0; passed < ms; passed += 1_000) {
        for (const rank of ranks) rank.onMessage({ progress: { epoch: 1 } });
        clock.advance(1_000);
      }
    };
    wait(199_000);
    assert.equal(replica.state, "loading");
    wait(3_000);
    assert.match(replica.reason, /its load stood still for 200000 ms/);
  });

  // ---- a rank that does not fit

  const noRoom = { ranks: [0, 1], error: new MoesaicError("resource_exhausted", "memory: 9 + 9 = 18, there are 10") };

  it("refuses the rank that came last where a host has no room for the blocks chosen before, and waits for another", () => {
    let hasRoom = true;
    const asked: number[] = [];
    const misfitOf: ReplicaConfig["misfitOf"] = (_ranks, numBlocks) => {
      asked.push(numBlocks);
      return hasRoom ? null : noRoom;
    };
    const { replica, clock } = replicaWith({ worldSize: 2, misfitOf });
    const ranks = [new FakeRank({ pid: 1 }), new FakeRank({ pid: 2 })];
    for (const rank of ranks) attachTo(replica, rank);
    becomeReady(ranks, 1);
    assert.deepEqual(asked, [], "the first world's blocks are chosen for it");
    ranks[0]!.die();
    hasRoom = false;
    clock.advance(10);
    const small = new FakeRank({ pid: 3 });
    attachTo(replica, small);
    for (const rank of [small, ranks[1]!]) rank.size(2);
    assert.deepEqual(asked, [8]);
    assert.equal(small.closedWith, noRoom.error, "it hears the arithmetic");
    assert.equal(ranks[1]!.closedWith, null);
    assert.equal(replica.state, "waiting");
    assert.match(replica.reason, /memory: 9 \+ 9 = 18.*1 of 2 ranks attached, waiting for rank 0/);
    hasRoom = true;
    const large = new FakeRank({ pid: 4 });
    attachTo(replica, large);
    becomeReady([large, ranks[1]!], 3);
    assert.equal(replica.state, "ready");
  });

  it("takes an error of one rank for that rank's own once the replica was ready", () => {
    const { replica, ranks } = threeRanks();
    becomeReady(ranks, 1);
    ranks[2]!.die();
    const poor = new FakeRank({ pid: 9 });
    attachTo(replica, poor);
    poor.onMessage({ failure: { epoch: 2, code: "not_found", text: "there is no such file", place: "/model" } });
    assert.equal(replica.state, "waiting");
    assert.match(replica.reason, /rank 2 of h was lost.*no such file/);
    ranks[2] = new FakeRank({ pid: 10 });
    attachTo(replica, ranks[2]);
    becomeReady(ranks, 3);
    assert.equal(replica.state, "ready");
  });

  // ---- leaving

  it("finishes the running step before its ranks leave", async () => {
    const { replica, ranks } = threeRanks();
    becomeReady(ranks, 1);
    const step = replica.step(planOf(1, 1));
    const drained = replica.drain(1_000);
    assert.equal(ranks[1]!.last.drain, undefined);
    ranks[0]!.onMessage({ step_result: encodeStepResult(resultOf(1, 1)) });
    assert.equal((await step)?.stepId, 1);
    await new Promise((resolve) => setImmediate(resolve));
    for (const rank of ranks) {
      assert.deepEqual(rank.last.drain, { epoch: 1 });
      rank.onMessage({ drained: { epoch: 1 } });
      rank.onLost("the rank ended its stream");
    }
    await drained;
    assert.deepEqual([replica.state, replica.reason], ["closed", "drained"]);
  });

  it("lets its ranks go to another coordinator at once, with the step that runs", async () => {
    const { replica, ranks } = threeRanks();
    becomeReady(ranks, 1);
    const step = replica.step(planOf(1, 1));
    replica.letGo("another has the lease");
    await assert.rejects(step, { code: "unavailable", message: "another has the lease" });
    for (const rank of ranks) assert.deepEqual(rank.last.drain, { epoch: 1, look_again: true });
    assert.throws(() => attachTo(replica, new FakeRank()), { code: "failed_precondition" });
    const numReceived = ranks[0]!.received.length;
    const drained = replica.drain(500);
    for (const rank of ranks) rank.onLost("the rank ended its stream");
    await drained;
    assert.equal(ranks[0]!.received.length, numReceived, "it is not told twice");
    assert.equal(replica.reason, "another has the lease");
  });

  it("lets one rank leave after the running step, and ends the epoch on the others", async () => {
    const { replica, ranks } = threeRanks();
    becomeReady(ranks, 1);
    const step = replica.step(planOf(1, 1));
    const drained = replica.drainRank(1, 1_000);
    assert.equal(ranks[1]!.last.drain, undefined);
    ranks[0]!.onMessage({ step_result: encodeStepResult(resultOf(1, 1)) });
    assert.equal((await step)?.stepId, 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(ranks[1]!.last.drain);
    assert.ok(ranks[0]!.last.end_epoch);
    ranks[1]!.onMessage({ drained: { epoch: 1 } });
    await drained;
    const next = new FakeRank({ pid: 7 });
    attachTo(replica, next);
    assert.equal(next.last.assignment?.rank, 1);
    await assert.rejects(replica.drainRank(8, 1), { code: "not_found" });
  });

  // A rank that drained waited for ever: with steps planned ahead there always was one that ran.
  it("lets one rank leave though the next step is always planned already", async () => {
    const { replica, ranks } = threeRanks();
    becomeReady(ranks, 1);
    const steps = [1, 2].map((stepId) => replica.step(planOf(1, stepId)));
    const drained = replica.drainRank(1, 1_000);
    ranks[0]!.onMessage({ step_result: encodeStepResult(resultOf(1, 1)) });
    const next = replica.step(planOf(1, 3));
    assert.equal(ranks[0]!.last.step_plan?.step_id, 2, "what is planned now is for the next epoch");
    ranks[0]!.onMessage({ step_result: encodeStepResult(resultOf(1, 2)) });
    assert.deepEqual(
      (await Promise.all(steps)).map((result) => result?.stepId),
      [1, 2],
    );
    await assert.rejects(next, { code: "unavailable", message: /rank 1 was drained/ });
    assert.ok(ranks[1]!.last.drain);
    ranks[1]!.onMessage({ drained: { epoch: 1 } });
    await drained;
  });

  it("goes on with the steps that it held back when the rank that was to leave comes again first", async () => {
    const { replica, ranks } = threeRanks();
    becomeReady(ranks, 1);
    const step = replica.step(planOf(1, 1));
    const drained = replica.drainRank(1, 1_000);
    const next = replica.step(planOf(1, 2));
    ranks[1]!.onLost("the connection is gone");
    attachTo(replica, ranks[1]!.again());
    ranks[0]!.onMessage({ step_result: encodeStepResult(resultOf(1, 1)) });
    await Promise.all([step, drained]);
    assert.equal(ranks[0]!.last.step_plan?.step_id, 2);
    ranks[0]!.onMessage({ step_result: encodeStepResult(resultOf(1, 2)) });
    assert.equal((await next)?.stepId, 2);
  });
});
