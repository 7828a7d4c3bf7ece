import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { busiestExperts, expertFact, heatOf } from "./expert-facts.js";

const LOAD = {
  numLayers: 3,
  numExperts: 4,
  numTokens: [1, 1, 1, 1, 0, 8, 0, 0, 0, 0, 0, 0],
};

describe("experts in the page", () => {
  it("are compared with the mean of their layer", () => {
    assert.deepEqual(expertFact(LOAD, 1, 1), { layer: 1, expert: 1, numTokens: 8, share: 1, timesMean: 4 });
    assert.deepEqual(expertFact(LOAD, 0, 2), { layer: 0, expert: 2, numTokens: 1, share: 0.25, timesMean: 1 });
    assert.equal(expertFact(LOAD, 2, 0).share, 0);
  });

  it("are hot by how far they are above it", () => {
    assert.deepEqual([...heatOf(LOAD)], [0.25, 0.25, 0.25, 0.25, 0, 1, 0, 0, 0, 0, 0, 0]);
  });

  it("are listed from the busiest on, without those that did nothing", () => {
    const busiest = busiestExperts(LOAD, 8);
    assert.deepEqual(busiest[0], { layer: 1, expert: 1, numTokens: 8, share: 1, timesMean: 4 });
    assert.equal(busiest.length, 5);
    assert.equal(busiestExperts(LOAD, 2).length, 2);
  });
});
