import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { goodputAt, isolationAt, PEAK_LOAD } from "./experiments.js";

// In simulated time: the same figures on every machine. `node dist/test/bench/policies.js` prints them at more loads.
describe("Scheduling policies", () => {
  for (const load of [0.1, 0.3]) {
    it(`keep the TTFT of a tenant at ${100 * load} % load within 1.5 times its quiet p99 when another floods`, () => {
      const { quietMs, floodedMs } = isolationAt(load, { untilMs: 100_000 });
      assert.ok(floodedMs <= 1.5 * quietMs, `p99 ${floodedMs} ms, quiet ${quietMs} ms`);
    });
  }

  it("keep goodput at twice the load that is too much at 90 % of its peak or more", () => {
    const at = (load: number): number => goodputAt(load, { untilMs: 40_000 }).perSecond;
    const peak = Math.max(at(PEAK_LOAD), at(1.2));
    assert.ok(at(2) >= 0.9 * peak, `${at(2)} requests/s, peak ${peak}`);
  });

  it("lose all goodput to the queue without a target", () => {
    const { perSecond } = goodputAt(2, { untilMs: 40_000, policies: { targetTtftMs: null } });
    assert.ok(perSecond < 1, `${perSecond} requests/s`);
  });
});
