import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { nearestName } from "./nearest-name.js";

describe("nearestName", () => {
  const names = ["blockSize", "numBlocks", "kernels", "model"];

  it("finds a name with two letters wrong, whatever the case", () => {
    assert.equal(nearestName("blocksize", names), "blockSize");
    assert.equal(nearestName("blokSise", names), "blockSize");
    assert.equal(nearestName("modle", names), "model");
  });

  it("has no opinion on a name that resembles none", () => {
    assert.equal(nearestName("replicas", names), null);
    assert.equal(nearestName("m", ["a", "b"]), null);
    assert.equal(nearestName("x".repeat(100_000), names), null);
  });
});
