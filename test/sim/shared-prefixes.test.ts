import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keyedBlockHash } from "../../coordinator/scheduler/block-hash.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import type { SchedulerConfig } from "../../coordinator/scheduler/scheduler-config.js";
import type { SequenceSpec } from "../../coordinator/scheduler/sequence.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { GREEDY_SAMPLING, type StepResult } from "../../proto/step.js";
import { FakeEngine } from "../../worker/fake-engine.js";
import { RequestChecker } from "./checkers.js";
import { Random } from "../../sim/random.js";

const VOCAB = 41;
const MAX_SEQ_LEN = 40;
const NUM_WORLDS = process.env["MOESAIC_LONG"] === "1" ? 1_000 : 40;
const NUM_STEPS = 300;

// Bursts of choices and of prompts that begin alike, in pools so tight that sequences are taken out of the step that is being
// planned: what they have published of it must not be found by anybody. The fake engine sees a block that nobody filled.
describe("Shared prefixes", () => {
  it(`give nobody a wrong token, in ${NUM_WORLDS} worlds of bursts and tiny pools`, () => {
    let numPreemptions = 0;
    let numHitTokens = 0;
    for (let seed = 1; seed <= NUM_WORLDS; seed++) {
      const { prefixCache, ...stats } = runWorld(new Random(seed));
      numPreemptions += stats.numPreemptions;
      numHitTokens += prefixCache.first.numHitTokens + prefixCache.replay.numHitTokens;
    }
    assert.ok(numPreemptions > 5 * NUM_WORLDS, `${numPreemptions} preemptions`);
    assert.ok(numHitTokens > 50 * NUM_WORLDS, `${numHitTokens} tokens came from the cache`);
  });
});

function runWorld(random: Random): ReturnType<Scheduler["stats"]> {
  const config = randomConfig(random);
  const { kvGroups, maxLogitRows, runAhead = 0 } = config;
  const scheduler = new Scheduler(config, silentLogger);
  const engine = new FakeEngine({ epoch: 1, vocabSize: VOCAB, limits: config, kvGroups, maxLogitRows });
  const checker = new RequestChecker(config);
  const results: StepResult[] = [];
  let nextSeqId = 0;
  for (let step = 0; step < NUM_STEPS || checker.liveSeqIds.length > 0; step++) {
    assert.ok(step < 20 * NUM_STEPS, "the sequences never end");
    for (let more = step < NUM_STEPS && random.chance(0.4); more; more = random.chance(0.4)) {
      for (const spec of burst(random, nextSeqId)) if (isTaken(scheduler, spec, step)) checker.onAdd(spec);
      nextSeqId += 3;
    }
    while (results.length <= runAhead) {
      const plan = scheduler.schedule(step);
      checker.onOutputs(scheduler.takeEnded(), step);
      scheduler.check();
      if (plan === null) break;
      results.push(engine.stepNow(plan));
    }
    const result = results.shift();
    if (result !== undefined) checker.onOutputs(scheduler.apply(result, step), step);
    scheduler.check();
  }
  checker.onIdle();
  return scheduler.stats();
}

function randomConfig(random: Random): SchedulerConfig {
  const blockSize = random.pick([1, 2, 4]);
  const windows = random.pick([[], [3], [8]]);
  const numBlocks = Math.ceil((random.pick([41, 60, 90]) / blockSize + 2) * (windows.length + 1)) + 1;
  return {
    vocabSize: VOCAB,
    maxSeqLen: MAX_SEQ_LEN,
    blockSize,
    numBlocks,
    kvGroups: [{ kind: "full", window: 0 }, ...windows.map((window) => ({ kind: "sliding" as const, window }))],
    maxBatchedTokens: random.pick([8, 16, 64]),
    maxSequences: random.pick([3, 6]),
    maxLogitRows: 8,
    maxWaiting: 50,
    runAhead: random.pick([0, 0, 1]),
    admissionMargin: 0,
    policy: random.pick(["fair", "priority"]),
    tenantWeights: { a: 4, b: 1 },
    blockHash: keyedBlockHash([1, 2]),
  };
}

/** One request with up to three choices, of a family of prompts that begin alike. */
function burst(random: Random, firstSeqId: number): SequenceSpec[] {
  const numPrompt = random.integer(4, 24);
  const numShared = random.integer(0, numPrompt);
  const familyId = random.integer(0, 1);
  const promptTokenIds = Array.from({ length: numPrompt }, (_, position) =>
    position < numShared ? (familyId * 7 + position) % VOCAB : random.integer(0, VOCAB - 1),
  );
  const request = { requestId: `request ${firstSeqId}`, promptTokenIds, deadlineMs: null, wantsLogits: false };
  return Array.from({ length: random.pick([1, 1, 3]) }, (_, choice) => ({
    ...request,
    seqId: firstSeqId + choice,
    sampling: { ...GREEDY_SAMPLING, seed: firstSeqId + choice, maxSeqLen: numPrompt + random.integer(1, 12) },
    tenant: random.pick(["a", "b"]),
    priority: random.integer(0, 2),
  }));
}

function isTaken(scheduler: Scheduler, spec: SequenceSpec, nowMs: number): boolean {
  try {
    scheduler.add(spec, nowMs);
    return true;
  } catch (caught) {
    assert.equal(MoesaicError.from(caught).code, "resource_exhausted");
    return false;
  }
}
