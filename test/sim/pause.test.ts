import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { EngineLoop, type StepExecutor } from "../../coordinator/engine-loop.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import { ManualClock } from "../../proto/clock.js";
import { silentLogger } from "../../proto/log.js";
import { GREEDY_SAMPLING, type StepPlan, type StepResult } from "../../proto/step.js";
import { FakeEngine, fakeToken } from "../../worker/fake-engine.js";
import { LazyRanks } from "./lazy-ranks.js";

const STEP_MS = 1.5;
const NUM_TOKENS = 100;
const PROMPT = [1, 2, 3];
const SAMPLING = { ...GREEDY_SAMPLING, seed: 5, maxSeqLen: PROMPT.length + NUM_TOKENS };

// A device that needs 1.5 ms for a token, a coordinator that hears of a result as long after it was sent, and that stands
// still for a while: what the device loses by it, in steps that it could have run.
describe("A pause of the coordinator", () => {
  for (const { runAhead, pauseMs, numIdle } of [
    { runAhead: 0, pauseMs: 0, numIdle: NUM_TOKENS - 1 },
    { runAhead: 0, pauseMs: 12, numIdle: NUM_TOKENS - 1 + 7 },
    { runAhead: 1, pauseMs: 0, numIdle: 0 },
    { runAhead: 1, pauseMs: 12, numIdle: 8 },
    { runAhead: 16, pauseMs: 12, numIdle: 0 },
    { runAhead: 16, pauseMs: 30, numIdle: 8 },
  ]) {
    it(`of ${pauseMs} ms costs a device of ${STEP_MS} ms a step ${numIdle} steps of ${NUM_TOKENS} at depth ${runAhead}`, async () => {
      const ranks = new TimedRanks();
      const loop = loopOn(ranks, runAhead);
      const tokenIds: number[] = [];
      const spec = { seqId: 1, requestId: "r", promptTokenIds: PROMPT, sampling: SAMPLING, priority: 0 };
      loop.submit({ ...spec, deadlineMs: null, wantsLogits: false }, ({ tokenId, finish }) => {
        if (tokenId !== undefined) tokenIds.push(tokenId);
        if (finish !== undefined) loop.stop();
      });
      void loop.run();
      await settle();
      const pauseFrom = 40;
      for (let tick = 0; loop.numLive > 0; tick++) {
        const isPaused = tick >= pauseFrom && tick < pauseFrom + pauseMs / STEP_MS;
        await ranks.tick(isPaused);
      }
      assert.deepEqual(tokenIds, expectedTokens());
      assert.equal(ranks.numIdle, numIdle);
    });
  }
});

/** Runs a step a tick, if it has one. A result is heard of a tick after it was sent, or when the coordinator's pause is over. */
class TimedRanks implements StepExecutor {
  readonly clock = new ManualClock();
  /** Ticks without a step, while one was still to come. */
  numIdle = 0;
  readonly #ranks: LazyRanks;
  #plans: { plan: StepPlan; onResult: (result: StepResult) => void }[] = [];
  #sent: StepResult[] = [];
  #lastStepId = 0;

  constructor() {
    const { vocabSize, maxLogitRows, kvGroups } = CONFIG;
    this.#ranks = new LazyRanks(new FakeEngine({ epoch: 1, vocabSize, limits: CONFIG, kvGroups, maxLogitRows }));
  }

  step(plan: StepPlan, onResult: (result: StepResult) => void): Promise<void> {
    this.#plans.push({ plan, onResult });
    this.#lastStepId = plan.stepId + plan.numGrantedSteps;
    this.#ranks.give(plan);
    return Promise.resolve();
  }

  endGrants(): void {
    this.#ranks.endGrants(this.#lastStepId);
  }

  whenReady(): Promise<number> {
    return Promise.resolve(1);
  }

  async tick(isPaused: boolean): Promise<void> {
    const arriving = isPaused ? [] : this.#sent.splice(0);
    const result = this.#ranks.runStep();
    if (result === null) this.numIdle++;
    else this.#sent.push(result);
    this.clock.advance(STEP_MS);
    for (const each of arriving) this.#plans.findLast(({ plan }) => plan.stepId <= each.stepId)!.onResult(each);
    await settle();
    // The last result was on its way, and nothing was left to be run.
    if (result === null && arriving.some(({ finishes }) => finishes[0] !== 0)) this.numIdle--;
  }
}

const CONFIG = {
  vocabSize: 1_000,
  maxSeqLen: 200,
  blockSize: 16,
  numBlocks: 40,
  kvGroups: [{ kind: "full" as const, window: 0 }],
  maxBatchedTokens: 16,
  maxSequences: 4,
  maxLogitRows: 4,
  maxWaiting: 4,
};

function loopOn(ranks: TimedRanks, runAhead: number): EngineLoop {
  const scheduler = new Scheduler({ ...CONFIG, runAhead }, silentLogger);
  return new EngineLoop(scheduler, ranks, { stepFinished: () => {} }, ranks.clock, silentLogger);
}

/** Lets the loop do all that it can. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

function expectedTokens(): number[] {
  const tokenIds = [...PROMPT];
  while (tokenIds.length < SAMPLING.maxSeqLen) tokenIds.push(fakeToken(SAMPLING, tokenIds, CONFIG.vocabSize));
  return tokenIds.slice(PROMPT.length);
}
