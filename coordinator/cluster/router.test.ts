import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import type { RowSampling } from "../../proto/step.js";
import type { OutputListener } from "../engine-loop.js";
import type { SequenceOutput } from "../scheduler/sequence-output.js";
import type { SequenceSpec } from "../scheduler/sequence.js";
import { Router, type Lane } from "./router.js";

/** Tokens that prompts with the same first token id have in common. */
const NUM_SHARED = 1_000;

class FakeLane implements Lane {
  availability: Lane["availability"] = "ready";
  isFull = false;
  /** By first token id: how many tokens of a prompt that begins so are cached here. What runs here is. */
  readonly cached = new Map<number, number>();
  stepMs: number | null = 10;
  reason = "a rank is missing";
  refusal: MoesaicError | null = null;
  readonly submitted: SequenceSpec[] = [];
  readonly aborted: number[] = [];
  readonly listeners = new Map<number, OutputListener>();

  constructor(readonly replicaId: number) {}

  submit(spec: SequenceSpec, listener: OutputListener): void {
    if (this.refusal !== null) throw this.refusal;
    this.submitted.push(spec);
    this.listeners.set(spec.seqId, listener);
    this.cached.set(spec.promptTokenIds[0]!, NUM_SHARED);
  }

  measuredStepMs(): number | null {
    return this.stepMs;
  }

  numCachedTokens({ promptTokenIds }: SequenceSpec): number {
    return Math.min(this.cached.get(promptTokenIds[0]!) ?? 0, promptTokenIds.length - 1);
  }

  abort(seqId: number): void {
    this.aborted.push(seqId);
  }
}

function routerOf(...lanes: FakeLane[]): Router {
  const router = new Router(silentLogger);
  for (const lane of lanes) router.add(lane);
  return router;
}

function end(lane: FakeLane, seqId: number): void {
  const counts = { numPromptTokens: 100, numOutputTokens: 1, numCachedTokens: 0 };
  lane.listeners.get(seqId)!({ seqId, requestId: `r${seqId}`, ...counts, tokenId: 3, finish: "length" });
}

function spec(seqId: number, numTokens: number, wantsLogits = false, firstTokenId = seqId): SequenceSpec {
  const promptTokenIds = Array.from({ length: numTokens }, () => firstTokenId);
  const head = { seqId, requestId: `r${seqId}`, promptTokenIds, sampling: {} as RowSampling };
  return { ...head, priority: 0, deadlineMs: null, wantsLogits };
}

describe("Router", () => {
  it("picks the ready replica with the fewest tokens, and aborts where the sequence runs", () => {
    const lanes = [new FakeLane(0), new FakeLane(1)] as const;
    const router = routerOf(...lanes);
    for (const [seqId, numTokens] of [5, 2, 2, 2].entries()) router.submit(spec(seqId, numTokens), () => {});
    assert.deepEqual(
      lanes.map(({ submitted }) => submitted.map(({ seqId }) => seqId)),
      [[0], [1, 2, 3]],
    );
    router.abort(2);
    assert.deepEqual(lanes[1].aborted, [2]);
  });

  it("gives work to replicas as they are fast, and what each is given again once it is done", () => {
    const lanes = [new FakeLane(0), new FakeLane(1), new FakeLane(2)] as const;
    const router = routerOf(...lanes);
    for (const [index, lane] of lanes.entries()) lane.stepMs = [10, 20, 40][index]!;
    for (let seqId = 1; seqId <= 70; seqId++) router.submit(spec(seqId, 100), () => {});
    assert.deepEqual(
      lanes.map(({ submitted }) => submitted.length),
      [40, 20, 10],
    );
    for (const { seqId } of lanes[2].submitted) end(lanes[2], seqId);
    for (let seqId = 71; seqId <= 80; seqId++) router.submit(spec(seqId, 100), () => {});
    assert.deepEqual(lanes[2].submitted.length, 20);
  });

  // A replica whose steps were measured looked twice as fast as an idle one, of which there was only a guess, and got all.
  it("takes a replica that has run nothing yet for as fast as the others", () => {
    const lanes = [new FakeLane(0), new FakeLane(1)] as const;
    const router = routerOf(...lanes);
    [lanes[0].stepMs, lanes[1].stepMs] = [0.01, null];
    for (let seqId = 1; seqId <= 2; seqId++) router.submit(spec(seqId, 100), () => {});
    assert.deepEqual(
      lanes.map(({ submitted }) => submitted.length),
      [1, 1],
    );
  });

  it("goes to the replica that has the prefix, for as long as computing it elsewhere takes longer than to wait", () => {
    const lanes = [new FakeLane(0), new FakeLane(1)] as const;
    const router = routerOf(...lanes);
    for (let seqId = 1; seqId <= 100; seqId++) router.submit(spec(seqId, NUM_SHARED + 50, false, 7), () => {});
    const numbers = lanes.map(({ submitted }) => submitted.length);
    // The first computes 1,050 tokens there, and the second replica none yet: it computes the prefix too. Then they take turns.
    assert.deepEqual(numbers, [50, 50]);
  });

  // A hundred chats that share a prefix, beside other load: where the prefix is, they go, and the other load moves away.
  it("keeps a hot prefix together without overloading its replica", () => {
    const lanes = [new FakeLane(0), new FakeLane(1), new FakeLane(2)] as const;
    const router = routerOf(...lanes);
    lanes[1].cached.set(7, NUM_SHARED);
    const loads = [0, 0, 0];
    for (let seqId = 100; seqId < 250; seqId++) {
      const isHot = seqId % 2 === 0;
      const sequence = isHot ? spec(seqId, NUM_SHARED + 50, false, 7) : spec(seqId, 200);
      const before = lanes.map((lane) => sequence.promptTokenIds.length - lane.numCachedTokens(sequence));
      router.submit(sequence, () => {});
      const index = lanes.findIndex(({ submitted }) => submitted.at(-1)?.seqId === seqId);
      loads[index]! += before[index]!;
    }
    assert.ok(Math.max(...loads) - Math.min(...loads) <= NUM_SHARED + 50, `computed tokens ${loads.join(", ")}`);
    const hot = lanes.map(({ submitted }) => submitted.filter(({ promptTokenIds }) => promptTokenIds[0] === 7).length);
    assert.ok(hot[1]! > hot[0]! && hot[1]! > hot[2]!, `chats of the prefix ${hot.join(", ")}`);
  });

  it("gives one with a sequence in every row nothing while another has a free one, whatever it has cached", () => {
    const lanes = [new FakeLane(0), new FakeLane(1)] as const;
    const router = routerOf(...lanes);
    lanes[0].cached.set(7, NUM_SHARED);
    lanes[0].isFull = true;
    router.submit(spec(1, NUM_SHARED + 1, false, 7), () => {});
    assert.equal(lanes[1].submitted.length, 1);
    lanes[1].isFull = true;
    router.submit(spec(2, 10_000), () => {});
    assert.equal(lanes[0].submitted.length, 1);
  });

  it("gives nothing to one that is away, waits for one that recovers, and says why when there is none", () => {
    const lanes = [new FakeLane(0), new FakeLane(1)] as const;
    const router = routerOf(...lanes);
    lanes[0].availability = "away";
    lanes[1].availability = "recovering";
    router.submit(spec(1, 1), () => {});
    assert.equal(lanes[1].submitted.length, 1);
    lanes[1].availability = "away";
    const message = /replica 0: a rank is missing; replica 1: a rank is missing/;
    assert.throws(() => router.submit(spec(2, 1), () => {}), { code: "unavailable", message });
  });

  it("tries the next replica when a queue is full, and none when the request is wrong", () => {
    const lanes = [new FakeLane(0), new FakeLane(1)] as const;
    const router = routerOf(...lanes);
    lanes[0].refusal = new MoesaicError("resource_exhausted", "full");
    router.submit(spec(1, 1), () => {});
    assert.equal(lanes[1].submitted.length, 1);
    lanes[0].refusal = new MoesaicError("invalid_argument", "wrong");
    assert.throws(() => router.submit(spec(2, 1), () => {}), { code: "invalid_argument" });
    assert.equal(lanes[1].submitted.length, 1);
  });

  it("hands over the sequences of a failed replica with what they have, and ends what nobody can take", () => {
    const lanes = [new FakeLane(0), new FakeLane(1)] as const;
    const router = routerOf(...lanes);
    const outputs: SequenceOutput[] = [];
    const listener = (output: SequenceOutput) => void outputs.push(output);
    router.submit(spec(1, 3), listener);
    lanes[0].availability = "away";
    router.adopt([
      {
        spec: spec(1, 3),
        listener: () => assert.fail("the replica's ear"),
        outputTokenIds: [7, 8],
        numReturnedLogits: 0,
      },
      { spec: spec(2, 3, true), listener, outputTokenIds: [], numReturnedLogits: 2 },
    ]);
    assert.deepEqual(
      lanes[1].submitted.map((one) => [one.outputTokenIds, one.numReturnedLogits]),
      [
        [[7, 8], 0],
        [[], 2],
      ],
    );
    router.abort(1);
    assert.deepEqual(lanes[1].aborted, [1]);
    const end = { seqId: 1, requestId: "r1", numPromptTokens: 3, numOutputTokens: 3, numCachedTokens: 0 };
    lanes[1].listeners.get(1)!({ ...end, finish: "abort" });
    lanes[1].availability = "away";
    router.adopt([{ spec: spec(3, 3), listener, outputTokenIds: [], numReturnedLogits: 0 }]);
    assert.deepEqual(
      outputs.map(({ seqId, finish, error }) => [seqId, finish, error?.code]),
      [
        [1, "abort", undefined],
        [3, "error", "unavailable"],
      ],
    );
  });
});
