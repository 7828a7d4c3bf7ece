import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FINISH_LENGTH, FINISH_NONE, FINISH_STOP, GREEDY_SAMPLING, OUTPUT_NONE } from "../../proto/step.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import { silentLogger } from "../../proto/log.js";
import { keyedBlockHash, type BlockHash } from "./block-hash.js";
import { Scheduler } from "./scheduler.js";
import type { SchedulerConfig } from "./scheduler-config.js";
import type { SequenceSpec } from "./sequence.js";

// What the ranks answer wrongly is our own bug, and stops. The conversations of testdata show what comes of right answers.
describe("Scheduler", () => {
  const wrong: [string, RegExp, Partial<StepResult>][] = [
    ["of a step that was never planned", /step 2 was never planned/, { stepId: 2 }],
    ["of an epoch to come", /never planned/, { epoch: 2 }],
    ["of another row", /row 3, not row 0/, { seqRows: Int32Array.of(3) }],
    ["without a sample", /not row 0/, { seqRows: Int32Array.of() }],
    ["with a sample too many", /2 samples for 1/, { seqRows: Int32Array.of(0, 1) }],
    ["with a token outside the vocabulary", /token id 50 is not/, { tokenIds: Int32Array.of(50) }],
    ["with an unknown finish", /unknown finish 9/, { finishes: Int32Array.of(9) }],
    ["that ends by length too early", /by length at 4/, { finishes: Int32Array.of(FINISH_LENGTH) }],
    ["with logits that nobody wanted", /logits for more than 0/, { logits: new Float32Array(50) }],
    ["with fewer alternatives than asked for", /2 alternatives wanted, the result has 1/, { numTopLogprobs: 1 }],
  ];
  for (const [what, message, fields] of wrong) {
    it(`stops on a result ${what}`, () => {
      const { scheduler, plan } = planned({ numTopLogprobs: 2 });
      assert.throws(() => scheduler.apply({ ...answer(plan), ...fields }, 0), { code: "internal", message });
    });
  }

  it("stops on a sequence that goes on at its full length", () => {
    const { scheduler, plan } = planned({ maxSeqLen: 4 });
    const message = /full length and did not end/;
    assert.throws(() => scheduler.apply(answer(plan), 0), { code: "internal", message });
  });

  it("stops on missing logits", () => {
    const { scheduler, plan } = planned({}, { wantsLogits: true });
    const none = { seqRows: Int32Array.of(), logits: new Float32Array(149) };
    assert.throws(() => scheduler.apply({ ...answer(plan), ...none }, 0), { message: /logits of 3 tokens wanted/ });
  });

  it("has one plan outstanding", () => {
    const { scheduler } = planned();
    assert.throws(() => scheduler.schedule(1), { code: "internal", message: /has no result yet/ });
  });

  it("returns the logprobs that were asked for, and the times that were seen", () => {
    const { scheduler, plan } = planned({ numTopLogprobs: 2 });
    const columns = { topTokenIds: Int32Array.of(7, -1), topLogprobs: Float32Array.of(-0.5, NaN) };
    const result = { ...answer(plan), ...columns, numTopLogprobs: 2, finishes: Int32Array.of(FINISH_STOP) };
    const counts = { numPromptTokens: 3, numOutputTokens: 1, numCachedTokens: 0 };
    const token = { tokenId: 7, logprob: -0.5, topLogprobs: [{ tokenId: 7, logprob: -0.5 }] };
    const timings = { arrivalMs: 10, scheduledMs: 20, firstTokenMs: 30 };
    assert.deepEqual(scheduler.apply(result, 30), [
      { seqId: 1, requestId: "r", ...counts, ...token, finish: "stop", timings },
    ]);
  });

  it("returns no logits that another scheduler returned", () => {
    const { scheduler, plan } = planned({}, { wantsLogits: true, numReturnedLogits: 2 });
    const none = { seqRows: Int32Array.of(), tokenIds: Int32Array.of() };
    assert.deepEqual([plan.tokenIds.length, plan.outputs[0]], [2, OUTPUT_NONE]);
    assert.deepEqual(scheduler.apply({ ...answer(plan), ...none }, 0), []);
    const last = scheduler.schedule(30)!;
    const [output] = scheduler.apply({ ...answer(last), ...none, logits: new Float32Array(50) }, 40);
    assert.deepEqual([output?.logits?.position, output?.logits?.numTokens, output?.finish], [2, 1, "length"]);
    for (const numReturnedLogits of [-1, 1.5, 3]) {
      const refused = { code: "invalid_argument", message: /from 0 to 2/, place: "numReturnedLogits" };
      assert.throws(() => planned({}, { wantsLogits: true, numReturnedLogits }), refused);
    }
  });

  it("goes on in a new world after a result that stopped it", () => {
    const { scheduler, plan } = planned();
    assert.throws(() => scheduler.apply({ ...answer(plan), tokenIds: Int32Array.of(-1) }, 0));
    scheduler.reset(2);
    scheduler.check();
    const again = scheduler.schedule(1)!;
    assert.deepEqual([again.epoch, again.stepId, ...again.tokenIds], [2, 1, 1, 2, 3]);
    assert.throws(() => scheduler.reset(2), { code: "internal" });
  });

  it("says how much of a sequence is cached without a trace, and shares what it hashed for that", () => {
    let numHashed = 0;
    const hash = keyedBlockHash([1, 2]);
    const blockHash: BlockHash = (parentHash, tokenIds) => {
      numHashed++;
      return hash(parentHash, tokenIds);
    };
    const promptTokenIds = Array.from({ length: 9 }, (_, at) => at);
    const { scheduler, plan } = planned({ maxSeqLen: 12 }, { promptTokenIds }, { blockHash, maxBatchedTokens: 16 });
    const other = {
      ...specOf({ maxSeqLen: 12 }, { seqId: 2, promptTokenIds: [...promptTokenIds, 9] }),
      blockHashes: [],
    };
    const before = JSON.stringify(scheduler.stats());
    assert.equal(scheduler.numCachedTokens(other), 8);
    assert.equal(scheduler.numCachedTokens({ ...other, tenant: "another", blockHashes: [] }), 0);
    assert.equal(scheduler.numCachedTokens({ ...other, wantsLogits: true }), 0, "no token is skipped");
    assert.equal(JSON.stringify(scheduler.stats()), before);
    scheduler.check();
    scheduler.apply(answer(plan), 30);
    numHashed = 0;
    scheduler.add(other, 40);
    const next = scheduler.schedule(50)!;
    assert.deepEqual([...next.tokenIds], [7, 8, 9]);
    assert.equal(numHashed, 1, "the tenant alone");
  });

  it("makes no sense of a config that makes none", () => {
    const bad: Partial<SchedulerConfig>[] = [
      { maxBatchedTokens: 0 },
      { numBlocks: 2 },
      { kvGroups: [] },
      { kvGroups: [{ kind: "sliding", window: 4 }] },
      { admissionMargin: 1 },
    ];
    for (const fields of bad) {
      assert.throws(() => new Scheduler({ ...CONFIG, ...fields }, silentLogger), { code: "internal" });
    }
  });
});

const CONFIG: SchedulerConfig = {
  vocabSize: 50,
  maxSeqLen: 16,
  blockSize: 4,
  numBlocks: 20,
  kvGroups: [
    { kind: "full", window: 0 },
    { kind: "sliding", window: 4 },
  ],
  maxBatchedTokens: 8,
  maxSequences: 2,
  maxLogitRows: 4,
  maxWaiting: 4,
};

const SAMPLING = { ...GREEDY_SAMPLING, maxSeqLen: 8 };

/** A scheduler with the first step of one sequence, in row 0, outstanding. */
function planned(
  sampling: Partial<typeof SAMPLING> = {},
  fields: Partial<SequenceSpec> = {},
  config: Partial<SchedulerConfig> = {},
): { scheduler: Scheduler; plan: StepPlan } {
  const scheduler = new Scheduler({ ...CONFIG, ...config }, silentLogger);
  scheduler.add(specOf(sampling, fields), 10);
  return { scheduler, plan: scheduler.schedule(20)! };
}

function specOf(sampling: Partial<typeof SAMPLING>, fields: Partial<SequenceSpec>): SequenceSpec {
  const named = { seqId: 1, requestId: "r", promptTokenIds: [1, 2, 3], sampling: { ...SAMPLING, ...sampling } };
  return { ...named, priority: 0, deadlineMs: null, wantsLogits: false, ...fields };
}

function answer({ epoch, stepId }: StepPlan): StepResult {
  return {
    epoch,
    stepId,
    seqRows: Int32Array.of(0),
    tokenIds: Int32Array.of(7),
    finishes: Int32Array.of(FINISH_NONE),
    logprobs: Float32Array.of(-0.5),
    numTopLogprobs: 2,
    topTokenIds: Int32Array.of(7, 8),
    topLogprobs: Float32Array.of(-0.5, -1),
    logits: new Float32Array(0),
    engineUs: 0,
    runsOn: false,
  };
}
