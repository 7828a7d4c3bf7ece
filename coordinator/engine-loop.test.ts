import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManualClock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { silentLogger } from "../proto/log.js";
import { GREEDY } from "../proto/step-fixture.js";
import { EngineLoop, type LiveSequence } from "./engine-loop.js";
import { Scheduler } from "./scheduler/scheduler.js";
import type { SequenceOutput } from "./scheduler/sequence-output.js";

/** A loop whose ranks are lost in the first step and come back when the test says so. */
function lostLoop() {
  const clock = new ManualClock();
  const kvGroups = [{ kind: "full" as const, window: 0, layers: [0] }];
  const config = { vocabSize: 100, maxSeqLen: 16, blockSize: 8, numBlocks: 20, kvGroups, maxBatchedTokens: 16 };
  const scheduler = new Scheduler({ ...config, maxSequences: 4, maxLogitRows: 4, maxWaiting: 10 }, silentLogger);
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
  const spec = { seqId: 1, requestId: "r", promptTokenIds: [1, 2], outputTokenIds: [3], sampling: GREEDY };
  loop.submit({ ...spec, priority: 0, deadlineMs: null, wantsLogits: false }, (output) => outputs.push(output));
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
    assert.deepEqual([outputs.length, loop.numLiveTokens], [0, 0]);
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
    assert.deepEqual([loop.numLive, loop.numLiveTokens, outputs.length], [0, 0, 0]);
  });
});
