import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assert as check, double, property } from "fast-check";
import { linePath, ticksUpTo } from "./chart-scale.js";

describe("scale of a chart", () => {
  it("has a few round numbers from zero to all that is shown", () => {
    assert.deepEqual(ticksUpTo(875), [0, 250, 500, 750, 1_000]);
    assert.deepEqual(ticksUpTo(6), [0, 2, 4, 6]);
    assert.deepEqual(ticksUpTo(0), [0, 0.25, 0.5, 0.75, 1]);
    check(
      property(double({ min: 1e-9, max: 1e12, noNaN: true }), (max) => {
        const ticks = ticksUpTo(max);
        assert.ok(ticks.length >= 3 && ticks.length <= 6, `${ticks.length} ticks up to ${max}`);
        assert.equal(ticks[0], 0);
        assert.ok(ticks.at(-1)! >= max * (1 - 1e-9), `${max} is above ${ticks.at(-1)}`);
      }),
    );
  });

  it("draws no line where there is no value", () => {
    const place = (index: number, value: number): [number, number] => [index, value];
    assert.equal(linePath([1, 2, null, 3, null, 4, 5], place), "M0.0 1.0L1.0 2.0M3.0 3.0h0M5.0 4.0L6.0 5.0");
    assert.equal(linePath([null, null], place), "");
    assert.equal(linePath([], place), "");
  });
});
