import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { compareLogits } from "./logits-check.js";

describe("compareLogits", () => {
  const rows = [Float32Array.of(1, 2, 3, 4), Float32Array.of(4, 3, 2, 1)];
  const with3 = (last: number): Float32Array[] => [rows[0]!, Float32Array.of(4, 3, 2, last)];

  it("lets pass what another order of sums may do", () => {
    compareLogits(rows, rows, "two");
    compareLogits(rows, with3(1.0001), "two");
  });

  it("names the row that is off by more, and refuses rows that are missing", () => {
    assert.throws(() => compareLogits(rows, with3(1.01), "two"), /two differ in row 1 of the logits/);
    assert.throws(() => compareLogits(rows, rows.slice(0, 1), "two"), /row 1/);
  });

  it("is not content with a near miss that chooses another token", () => {
    const near = Float32Array.from({ length: 10_000 }, () => 100);
    near[0] = 100.5;
    const other = Float32Array.from(near);
    other[0] = 100;
    other[1] = 100.5;
    assert.throws(() => compareLogits([near], [other], "two"), /row 0/);
  });

  it("does not take NaN for a result", () => {
    assert.throws(() => compareLogits(rows, with3(Number.NaN), "two"), /row 1/);
  });
});
