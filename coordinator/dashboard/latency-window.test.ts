import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LatencyWindow } from "./latency-window.js";

describe("LatencyWindow", () => {
  it("has the nearest-rank quantiles of what came lately, by how often it came", () => {
    const window = new LatencyWindow(1_000);
    assert.equal(window.quantiles(0), null);
    for (let ms = 1; ms <= 100; ms += 1) window.add(ms, 500);
    assert.deepEqual(window.quantiles(1_000), { p50: 50, p95: 95 });
    window.add(7, 1_400, 10_000);
    assert.deepEqual(window.quantiles(1_400), { p50: 7, p95: 7 });
    assert.deepEqual(window.quantiles(1_600), { p50: 7, p95: 7 });
    assert.equal(window.quantiles(2_401), null);
  });

  it("is bounded, and still about right", () => {
    const window = new LatencyWindow(1_000);
    for (let count = 0; count < 100_000; count += 1) window.add(count % 1_000, 1);
    const { p50, p95 } = window.quantiles(1)!;
    assert.ok(Math.abs(p50 - 500) < 50 && Math.abs(p95 - 950) < 50, `${p50}, ${p95}`);
  });
});
