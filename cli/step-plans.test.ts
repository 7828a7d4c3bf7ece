import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { tinyProgram } from "../native/test/tiny-program.js";
import { OUTPUT_NONE, OUTPUT_SAMPLE } from "../proto/step.js";
import { blocksOfRows, StepPlans } from "./step-plans.js";

describe("StepPlans", () => {
  const program = tinyProgram();

  it("goes on where a row was, beside one that begins", () => {
    const plans = new StepPlans(program);
    plans.step([{ row: 0, tokenIds: [5, 6, 7], output: OUTPUT_NONE }]);
    const plan = plans.step([
      { row: 0, tokenIds: [8], output: OUTPUT_SAMPLE },
      { row: 2, tokenIds: [1, 2], output: OUTPUT_NONE },
    ]);
    assert.deepEqual([...plan.positions], [3, 0, 1]);
    assert.deepEqual([...plan.queryStarts], [0, 1, 3]);
    assert.deepEqual([...plan.seqLens], [4, 2]);
    assert.deepEqual(
      plan.newRows.map(({ row }) => row),
      [2],
    );
    assert.equal(plans.lengthOf(0), 4);
  });

  it("gives every row and group blocks of its own within the pool", () => {
    const plans = new StepPlans(program);
    const rows = [0, 1, 2, 3].map((row) => ({ row, tokenIds: [1], output: OUTPUT_NONE }));
    const records = plans.step(rows).blockDeltas.flatMap((deltas) => [...deltas]);
    const perRecord = 3 + 7;
    const ids = records.filter((_, index) => index % perRecord >= 3);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(Math.min(...ids), 1);
    assert.equal(Math.max(...ids), blocksOfRows(4, program.limits, program.kvGroups) - 1);
  });

  it("ends rows once, with the step that may begin them anew", () => {
    const plans = new StepPlans(program);
    plans.step([{ row: 1, tokenIds: [1, 2], output: OUTPUT_NONE }]);
    plans.finish([1]);
    plans.finish([1, 3]);
    const plan = plans.step([{ row: 1, tokenIds: [9], output: OUTPUT_NONE }]);
    assert.deepEqual([...plan.finishedRows], [1]);
    assert.deepEqual([...plan.positions], [0]);
    assert.deepEqual([...plans.step([]).finishedRows], []);
  });
});
