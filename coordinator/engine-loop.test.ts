import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManualClock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { silentLogger } from "../proto/log.js";
import { GREEDY, resultOf } from "../proto/step-fixture.js";
import { grantedPlan, type StepPlan, type StepResult } from "../proto/step.js";
import { EngineLoop, type LiveSequence, type StepExecutor } from "./engine-loop.js";
import { Scheduler } from "./scheduler/scheduler.js";
import type { SequenceOutput } from "./scheduler/sequence-output.js";

const CONFIG = {
  vocabSize: 100,
  maxSeqLen: 16,
  blockSize: 8,
  numBlocks: 20,
  kvGroups: [{ kind: "full" as const, window: 0, layers: [0] }],
  maxBatchedTokens: 16,
  maxSequences: 4,
  maxLogitRows: 4,
  maxWaiting: 10,
};
const SPEC = {
  requestId: "r",
  promptTokenIds: [1, 2],
  sampling: GREEDY,
  priority: 0,
  deadlineMs: null,
  wantsLogits: false,
};

/** A loop whose ranks are lost in the first step and come back when the test says so. */
function lostLoop() {
  const clock = new ManualClock();
  const scheduler = new Scheduler(CONFIG, silentLogger);
  let isFirst = true;
  let giveUp: (error: MoesaicError) => void = () => {};
  const executor = {
    reason: "rank 1 was lost",
    step: () => Promise.reject(new MoesaicError("unavailable", "rank 1 was lost")),
    whenReady: () => {
      if (isFirst) {
        isFirst = false;
        return Promise.resolve(1);
      }
      return new Promise<number>((_, reject) => (giveUp = reject));
    },
  };
  const loop = new EngineLoop(scheduler, executor, { stepFinished: () => {} }, clock, silentLogger, 5_000);
  const outputs: SequenceOutput[] = [];
  loop.submit({ ...SPEC, seqId: 1, outputTokenIds: [3] }, (output) => outputs.push(output));
  const running = loop.run();
  return { clock, loop, outputs, running, giveUp: (error: MoesaicError) => giveUp(error) };
}

describe("EngineLoop without ranks", () => {
  it("lets sequences wait for the recovery timeout, then ends them with the reason and the tokens they had", async () => {
    const { clock, outputs } = lostLoop();
    await turn();
    clock.advance(4_999);
    assert.equal(outputs.length, 0);
    clock.advance(1);
    assert.equal(outputs.length, 1);
    assert.deepEqual(
      [outputs[0]?.finish, outputs[0]?.error?.code, outputs[0]?.numOutputTokens],
      ["error", "unavailable", 1],
    );
    assert.match(outputs[0]?.error?.message ?? "", /within 5000 ms: rank 1 was lost/);
  });

  it("drains at the end of its grace though nothing can be stepped", async () => {
    const { clock, loop, outputs } = lostLoop();
    await turn();
    const drained = loop.drain(100);
    clock.advance(100);
    await drained;
    assert.equal(outputs.length, 1);
  });

  it("gives its sequences with their tokens away when no world will come again", async () => {
    const { loop, outputs, running, giveUp } = lostLoop();
    let orphans: LiveSequence[] = [];
    loop.onFailed = (all) => (orphans = all);
    await turn();
    giveUp(new MoesaicError("failed_precondition", "the checkpoint is gone"));
    await running;
    assert.deepEqual(
      orphans.map(({ spec, outputTokenIds }) => [spec.seqId, outputTokenIds]),
      [[1, [3]]],
    );
    assert.deepEqual([outputs.length, loop.numLive], [0, 0]);
  });

  it("gives nothing away that was told to end meanwhile", async () => {
    const { loop, outputs, running, giveUp } = lostLoop();
    let orphans: LiveSequence[] = [];
    loop.onFailed = (all) => (orphans = all);
    await turn();
    loop.abort(1, "stop");
    giveUp(new MoesaicError("failed_precondition", "the checkpoint is gone"));
    await running;
    assert.deepEqual(orphans, []);
    assert.deepEqual(
      outputs.map(({ finish, numOutputTokens }) => [finish, numOutputTokens]),
      [["stop", 1]],
    );
  });

  it("hands over what it has not finished, is idle then, and tells nobody", async () => {
    const { loop, outputs } = lostLoop();
    await turn();
    const drained = loop.drain(Infinity);
    const sequences = loop.handOver();
    await drained;
    assert.deepEqual(
      sequences.map(({ spec, outputTokenIds, numReturnedLogits }) => [spec.seqId, outputTokenIds, numReturnedLogits]),
      [[1, [3], 0]],
    );
    assert.deepEqual([loop.numLive, outputs.length], [0, 0]);
  });
});

/** Ranks that answer when the test says so, a step at a time. */
class SlowRanks implements StepExecutor {
  readonly plans: StepPlan[] = [];
  numGrantEnds = 0;
  readonly runAheadMax: number;
  #next: StepPlan[] = [];
  readonly #listeners = new Map<StepPlan, (result: StepResult) => void>();

  constructor(runAheadMax: number) {
    this.runAheadMax = runAheadMax;
  }

  whenReady(): Promise<number> {
    return Promise.resolve(1);
  }

  step(plan: StepPlan, onResult: (result: StepResult) => void): Promise<void> {
    this.plans.push(plan);
    this.#next.push(plan);
    this.#listeners.set(plan, onResult);
    return Promise.resolve();
  }

  endGrants(): void {
    this.numGrantEnds++;
  }

  /** Steps that were given and have no result, granted ones included. */
  get numSteps(): number {
    return this.#next.reduce((sum, { numGrantedSteps }) => sum + 1 + numGrantedSteps, 0);
  }

  /** Ends the oldest step: every sequence samples 7. The first end of grants that it is told of ends its run. */
  async answer(): Promise<void> {
    const plan = this.#next.shift()!;
    const { stepId, seqRows, numGrantedSteps } = plan;
    const onResult = this.#listeners.get(plan)!;
    const runsOn = numGrantedSteps > 0 && this.numGrantEnds === 0;
    if (runsOn) {
      const granted = grantedPlan(plan);
      this.#next.unshift(granted);
      this.#listeners.set(granted, onResult);
    }
    const tokenIds = new Int32Array(seqRows.length).fill(7);
    onResult({ ...resultOf(1, stepId), seqRows, tokenIds, finishes: new Int32Array(seqRows.length), runsOn });
    await turn();
  }
}

async function loopOn(runAhead: number, runAheadMax = Infinity) {
  const clock = new ManualClock();
  const ranks = new SlowRanks(runAheadMax);
  const durationsMs: number[] = [];
  const scheduler = new Scheduler({ ...CONFIG, runAhead }, silentLogger);
  const observer = { stepFinished: ({ durationMs }: { durationMs: number }) => void durationsMs.push(durationMs) };
  const loop = new EngineLoop(scheduler, ranks, observer, clock, silentLogger);
  const outputs: SequenceOutput[] = [];
  const submit = async (seqId: number): Promise<void> => {
    loop.submit({ ...SPEC, seqId }, (output) => outputs.push(output));
    await turn();
  };
  void loop.run();
  await submit(1);
  return { clock, ranks, loop, outputs, submit, durationsMs };
}

describe("EngineLoop that runs ahead", () => {
  for (const [runAhead, runAheadMax, numPlans, numSteps] of [
    [0, Infinity, 1, 1],
    [1, Infinity, 2, 2],
    [3, Infinity, 1, 4],
    [3, 1, 2, 2],
    [3, 0, 1, 1],
  ] as const) {
    it(`sends ${numPlans} plans of ${numSteps} steps at depth ${runAhead} to ranks that take ${runAheadMax}`, async () => {
      const { ranks, loop } = await loopOn(runAhead, runAheadMax);
      assert.deepEqual([ranks.plans.length, ranks.numSteps], [numPlans, numSteps]);
      await ranks.answer();
      if (runAhead < 2) assert.equal(ranks.plans.length, numPlans + 1);
      loop.stop();
    });
  }

  it("continues a run before it is over", async () => {
    const { ranks, loop } = await loopOn(4);
    for (const numPlans of [1, 1, 2, 2]) {
      await ranks.answer();
      assert.equal(ranks.plans.length, numPlans);
    }
    assert.deepEqual([ranks.plans[1]?.followsStepId, ranks.plans[1]?.numGrantedSteps], [5, 2]);
    loop.stop();
  });

  it("ends a run for a new sequence, and takes it into the next step", async () => {
    const { ranks, loop, submit } = await loopOn(4);
    await ranks.answer();
    await submit(2);
    assert.equal(ranks.numGrantEnds, 1);
    await ranks.answer();
    assert.deepEqual(
      ranks.plans[1]?.newRows.map(({ seqId }) => seqId),
      [2],
    );
    assert.equal(ranks.plans[1]?.stepId, 6);
    loop.stop();
  });

  it("ends an aborted sequence at once, and shows nothing of the steps in flight", async () => {
    const { ranks, loop, outputs } = await loopOn(1);
    loop.abort(1, "stop");
    await turn();
    assert.deepEqual(
      outputs.map(({ tokenId, finish }) => [tokenId, finish]),
      [[undefined, "stop"]],
    );
    await ranks.answer();
    await ranks.answer();
    assert.deepEqual([outputs.length, loop.numLive], [1, 0]);
    loop.stop();
  });

  it("sends a step a little before the ranks need it, so that what comes while a long one runs need not wait for two", async () => {
    const { clock, ranks, loop, submit, durationsMs } = await loopOn(1);
    clock.advance(100);
    await ranks.answer();
    assert.deepEqual([ranks.plans.length, durationsMs], [2, [100]]);
    clock.advance(74);
    await submit(2);
    assert.equal(ranks.plans.length, 2, "step 2 began at 100 ms and needs its successor at 200 ms");
    clock.advance(1);
    await turn();
    assert.deepEqual(
      ranks.plans[2]?.newRows.map(({ seqId }) => seqId),
      [2],
    );
    clock.advance(25);
    await ranks.answer();
    assert.deepEqual(durationsMs, [100, 100], "a step's time begins with the result before it");
    loop.stop();
  });
});
