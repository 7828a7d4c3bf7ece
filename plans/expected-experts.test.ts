import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { expectedSlowest, hitFraction } from "./expected-experts.js";

describe("hitFraction", () => {
  it("is k of n for one token and nears one for many", () => {
    assert.equal(hitFraction(1, 4, 32), 1 / 8);
    assert.ok(Math.abs(hitFraction(2, 4, 32) - (1 - (28 / 32) ** 2)) < 1e-12);
    assert.ok(hitFraction(100, 4, 32) > 0.999_99);
  });
});

describe("expectedSlowest", () => {
  const places = (...sizes: number[]): { numExperts: number; timePerExpert: number }[] =>
    sizes.map((numExperts) => ({ numExperts, timePerExpert: 1 }));

  it("is the mean where there is one place", () => {
    assert.ok(Math.abs(expectedSlowest(places(32), 1 / 8) - 4) < 1e-9);
    assert.ok(Math.abs(expectedSlowest([{ numExperts: 32, timePerExpert: 0.25 }], 1 / 8) - 1) < 1e-9);
  });

  // All 35,960 choices of 4 experts among 32: 2.70 in the fuller half.
  it("is near the exact expectation of one token over two halves", () => {
    const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k);
    let exact = 0;
    for (let left = 0; left <= 4; left++) {
      exact += (Math.max(left, 4 - left) * choose(16, left) * choose(16, 4 - left)) / choose(32, 4);
    }
    assert.ok(Math.abs(expectedSlowest(places(16, 16), 1 / 8) / exact - 1) < 0.03);
  });

  it("is everything once every expert is hit", () => {
    assert.equal(expectedSlowest(places(11, 11, 10), 1), 11);
  });

  it("waits for a slow place with few experts", () => {
    const slow = [...places(31), { numExperts: 1, timePerExpert: 100 }];
    assert.equal(expectedSlowest(slow, 1), 100);
  });

  it("takes places without experts, and numbers of experts whose chances underflow", () => {
    assert.equal(expectedSlowest([{ numExperts: 0, timePerExpert: 0 }], 0.5), 0);
    const many = expectedSlowest(places(65_536), 0.5);
    assert.ok(Math.abs(many / 32_768 - 1) < 1e-6, `${many}`);
  });
});
