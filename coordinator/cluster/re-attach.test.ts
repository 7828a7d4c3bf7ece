import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RankProgram } from "../../plans/rank-program.js";
import type { ManualClock } from "../../proto/clock.js";
import { decodeStepPlan, encodeStepResult } from "../../proto/step-codec.js";
import { planOf, resultOf } from "../../proto/step-fixture.js";
import { FakeRank } from "./fake-rank.js";
import type { Replica } from "./replica.js";
import type { ReplicaEvent } from "./replica-state.js";
import type { ReplicaConfig } from "./replica-config.js";
import { attachTo, becomeReady, replicaWith } from "./replica-fixture.js";

interface Served {
  replica: Replica;
  clock: ManualClock;
  ranks: [FakeRank, FakeRank];
}

/** A replica of two ranks that serves. */
function served(overrides: Partial<ReplicaConfig> = {}): Served {
  const { replica, clock } = replicaWith({ worldSize: 2, ...overrides });
  const ranks: [FakeRank, FakeRank] = [new FakeRank({ pid: 1 }), new FakeRank({ pid: 2 })];
  for (const rank of ranks) attachTo(replica, rank);
  becomeReady(ranks, 1);
  assert.equal(replica.state, "ready");
  return { replica, clock, ranks };
}

function breakStream(rank: FakeRank): void {
  rank.onLost("the connection is gone");
}

function results(rank: FakeRank, stepId: number): void {
  rank.onMessage({ step_result: encodeStepResult(resultOf(1, stepId)) });
}

describe("a replica whose stream to a rank breaks", () => {
  it("waits for the rank, says so, and goes on in the same epoch", () => {
    const { replica, clock, ranks } = served();
    breakStream(ranks[1]);
    assert.equal(replica.state, "interrupted");
    assert.match(replica.reason, /rank 1 of h is away: the connection is gone; it has 1000 ms to come back/);
    clock.advance(900);
    const again = ranks[1].again();
    attachTo(replica, again);
    assert.deepEqual([replica.state, replica.epoch], ["ready", 1]);
    assert.deepEqual(again.received, [{ resume: { epoch: 1, fencing_token: 0, last_result_id: 0 } }]);
    assert.equal(ranks[0].last.end_epoch, undefined, "the other heard nothing of it");
    clock.advance(200);
    assert.equal(replica.state, "ready", "the lease is over only for those who stay away");
  });

  it("is ready when all that were away are back", () => {
    const { replica, ranks } = served();
    for (const rank of ranks) breakStream(rank);
    attachTo(replica, ranks[0].again());
    assert.equal(replica.state, "interrupted");
    attachTo(replica, ranks[1].again());
    assert.equal(replica.state, "ready");
  });

  it("gives up when the lease has run out, and fails the step that ran", async () => {
    const { replica, clock, ranks } = served();
    const step = replica.step(planOf(1, 1));
    breakStream(ranks[0]);
    const rejected = assert.rejects(step, {
      code: "unavailable",
      message: /rank 0 of h was lost.*the connection is gone; it did not come back within 1000 ms/,
    });
    clock.advance(1_000);
    await rejected;
    assert.ok(ranks[1].last.end_epoch);
    const late = ranks[0].again();
    attachTo(replica, late);
    assert.deepEqual([late.received[0]?.end_epoch?.epoch, late.last.assignment?.epoch], [1, 2], "it begins anew");
  });

  it("sends a plan again that the lead has not got, and not one that it has", async () => {
    for (const wasLost of [true, false]) {
      const { replica, ranks } = served();
      const first = replica.step(planOf(1, 1));
      results(ranks[0], 1);
      await first;
      if (wasLost) breakStream(ranks[0]);
      const step = replica.step(planOf(1, 2));
      if (!wasLost) breakStream(ranks[0]);
      const again = ranks[0].again();
      attachTo(replica, again);
      assert.equal(again.last.step_plan?.step_id, wasLost ? 2 : undefined);
      results(again, 2);
      assert.equal((await step)?.stepId, 2);
    }
  });

  it("sends those of several plans again that the lead has not got, in order, and says which results it has", async () => {
    const { replica, ranks } = served();
    const first = replica.step(planOf(1, 1));
    const second = replica.step(planOf(1, 2));
    results(ranks[0], 1);
    await first;
    breakStream(ranks[0]);
    const third = replica.step(planOf(1, 3));
    const fourth = replica.step(planOf(1, 4));
    const again = ranks[0].again();
    attachTo(replica, again);
    assert.equal(again.received[0]?.resume?.last_result_id, 1);
    assert.deepEqual(
      again.received.slice(1).map(({ step_plan: plan }) => [plan?.step_id, plan?.last_result_id]),
      [
        [3, 1],
        [4, 1],
      ],
    );
    for (const stepId of [1, 2, 3, 4]) results(again, stepId);
    const ended = await Promise.all([second, third, fourth]);
    assert.deepEqual(
      ended.map((result) => result?.stepId),
      [2, 3, 4],
    );
  });

  it("goes on with a run: results that were lost come again, and its end is asked for again", async () => {
    const { replica, ranks } = served();
    const heard: number[] = [];
    const onResult = ({ stepId }: { stepId: number }): void => void heard.push(stepId);
    const run = replica.step(planOf(1, 1, { numGrantedSteps: 3 }), onResult);
    const behind = replica.step(planOf(1, 5, { numGrantedSteps: 1, followsStepId: 4 }), onResult);
    const result = (rank: FakeRank, stepId: number, runsOn: boolean): void =>
      rank.onMessage({ step_result: encodeStepResult({ ...resultOf(1, stepId), runsOn }) });
    result(ranks[0], 1, true);
    breakStream(ranks[0]);
    replica.endGrants();
    replica.endGrants();
    const again = ranks[0].again({ last_step_id: 6 });
    attachTo(replica, again);
    assert.deepEqual(again.received, [
      { resume: { epoch: 1, fencing_token: 0, last_result_id: 1 } },
      { end_grants: { epoch: 1, step_id: 6 } },
    ]);
    result(again, 2, true);
    result(again, 3, false);
    assert.deepEqual([heard, (await run)?.stepId, await behind], [[1, 2, 3], 3, null]);
    const next = replica.step(planOf(1, 7));
    assert.equal(again.last.step_plan?.last_result_id, 6, "of what was not run nothing will come");
    result(again, 7, false);
    assert.equal((await next)?.stepId, 7);
  });

  it("fails every step that ran when the lead is lost, and takes a result out of order for the fault that it is", async () => {
    for (const how of ["lost", "out of order"]) {
      const { replica, ranks } = served();
      const steps = [1, 2].map((stepId) => replica.step(planOf(1, stepId)));
      const rejected = Promise.all(steps.map((step) => assert.rejects(step, { code: "unavailable" })));
      if (how === "lost") ranks[0].onMessage({ drained: { epoch: 1 } });
      else results(ranks[0], 2);
      await rejected;
      assert.match(replica.reason, how === "lost" ? /without being told to/ : /step 2 came, expected: 1/);
    }
  });

  it("takes the result of a step once, however often the lead sends it", async () => {
    const { replica, ranks } = served();
    const step = replica.step(planOf(1, 1));
    results(ranks[0], 1);
    assert.equal((await step)?.stepId, 1);
    breakStream(ranks[0]);
    const again = ranks[0].again();
    attachTo(replica, again);
    results(again, 1);
    assert.equal(replica.state, "ready");
    const next = replica.step(planOf(1, 2));
    results(again, 1);
    results(again, 2);
    assert.equal((await next)?.stepId, 2);
  });

  it("takes in a rank that dials again before this end knows that its stream broke", async () => {
    const { replica, ranks } = served();
    const step = replica.step(planOf(1, 1));
    const again = ranks[0].again();
    attachTo(replica, again);
    assert.equal(ranks[0].closedWith, undefined, "the stream that is dead is closed");
    breakStream(ranks[0]);
    assert.equal(replica.state, "ready", "its end means nothing any more");
    results(again, 1);
    assert.equal((await step)?.stepId, 1);
  });

  it("does not call a step a stall while somebody is away", () => {
    const { replica, clock, ranks } = served({ leaseMs: 10_000 });
    void replica.step(planOf(1, 1)).catch(() => {});
    breakStream(ranks[0]);
    for (let ms = 0; ms < 4_500; ms += 250) {
      ranks[1].onMessage({ progress: { epoch: 1 } });
      clock.advance(250);
    }
    assert.equal(replica.state, "interrupted", replica.reason);
  });

  it("waits for nobody whose process has ended, and loses at once a rank that leaves or was not ready", () => {
    const { replica, ranks } = served();
    const launched = served({ worldSize: 2 });
    ranks[1].onMessage({ drained: { epoch: 1 } });
    assert.equal(replica.state, "waiting");
    const { replica: other } = launched;
    launched.ranks[0].hello.launch_id = "secret";
    breakStream(launched.ranks[0]);
    assert.equal(other.state, "interrupted");
    other.processEnded("secret");
    assert.match(other.reason, /rank 0 of h was lost.*: its process has ended/);
    const { replica: loading } = replicaWith();
    const rank = new FakeRank();
    attachTo(loading, rank);
    breakStream(rank);
    assert.equal(loading.state, "waiting");
  });

  it("gives the seat at once to another process of the same host, and to nobody of another", () => {
    const { replica, ranks } = served();
    breakStream(ranks[1]);
    assert.throws(() => attachTo(replica, new FakeRank({ host_id: "elsewhere" })), { message: /no free seat/ });
    assert.equal(replica.state, "interrupted");
    const successor = new FakeRank({ pid: 9 });
    attachTo(replica, successor);
    assert.equal(successor.last.assignment?.epoch, 2);
    const late = ranks[1].again();
    assert.throws(() => attachTo(replica, late), { code: "failed_precondition" });
    assert.equal(late.last.end_epoch?.epoch, 1);
  });

  it("ends the epoch when the others report the rank's loss, or one is lost for good", () => {
    for (const how of ["failure", "loss"] as const) {
      const { replica, clock, ranks } = served();
      breakStream(ranks[1]);
      if (how === "loss") ranks[0].onMessage({ drained: { epoch: 1 } });
      else ranks[0].onMessage({ failure: { epoch: 1, code: "unavailable", text: "rank 1 is gone" } });
      assert.equal(replica.state, "waiting");
      const back = ranks[1].again();
      attachTo(replica, back);
      assert.equal(back.received[0]?.end_epoch?.epoch, 1);
      clock.advance(2_000);
      assert.notEqual(replica.state, "interrupted");
    }
  });

  it("is drained without those who are away", async () => {
    const { replica, ranks } = served();
    breakStream(ranks[1]);
    const drained = replica.drain(500);
    assert.ok(ranks[0].last.drain);
    ranks[0].onMessage({ drained: { epoch: 1 } });
    await drained;
    const late = ranks[1].again();
    assert.throws(() => attachTo(replica, late), { code: "failed_precondition", message: /closed: drained/ });
  });
});

describe("a coordinator that comes after another", () => {
  /** The ranks of a replica that served and is gone, two plans on. */
  async function orphans(): Promise<[FakeRank, FakeRank]> {
    const { replica, ranks } = served();
    for (const stepId of [1, 2]) {
      const step = replica.step(planOf(1, stepId));
      results(ranks[0], stepId);
      await step;
    }
    return ranks;
  }

  function successor(overrides: Partial<ReplicaConfig> = {}): Served["replica"] & { events: ReplicaEvent[] } {
    const { replica } = replicaWith({ worldSize: 2, ...overrides });
    const events: ReplicaEvent[] = [];
    replica.onEvent = (event) => void events.push(event);
    return Object.assign(replica, { events });
  }

  it("goes on with the epoch that all ranks hold: no load, its own steps, the other's rows ended", async () => {
    const [lead, follower] = await orphans();
    const replica = successor({ fencingToken: () => 7 });
    const again = [follower.again(), lead.again({ live_rows: [3, 1] })] as const;
    for (const rank of again) attachTo(replica, rank);
    assert.deepEqual([replica.state, replica.epoch, replica.numBlocks], ["ready", 1, 8]);
    const resume = { epoch: 1, fencing_token: 7, last_result_id: 2 };
    for (const rank of again) assert.deepEqual(rank.received, [{ resume }]);
    assert.deepEqual(
      replica.events.map((event) => [event.name, "isHolding" in event && event.isHolding]),
      [
        ["rank_attached", true],
        ["rank_attached", true],
        ["replica_ready", false],
      ],
    );
    const step = replica.step(planOf(1, 1, { finishedRows: Int32Array.of() }));
    const plan = decodeStepPlan(again[1].last.step_plan!);
    assert.deepEqual([plan.stepId, [...plan.finishedRows]], [3, [3, 1]]);
    results(again[1], 2);
    results(again[1], 3);
    assert.equal((await step)?.stepId, 1, "its steps are counted from one");
    void replica.step(planOf(1, 2)).catch(() => {});
    assert.deepEqual([...decodeStepPlan(again[1].last.step_plan!).finishedRows], [], "once is enough");
  });

  it("begins anew unless every rank holds the same epoch, loaded as it would load it, with blocks as it would choose", async () => {
    const cases: [string, Partial<ReplicaConfig>, (ranks: [FakeRank, FakeRank]) => FakeRank[]][] = [
      ["another epoch", {}, ([a, b]) => [a.again(), b.again({ epoch: 2 })]],
      ["nothing", {}, ([a]) => [a.again(), new FakeRank({ pid: 2 })]],
      ["another program", { programOf: () => ({ rank: 5 }) as RankProgram }, (all) => all.map((rank) => rank.again())],
      ["another model", { modelDir: "/other" }, (all) => all.map((rank) => rank.again())],
      ["other blocks", { chooseNumBlocks: () => 9 }, (all) => all.map((rank) => rank.again())],
      ["blocks of its own", {}, ([a, b]) => [a.again(), b.again({ ready: { epoch: 1, num_blocks: 7 } })]],
      ["nothing sized", {}, ([a, b]) => [a.again(), b.again({ sized: null })]],
    ];
    for (const [what, overrides, returning] of cases) {
      const replica = successor(overrides);
      const ranks = returning(await orphans());
      for (const rank of ranks) attachTo(replica, rank);
      assert.equal(replica.state, "sizing", what);
      assert.ok(replica.epoch > Math.max(...ranks.map(({ hello }) => hello.held?.epoch ?? 0)), what);
      for (const rank of ranks) assert.equal(rank.last.assignment?.epoch, replica.epoch, what);
    }
  });

  it("prefers a rank that holds its weights to one that would load them, and not to another that holds them", async () => {
    const [lead, follower] = await orphans();
    const replica = successor();
    const fresh = [new FakeRank({ pid: 8 }), new FakeRank({ pid: 9 })];
    for (const rank of fresh) attachTo(replica, rank);
    assert.equal(replica.state, "sizing");
    attachTo(replica, lead.again());
    assert.equal(fresh[0]!.closedWith, undefined, "it made room");
    attachTo(replica, follower.again());
    assert.deepEqual([replica.state, replica.epoch], ["ready", 1]);
    assert.throws(() => attachTo(replica, follower.again({ rank: 0 })), { code: "failed_precondition" });
  });

  it("does not look at what a rank holds once it has served itself", async () => {
    const [lead] = await orphans();
    const { replica, ranks } = served();
    ranks[0].onMessage({ drained: { epoch: 1 } });
    const back = lead.again();
    attachTo(replica, back);
    assert.deepEqual([back.received[0]?.end_epoch?.epoch, back.last.assignment?.epoch], [1, 2]);
  });

  it("ends an epoch of a rank number or a replica that it has not", async () => {
    const [lead] = await orphans();
    for (const held of [{ rank: 7 }, { replica_id: 3 }, { rank: -1 }]) {
      const replica = successor();
      const rank = lead.again(held);
      attachTo(replica, rank);
      assert.equal(rank.received[0]?.end_epoch?.epoch, 1);
    }
  });
});
