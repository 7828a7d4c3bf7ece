import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RankProgram } from "../../plans/rank-program.js";
import { ManualClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { PROTOCOL_VERSION, type v1 } from "../../proto/messages.js";
import { encodeStepResult } from "../../proto/step-codec.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import type { FromRank, RankConnection, ToRank } from "./rank-connection.js";
import { Replica, type ReplicaConfig } from "./replica.js";

/** A rank at the other end of an in-memory connection; it answers when the test says so. */
class FakeRank implements RankConnection {
  readonly received: ToRank[] = [];
  onMessage: (message: FromRank) => void = () => {};
  onLost: (reason: string) => void = () => {};
  closedWith: MoesaicError | undefined | null = null;

  constructor(readonly hello: v1.Hello.$Properties = { protocol_version: PROTOCOL_VERSION, host_id: "h", pid: 1 }) {}

  send(message: ToRank): void {
    this.received.push(message);
  }

  close(error?: MoesaicError): void {
    this.closedWith = error;
  }

  /** Goes through sizing and loading of the epoch. */
  becomeReady(epoch: number): void {
    this.onMessage({ sized: { epoch, weights_bytes: 10, workspace_bytes: 5, kv_block_bytes: 2, memory_bytes: 100 } });
    this.onMessage({ ready: { epoch, num_blocks: 8 } });
  }

  get last(): ToRank {
    return this.received.at(-1)!;
  }
}

function replicaWith(overrides: Partial<ReplicaConfig> = {}): { replica: Replica; clock: ManualClock } {
  const clock = new ManualClock();
  const config: ReplicaConfig = {
    replicaId: 0,
    worldSize: 1,
    programOf: () => ({}) as RankProgram,
    modelDir: "/model",
    dummySeed: null,
    kernelPackages: ["cpu"],
    chooseNumBlocks: () => 8,
    leaseMs: 1000,
    stallMs: 2000,
    ...overrides,
  };
  return { replica: new Replica(config, clock, silentLogger), clock };
}

const EMPTY = new Int32Array();
const FLOATS = new Float32Array();

function plan(epoch: number, stepId: number): StepPlan {
  return {
    epoch,
    stepId,
    numGrantedSteps: 0,
    tokenIds: EMPTY,
    positions: EMPTY,
    seqRows: EMPTY,
    queryStarts: EMPTY,
    seqLens: EMPTY,
    outputs: EMPTY,
    newRows: [],
    blockDeltas: [],
    finishedRows: EMPTY,
  };
}

function result(epoch: number, stepId: number): StepResult {
  return {
    epoch,
    stepId,
    seqRows: EMPTY,
    tokenIds: EMPTY,
    finishes: EMPTY,
    logprobs: FLOATS,
    numTopLogprobs: 0,
    topTokenIds: EMPTY,
    topLogprobs: FLOATS,
    logits: FLOATS,
    engineUs: 1,
  };
}

describe("Replica", () => {
  it("takes a rank from Hello over Assignment and Load to ready", () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    replica.attach(rank);
    assert.equal(rank.received[0]?.assignment?.epoch, 1);
    rank.becomeReady(1);
    assert.deepEqual(rank.received[1]?.load, { epoch: 1, num_blocks: 8 });
    assert.equal(replica.state, "ready");
  });

  it("starts an epoch only when every seat is taken", () => {
    const { replica } = replicaWith({ worldSize: 2 });
    const [first, second] = [new FakeRank(), new FakeRank()];
    replica.attach(first);
    assert.equal(first.received.length, 0);
    replica.attach(second);
    assert.deepEqual([first.last.assignment?.rank, second.last.assignment?.rank], [0, 1]);
  });

  it("refuses a rank of another protocol version and names both versions", () => {
    const { replica } = replicaWith();
    const rank = new FakeRank({ protocol_version: PROTOCOL_VERSION + 1, host_id: "h" });
    const message = new RegExp(`speaks version ${PROTOCOL_VERSION + 1}, this coordinator ${PROTOCOL_VERSION}`);
    assert.throws(() => replica.attach(rank), { code: "failed_precondition", message, place: "rank of host h" });
  });

  it("refuses one rank too many", () => {
    const { replica } = replicaWith();
    replica.attach(new FakeRank());
    assert.throws(() => replica.attach(new FakeRank()), { code: "failed_precondition", message: /no free seat/ });
  });

  it("gives a step's result to whoever waits for it", async () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    replica.attach(rank);
    rank.becomeReady(1);
    const step = replica.step(plan(1, 5));
    assert.equal(rank.last.step_plan?.step_id, 5);
    rank.onMessage({ step_result: encodeStepResult(result(1, 5)) });
    assert.equal((await step).stepId, 5);
  });

  it("fails the running step when the rank is lost, says where it was, and is ready again with the next one", async () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    replica.attach(rank);
    rank.becomeReady(1);
    const step = replica.step(plan(1, 1));
    rank.onMessage({ progress: { epoch: 1, counter: 3, step_id: 1, op: "attention" } });
    rank.onLost("gone");
    await assert.rejects(step, { code: "unavailable", message: /rank 0 was lost in step 1 at op attention: gone/ });
    assert.equal(replica.state, "waiting");
    const next = new FakeRank();
    replica.attach(next);
    next.becomeReady(2);
    assert.equal(replica.state, "ready");
    assert.equal(replica.epoch, 2);
  });

  it("drops what an ended epoch still says", async () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    replica.attach(rank);
    rank.becomeReady(1);
    const step = replica.step(plan(1, 1));
    rank.onMessage({ step_result: encodeStepResult(result(0, 1)) });
    rank.onMessage({ step_result: encodeStepResult(result(1, 1)) });
    assert.equal((await step).epoch, 1);
  });

  it("calls a counter that stands still a stall, and a long step none", async () => {
    const { replica, clock } = replicaWith();
    const rank = new FakeRank();
    replica.attach(rank);
    rank.becomeReady(1);
    const step = replica.step(plan(1, 1));
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
    replica.attach(rank);
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
    replica.attach(rank);
    rank.onMessage({ sized: { epoch: 1 } });
    assert.equal(replica.state, "failed");
    assert.match(replica.reason, /too small/);
  });

  it("treats a result that cannot be used as the loss of its rank", async () => {
    const { replica } = replicaWith();
    const rank = new FakeRank();
    replica.attach(rank);
    rank.becomeReady(1);
    const step = replica.step(plan(1, 1));
    rank.onMessage({ step_result: { epoch: 1, step_id: 1, token_ids: Uint8Array.of(1) } });
    await assert.rejects(step, { code: "unavailable", message: /cannot be used: token_ids/ });
  });

  it("waits for drained ranks, and no longer than it was told", async () => {
    const { replica, clock } = replicaWith();
    const rank = new FakeRank();
    replica.attach(rank);
    rank.becomeReady(1);
    const drained = replica.drain(500);
    assert.ok(rank.last.drain);
    clock.advance(500);
    await drained;
    assert.equal(rank.closedWith, undefined);
  });
});
