import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import type { RowSampling } from "../../proto/step.js";
import type { OutputListener } from "../engine-loop.js";
import type { SequenceOutput } from "../scheduler/sequence-output.js";
import type { SequenceSpec } from "../scheduler/sequence.js";
import { Router, type Lane } from "./router.js";

class FakeLane implements Lane {
  availability: Lane["availability"] = "ready";
  numLiveTokens = 0;
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
    this.numLiveTokens += spec.promptTokenIds.length;
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

function spec(seqId: number, numTokens: number, wantsLogits = false): SequenceSpec {
  const promptTokenIds = Array.from({ length: numTokens }, () => 1);
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
      lanes[1].submitted.map(({ outputTokenIds, numReturnedLogits }) => [outputTokenIds, numReturnedLogits]),
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
