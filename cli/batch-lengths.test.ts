import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { batchLengths } from "./batch-lengths.js";
import { median } from "./timed-run.js";

describe("batchLengths", () => {
  const lengths = batchLengths(20_000, 1);

  it("has the medians and ends that it says", () => {
    for (const [name, values, at, min, max] of [
      ["prompts", lengths.map(({ promptLen }) => promptLen), 60, 20, 200],
      ["answers", lengths.map(({ outputLen }) => outputLen), 120, 16, 512],
    ] as const) {
      assert.ok(Math.abs(median(values) / at - 1) < 0.03, `median of ${name}: ${median(values)}`);
      assert.ok(Math.min(...values) >= min && Math.max(...values) <= max, name);
      assert.ok(
        values.some((value) => value === max),
        `${name} reach their end`,
      );
    }
  });

  it("has answers of which a sixth is more than a sigma longer than the median, independent of the prompts", () => {
    const isLong = lengths.map(({ outputLen }) => outputLen > 120 * Math.exp(0.6));
    const share = isLong.filter(Boolean).length / lengths.length;
    assert.ok(Math.abs(share - 0.159) < 0.01, `${share}`);
    const ofLongPrompts = isLong.filter((_, index) => lengths[index]!.promptLen > 60);
    const shareOfThose = ofLongPrompts.filter(Boolean).length / ofLongPrompts.length;
    assert.ok(Math.abs(shareOfThose - share) < 0.015, `${shareOfThose}`);
  });

  it("draws the same for the same seed and others for another", () => {
    assert.deepEqual(batchLengths(100, 7), batchLengths(100, 7));
    assert.notDeepEqual(batchLengths(100, 7), batchLengths(100, 8));
  });
});
