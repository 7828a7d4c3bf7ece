import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RankSteps } from "./rank-steps.js";

const told = (stepId: number, endedUsAgo = 1_000, engineUs = 2_000, collectiveUs = 500) => {
  return { step_id: stepId, ended_us_ago: endedUsAgo, engine_us: engineUs, collective_us: collectiveUs };
};

describe("RankSteps", () => {
  it("places steps on the coordinator's clock", () => {
    const steps = new RankSteps();
    steps.take([told(4, 3_000), told(5)], 100, 40);
    assert.deepEqual(steps.after(0), [
      { stepId: 4, beginMs: 95, endMs: 97, collectiveMs: 0.5 },
      { stepId: 5, beginMs: 97, endMs: 99, collectiveMs: 0.5 },
    ]);
    steps.take([told(5), told(6)], 101, 41);
    assert.deepEqual(
      steps.after(4).map(({ stepId, endMs }) => [stepId, endMs]),
      [
        [5, 99],
        [6, 100],
      ],
    );
    steps.clear();
    assert.deepEqual(steps.after(0), []);
    steps.take([told(1)], 200, 5);
    assert.equal(steps.after(0).length, 1);
  });

  it("trusts the fastest of the last reports", () => {
    const steps = new RankSteps();
    steps.take([told(1, 0)], 105, 50);
    steps.take([told(2, 0)], 110, 59);
    steps.take([told(3, 0)], 150, 60);
    const ends = () => steps.after(0).map(({ endMs }) => endMs);
    assert.deepEqual(ends(), [105, 110, 111]);
    // Long after, the clocks have drifted apart.
    for (let report = 0; report < 64; report += 1) steps.take([], 1_000 + report, report);
    steps.take([told(4, 0)], 2_000, 500);
    assert.equal(ends().at(-1), 1_500);
    steps.take([told(5)], 2_000, NaN);
    assert.equal(steps.after(4).length, 0);
  });

  it("keeps the last 512, however many come", () => {
    const steps = new RankSteps();
    for (let first = 1; first < 3_000; first += 1_000) {
      steps.take(
        Array.from({ length: 1_000 }, (_, index) => told(first + index)),
        1_000,
        0,
      );
    }
    assert.deepEqual([steps.after(0).length, steps.after(0)[0]!.stepId], [512, 2_489]);
  });

  it("passes over what no rank of ours would say", () => {
    const steps = new RankSteps();
    const strange = [told(1, NaN), told(2, -1), told(3, Infinity), told(4, 0, NaN), told(5, 0, -5), told(0), {}];
    steps.take(strange, 10, 0);
    assert.deepEqual(steps.after(0), []);
    // More time in collectives than there was.
    steps.take([told(6, 0, 1_000, 9_000)], 10, 0);
    assert.equal(steps.after(0)[0]!.collectiveMs, 1);
  });
});
