import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { SHARED_GRANULE, SharedBands, type Band } from "./shared-bands.js";

describe("SharedBands", () => {
  it("gives each rank rows in the ratio of its columns", () => {
    const bands = new SharedBands().deal({ ranks: [2, 3, 5], columns: [5, 2, 1] }, 8 * SHARED_GRANULE, 10);
    assert.deepEqual(bands, [
      { rank: 2, begin: 0, end: 5 * SHARED_GRANULE },
      { rank: 3, begin: 5 * SHARED_GRANULE, end: 7 * SHARED_GRANULE },
      { rank: 5, begin: 7 * SHARED_GRANULE, end: 8 * SHARED_GRANULE },
    ]);
  });

  it("lets ranks that take as much take turns where there are fewer granules than ranks", () => {
    const bands = new SharedBands();
    const turns = Array.from({ length: 8 }, () => bands.deal({ ranks: [0, 1, 2, 3], columns: [1, 1, 1, 1] }, 64, 10));
    assert.deepEqual(
      turns.map((dealt) => dealt.map(({ rank }) => rank)),
      [[0], [1], [2], [3], [0], [1], [2], [3]],
    );
  });

  it("keeps apart what other ranks share", () => {
    const bands = new SharedBands();
    const first = (ranks: number[]): number => bands.deal({ ranks, columns: [1, 1] }, 64, 10)[0]!.rank;
    assert.deepEqual([first([0, 1]), first([0, 2]), first([0, 1])], [0, 0, 1]);
  });

  // Any tensors in any order: whatever came before, no rank is further from its due than the ranks' largest granules.
  it("deals all rows once, and over many tensors to each rank what it takes of them", () => {
    const tensor = fc.record({
      columns: fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 4, maxLength: 4 }),
      numRows: fc.integer({ min: 1, max: 1000 }),
      rowBytes: fc.integer({ min: 1, max: 8192 }),
    });
    fc.assert(fc.property(fc.array(tensor, { minLength: 1, maxLength: 60 }), checkShares), { numRuns: 200 });
  });
});

function checkShares(tensors: { columns: number[]; numRows: number; rowBytes: number }[]): void {
  const [bands, again, ranks] = [new SharedBands(), new SharedBands(), [0, 1, 2, 3]];
  const ahead = ranks.map(() => 0);
  for (const { columns, numRows, rowBytes } of tensors) {
    const dealt = bands.deal({ ranks, columns }, numRows, rowBytes);
    assert.deepEqual(again.deal({ ranks, columns }, numRows, rowBytes), dealt);
    assertWhole(dealt, numRows);
    const all = columns.reduce((sum, count) => sum + count, 0);
    for (const rank of ranks) ahead[rank]! -= (numRows * rowBytes * columns[rank]!) / all;
    for (const { rank, begin, end } of dealt) ahead[rank]! += (end - begin) * rowBytes;
  }
  const granuleBytes = Math.max(...tensors.map(({ rowBytes }) => rowBytes * SHARED_GRANULE));
  for (const bytes of ahead) assert.ok(Math.abs(bytes) <= ranks.length * granuleBytes, `${bytes} bytes ahead`);
}

function assertWhole(bands: readonly Band[], numRows: number): void {
  let next = 0;
  for (const { begin, end } of bands) {
    assert.ok(begin === next && end > begin, `rows ${begin} to ${end} after ${next}`);
    assert.ok(end % SHARED_GRANULE === 0 || end === numRows);
    next = end;
  }
  assert.equal(next, numRows);
}
