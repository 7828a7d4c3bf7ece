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

  it("gives rows blocks as they grow, each its own, of as many as are said to be needed", () => {
    const kvGroups = program.kvGroups;
    const numBlocks = blocksOfRows([5, 9], 4, kvGroups);
    assert.equal(numBlocks, 1 + 2 * (2 + 3));
    const plans = new StepPlans({ kvGroups, limits: { ...program.limits, numBlocks } });
    const at = (row: number, length: number) => ({
      row,
      tokenIds: Array.from({ length }, () => 1),
      output: OUTPUT_NONE,
    });
    const first = plans.step([at(0, 4), at(1, 9)]).blockDeltas;
    assert.deepEqual(
      first.map((deltas) => [...deltas].slice(0, 3)),
      [
        [0, 0, 1],
        [0, 0, 1],
      ],
    );
    const second = plans.step([at(0, 1)]).blockDeltas;
    assert.deepEqual(
      second.map((deltas) => [...deltas].slice(0, 3)),
      [
        [0, 1, 1],
        [0, 1, 1],
      ],
    );
    const ids = [...first, ...second].flatMap((deltas) => blockIdsOf([...deltas]));
    assert.deepEqual(
      ids.toSorted((a, b) => a - b),
      Array.from({ length: 10 }, (_, index) => index + 1),
    );
    assert.throws(() => plans.step([at(1, 4)]), /too few KV blocks/);
  });

  it("gives the blocks of rows that ended to others", () => {
    const limits = { ...program.limits, numBlocks: blocksOfRows([8], 4, program.kvGroups) };
    const plans = new StepPlans({ kvGroups: program.kvGroups, limits });
    for (const row of [0, 3, 0]) {
      const plan = plans.step([{ row, tokenIds: [1, 2, 3, 4, 5, 6, 7, 8], output: OUTPUT_NONE }]);
      assert.equal(plan.blockDeltas.flatMap((deltas) => blockIdsOf([...deltas])).length, 4);
      plans.finish([row]);
    }
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

/** Of records [row, first index, count, ids…]. */
function blockIdsOf(deltas: number[]): number[] {
  const ids: number[] = [];
  for (let at = 0; at < deltas.length; at += 3 + deltas[at + 2]!)
    ids.push(...deltas.slice(at + 3, at + 3 + deltas[at + 2]!));
  return ids;
}
