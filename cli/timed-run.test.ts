import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { numSameFirst } from "./timed-run.js";

describe("numSameFirst", () => {
  it("counts the tokens before the first that differs", () => {
    assert.equal(numSameFirst([7, 8, 9], [1, 8, 9]), 0);
    assert.equal(numSameFirst([7, 8, 9], [7, 1, 9]), 1);
    assert.equal(numSameFirst([7, 8, 9], [7, 8, 1]), 2);
  });

  it("counts every token of equal runs, and those of the shorter one where it ends first", () => {
    assert.equal(numSameFirst([7, 8, 9], [7, 8, 9]), 3);
    assert.equal(numSameFirst([7, 8, 9], [7, 8]), 2);
    assert.equal(numSameFirst([7, 8], [7, 8, 9]), 2);
    assert.equal(numSameFirst([], [7]), 0);
  });
});
