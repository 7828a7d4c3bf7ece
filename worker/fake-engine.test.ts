import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  FINISH_LENGTH,
  FINISH_NONE,
  FINISH_STOP,
  LAST_SAMPLED,
  OUTPUT_LOGITS,
  OUTPUT_NONE,
  OUTPUT_SAMPLE,
  type RowSampling,
  type StepPlan,
} from "../proto/step.js";
import { GREEDY } from "../proto/step-fixture.js";
import { FakeEngine, fakeLogits, fakeToken } from "./fake-engine.js";

const VOCAB = 97;
const SAMPLING: RowSampling = { ...GREEDY, seed: 7, maxSeqLen: 32 };

function engine(): FakeEngine {
  const limits = { maxBatchedTokens: 16, maxSequences: 3, maxSeqLen: 32, blockSize: 4, numBlocks: 32 };
  const kvGroups = [
    { kind: "full", window: 0 },
    { kind: "sliding", window: 5 },
  ] as const;
  return new FakeEngine({ epoch: 1, vocabSize: VOCAB, limits, kvGroups, maxLogitRows: 8 });
}

/** One sequence in row 0: `tokenIds` from `position` on, with the deltas as given. */
function plan(stepId: number, position: number, tokenIds: number[], fields: Partial<StepPlan> = {}): StepPlan {
  return {
    epoch: 1,
    stepId,
    numGrantedSteps: 0,
    followsStepId: 0,
    tokenPlacement: "replicated",
    tokenIds: Int32Array.from(tokenIds),
    positions: Int32Array.from(tokenIds, (_, i) => position + i),
    seqRows: Int32Array.of(0),
    queryStarts: Int32Array.of(0, tokenIds.length),
    seqLens: Int32Array.of(position + tokenIds.length),
    outputs: Int32Array.of(OUTPUT_SAMPLE),
    newRows: [],
    blockDeltas: [Int32Array.of(), Int32Array.of()],
    finishedRows: Int32Array.of(),
    masks: Int32Array.of(),
    ...fields,
  };
}

function firstPlan(fields: Partial<StepPlan> = {}, sampling: Partial<RowSampling> = {}): StepPlan {
  return plan(1, 0, [1, 2, 3, 4, 5], {
    newRows: [{ row: 0, seqId: 9, numPromptTokens: 5, sampling: { ...SAMPLING, ...sampling } }],
    blockDeltas: [Int32Array.of(0, 0, 2, 1, 2), Int32Array.of(0, 0, 2, 3, 4)],
    ...fields,
  });
}

describe("FakeEngine", () => {
  it("samples the pure function of all tokens so far, named or taken from the last step", async () => {
    const fake = engine();
    const first = fakeToken(SAMPLING, [1, 2, 3, 4, 5], VOCAB);
    const second = fakeToken(SAMPLING, [1, 2, 3, 4, 5, first], VOCAB);
    const third = fakeToken(SAMPLING, [1, 2, 3, 4, 5, first, second], VOCAB);
    assert.deepEqual([...(await fake.step(firstPlan()))!.tokenIds], [first]);
    assert.deepEqual([...fake.stepNow(plan(2, 5, [first])).tokenIds], [second]);
    assert.deepEqual([...fake.stepNow(plan(3, 6, [LAST_SAMPLED])).tokenIds], [third]);
    assert.equal(fake.progress().counter, 3);
  });

  it("depends on the seed and on every token", () => {
    const of = (seed: number, tokenIds: number[]): number => fakeToken({ ...SAMPLING, seed }, tokenIds, 1e9);
    const tokens = [of(7, [1, 2, 3]), of(8, [1, 2, 3]), of(7 + 2 ** 32, [1, 2, 3]), of(7, [2, 1, 3]), of(7, [1, 2])];
    assert.equal(new Set(tokens).size, tokens.length);
  });

  it("ends a sequence at a stop id, but not before minSeqLen, and at its length", () => {
    const stop = fakeToken(SAMPLING, [1, 2, 3, 4, 5], VOCAB);
    const finishOf = (sampling: Partial<RowSampling>): number | undefined =>
      engine().stepNow(firstPlan({}, sampling)).finishes[0];
    assert.equal(finishOf({}), FINISH_NONE);
    assert.equal(finishOf({ stopTokenIds: [stop] }), FINISH_STOP);
    assert.equal(finishOf({ stopTokenIds: [stop], minSeqLen: 6 }), FINISH_NONE);
    assert.equal(finishOf({ maxSeqLen: 6 }), FINISH_LENGTH);
  });

  it("returns logits after every token, and logprobs with the best alternatives", () => {
    const logits = engine().stepNow(firstPlan({ outputs: Int32Array.of(OUTPUT_LOGITS) }));
    assert.deepEqual(logits.logits.subarray(4 * VOCAB), fakeLogits(SAMPLING, [1, 2, 3, 4, 5], VOCAB));
    assert.equal(logits.seqRows.length, 0);
    const sampled = engine().stepNow(firstPlan({}, { numTopLogprobs: 2 }));
    assert.equal(sampled.topTokenIds[0], sampled.tokenIds[0]);
    assert.equal(sampled.topLogprobs[0], sampled.logprobs[0]);
    assert.ok(sampled.logprobs[0]! < 0 && sampled.topLogprobs[1]! < sampled.logprobs[0]!);
  });

  it("lets a block that left the window go to another row, and a row begin again after it ended", () => {
    const fake = engine();
    fake.stepNow(firstPlan({ outputs: Int32Array.of(OUTPUT_NONE) }));
    fake.stepNow(plan(2, 5, [6, 7, 8], { outputs: Int32Array.of(OUTPUT_NONE) }));
    // 8 computed: token 8 reads 4..8, so the sliding block 3 with tokens 0..3 is dead and block 1 of the full group is not.
    const deltas = (blockId: number): Int32Array[] => [Int32Array.of(0, 2, 1, 5), Int32Array.of(0, 2, 1, blockId)];
    fake.stepNow(plan(3, 8, [9], { blockDeltas: deltas(3) }));
    const again = { ...firstPlan({ stepId: 4 }), finishedRows: Int32Array.of(0) };
    assert.equal(fake.stepNow(again).tokenIds[0], fakeToken(SAMPLING, [1, 2, 3, 4, 5], VOCAB));
  });

  it("runs a row on that has ended for plans that could not know it, and for no others", () => {
    const [first] = engine().stepNow(firstPlan()).tokenIds;
    const ended = () => {
      const fake = engine();
      assert.equal(fake.stepNow(firstPlan({}, { stopTokenIds: [first!] })).finishes[0], FINISH_STOP);
      return fake;
    };
    assert.equal(ended().stepNow(plan(2, 5, [LAST_SAMPLED])).tokenIds.length, 1);
    assert.throws(() => ended().stepNow(plan(2, 5, [first!])), { message: /row 0 has ended and is still in use/ });
  });

  it("lets a row begin behind full blocks of others, with only the window's in a sliding group", () => {
    const fake = engine();
    fake.stepNow(firstPlan({ outputs: Int32Array.of(OUTPUT_NONE) }));
    fake.stepNow(plan(2, 5, [6, 7, 8], { outputs: Int32Array.of(OUTPUT_NONE) }));
    // Token 8 reads 4..8 in the sliding group: its entry 0 is behind the window.
    const shared = {
      seqRows: Int32Array.of(1),
      newRows: [{ row: 1, seqId: 2, numPromptTokens: 9, sampling: SAMPLING }],
    };
    const blockDeltas = [Int32Array.of(1, 0, 3, 1, 2, 5), Int32Array.of(1, 1, 2, 4, 6)];
    const { tokenIds } = fake.stepNow(plan(3, 8, [9], { ...shared, blockDeltas }));
    assert.equal(tokenIds[0], fakeToken(SAMPLING, [1, 2, 3, 4, 5, 6, 7, 8, 9], VOCAB));
  });

  it("is closed for good", () => {
    const fake = engine();
    fake.close();
    assert.throws(() => fake.stepNow(firstPlan()), { code: "failed_precondition" });
  });
});

// Each case is one thing wrong with a plan that is right otherwise; `second` runs after firstPlan.
describe("FakeEngine refuses", () => {
  const sampled = fakeToken(SAMPLING, [1, 2, 3, 4, 5], VOCAB);
  const newRow = (row: number, sampling: RowSampling = SAMPLING): StepPlan["newRows"][number] => ({
    row,
    seqId: 1,
    numPromptTokens: 5,
    sampling,
  });
  const first: [string, RegExp, Partial<StepPlan>][] = [
    ["another epoch", /epoch 2/, { epoch: 2 }],
    ["too many granted steps", /65 granted/, { numGrantedSteps: 65 }],
    ["granted steps where nothing is sampled", /not all rows/, { numGrantedSteps: 1, outputs: Int32Array.of(0) }],
    ["a row that is not new", /row 0 is not live/, { newRows: [] }],
    ["a row out of range", /row 3 is new and live, or no row/, { newRows: [newRow(3)] }],
    ["too long a maxSeqLen", /maxSeqLen 99/, { newRows: [newRow(0, { ...SAMPLING, maxSeqLen: 99 })] }],
    ["no room for the sample", /past its maxSeqLen/, { newRows: [newRow(0, { ...SAMPLING, maxSeqLen: 5 })] }],
    ["a sample inside the prompt", /inside its prompt/, { newRows: [{ ...newRow(0), numPromptTokens: 6 }] }],
    ["the end of a row that never began", /not live/, { finishedRows: Int32Array.of(1) }],
    ["a first position inside a block", /position 1, inside a block/, { positions: Int32Array.of(1, 2, 3, 4, 5) }],
    ["a position left out", /position 2, 1 is next/, { positions: Int32Array.of(0, 2, 3, 4, 5) }],
    ["a wrong seqLen", /seqLen 6, 5 is right/, { seqLens: Int32Array.of(6) }],
    ["queryStarts that end early", /queryStarts/, { queryStarts: Int32Array.of(0, 4) }],
    ["a token id outside the vocabulary", /token id 97/, { tokenIds: Int32Array.of(1, 2, 3, 4, 97) }],
    ["a last sampled token that is not there", /not next/, { tokenIds: Int32Array.of(-1, 2, 3, 4, 5) }],
    ["an unknown output", /unknown output 3/, { outputs: Int32Array.of(3) }],
    ["a missing group", /deltas for 1/, { blockDeltas: [Int32Array.of(0, 0, 2, 1, 2)] }],
    ["a missing block", /no block for position 4/, { blockDeltas: deltas([0, 0, 2, 1, 2], [0, 0, 1, 3]) }],
    ["the null block", /block 0 is not of the pool/, { blockDeltas: deltas([0, 0, 2, 1, 2], [0, 0, 2, 0, 3]) }],
    ["a block of two groups", /block 2 was given/, { blockDeltas: deltas([0, 0, 2, 1, 2], [0, 0, 2, 2, 3]) }],
    ["a gap in a table", /blocks from 1 on/, { blockDeltas: deltas([0, 1, 2, 1, 2], [0, 0, 2, 3, 4]) }],
    ["a record cut short", /cut short/, { blockDeltas: deltas([0, 0, 2, 1], [0, 0, 2, 3, 4]) }],
  ];
  for (const [what, message, fields] of first) {
    it(what, () => assert.throws(() => engine().stepNow(firstPlan(fields)), { code: "internal", message }));
  }

  const behindOthers = {
    seqRows: Int32Array.of(1),
    newRows: [{ ...newRow(1), numPromptTokens: 9 }],
  };
  const second: [string, RegExp, StepPlan][] = [
    ["another token than it sampled", /sampled was/, plan(2, 5, [(sampled + 1) % VOCAB])],
    ["the same step twice", /step 1 after step 1/, plan(1, 5, [sampled])],
    ["a live row as new", /row 0 is new and live/, plan(2, 5, [sampled], { newRows: [newRow(0)] })],
    [
      "more tokens than the budget",
      /17 tokens/,
      plan(
        2,
        5,
        Array.from({ length: 17 }, () => 1),
      ),
    ],
    [
      "a block in use by another row",
      /block 1 was given to row 1 and is in use by row 0/,
      plan(2, 0, [1, 2], {
        newRows: [newRow(1)],
        seqRows: Int32Array.of(1),
        outputs: Int32Array.of(OUTPUT_NONE),
        blockDeltas: deltas([1, 0, 1, 1], [1, 0, 1, 5]),
      }),
    ],
    [
      "a cached block that is not full",
      /row 1, group 0: nothing was computed for position 5/,
      plan(2, 8, [9], { ...behindOthers, blockDeltas: deltas([1, 0, 3, 1, 2, 5], [1, 1, 2, 4, 6]) }),
    ],
    [
      "a cached block of another place",
      /block 1 was not filled for entry 1/,
      plan(2, 8, [9], { ...behindOthers, blockDeltas: deltas([1, 0, 3, 1, 1, 5], [1, 1, 2, 4, 6]) }),
    ],
    [
      "a cached block of another group",
      /block 3 was not filled for entry 0/,
      plan(2, 8, [9], { ...behindOthers, blockDeltas: deltas([1, 0, 3, 3, 2, 5], [1, 1, 2, 4, 6]) }),
    ],
    [
      "a cached prefix without the whole window",
      /blocks from 1 on, the table has 0/,
      plan(2, 4, [5], { ...behindOthers, blockDeltas: deltas([1, 0, 2, 1, 5], [1, 1, 1, 6]) }),
    ],
    [
      "more rows of logits than fit",
      /9 rows of logits/,
      plan(2, 5, [sampled, 1, 2, 3, 4, 5, 6, 7, 8], { outputs: Int32Array.of(OUTPUT_LOGITS) }),
    ],
  ];
  for (const [what, message, bad] of second) {
    it(what, () => {
      const fake = engine();
      fake.stepNow(firstPlan());
      assert.throws(() => fake.stepNow(bad), { code: "internal", message });
    });
  }

  it("a sequence that ended", () => {
    const fake = engine();
    fake.stepNow(firstPlan({}, { stopTokenIds: [sampled] }));
    assert.throws(() => fake.stepNow(plan(2, 5, [sampled])), { message: /has ended/ });
  });

  function deltas(full: number[], sliding: number[]): Int32Array[] {
    return [Int32Array.from(full), Int32Array.from(sliding)];
  }
});
