import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";

import { apportion, sizeOf } from "./apportion.js";

describe("apportion", () => {
  it("gives the remainder to the first of equal weights", () => {
    assert.deepEqual(apportion(90, [1, 1, 1, 1]).map(sizeOf), [23, 23, 22, 22]);
    assert.deepEqual(apportion(90, [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]).map(sizeOf), [
      12,
      12,
      ...Array(6).fill(11),
    ]);
    assert.deepEqual(apportion(11, [1, 1]), [
      [0, 6],
      [6, 11],
    ]);
  });

  it("follows weights, and never below the least", () => {
    assert.deepEqual(apportion(8, [3, 1]).map(sizeOf), [6, 2]);
    assert.deepEqual(apportion(8, [1e9, 1, 1]).map(sizeOf), [6, 1, 1]);
    assert.deepEqual(apportion(3, [1e-300, 1e29, 1]).map(sizeOf), [1, 1, 1]);
  });

  it("covers everything once, each range within one of its quota unless it was lifted", () => {
    const weights = fc.array(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(weights, fc.nat(5_000), (all, more) => {
        const total = all.length + more;
        const ranges = apportion(total, all);
        const sum = all.reduce((part, weight) => part + weight, 0);
        let end = 0;
        ranges.forEach((range, index) => {
          assert.equal(range[0], end);
          end = range[1];
          assert.ok(sizeOf(range) >= 1);
          assert.ok(sizeOf(range) <= Math.max(1, Math.ceil((total * all[index]!) / sum + 1e-6)));
        });
        assert.equal(end, total);
      }),
    );
  });
});
