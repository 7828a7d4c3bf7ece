import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeDummy } from "./model-description.js";
import { addChunk, chunkShape, decodeShapeAt, emptyShape } from "./step-shape.js";

const MODEL = describeDummy("gpt-oss-20b");
const { slidingWindow: WINDOW } = MODEL;

describe("a step's shape", () => {
  it("counts what each query of a chunk sees, as one by one", () => {
    for (const [begin, end] of [
      [0, 1],
      [0, WINDOW],
      [0, WINDOW + 1],
      [5, 2 * WINDOW],
      [WINDOW - 1, WINDOW + 1],
      [3 * WINDOW, 3 * WINDOW + 7],
    ] as const) {
      const positions = Array.from({ length: end - begin }, (_, index) => begin + index);
      const sum = (of: (position: number) => number): number => positions.reduce((total, at) => total + of(at), 0);
      const { numTokens, numSampled, pairs, keysRead } = chunkShape(MODEL, begin, end);
      assert.deepEqual([numTokens, numSampled], [end - begin, 1]);
      assert.equal(
        pairs.full,
        sum((at) => at + 1),
      );
      assert.equal(
        pairs.sliding,
        sum((at) => Math.min(WINDOW, at + 1)),
      );
      assert.equal(keysRead.full, end);
      assert.equal(keysRead.sliding, end - Math.max(0, begin + 1 - WINDOW), `${begin} to ${end}`);
    }
  });

  it("is the sum of its sequences", () => {
    const together = emptyShape();
    for (let index = 0; index < 3; index++) addChunk(together, MODEL, 199, 200, true);
    assert.deepEqual(together, decodeShapeAt(MODEL, 3, 200));
    addChunk(together, MODEL, 0, 10, false);
    assert.deepEqual([together.numTokens, together.numSampled], [13, 3]);
  });
});
