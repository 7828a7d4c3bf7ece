import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ExpertLoads } from "./expert-load.js";

const replica = (epoch: number, ...counts: number[][]) => ({ replicaId: 1, epoch, counts });

describe("ExpertLoads", () => {
  it("takes each expert's tokens from the ranks that have it", () => {
    const loads = new ExpertLoads({ numLayers: 1, numExperts: 3 });
    assert.deepEqual(loads.of(replica(2, [4, 0, 0], [0, 5, 6]), 0)!.numTokens, [4, 5, 6]);
    // Tensor parallel inside an expert: both compute every pair, one has told of more of them.
    assert.deepEqual(loads.of(replica(2, [4, 5, 6], [4, 5, 7]), 0)!.numTokens, [4, 5, 7]);
  });

  it("passes over ranks that do not count, or count for another model", () => {
    const loads = new ExpertLoads({ numLayers: 1, numExperts: 3 });
    assert.equal(loads.of(replica(1, [], [1, 2]), 0), null);
    assert.equal(loads.of(replica(1), 0), null);
    assert.deepEqual(loads.of(replica(1, [], [1, 2, 3]), 0)!.numTokens, [1, 2, 3]);
    loads.note(replica(1, []), 0);
    assert.deepEqual(loads.of(replica(1, [1, 2, 3]), 60_000)!.numRecentTokens, [1, 2, 3]);
  });

  it("knows what was computed in the last half minute", () => {
    const loads = new ExpertLoads({ numLayers: 1, numExperts: 2 });
    const countAt = (ms: number): number[] => [ms / 1_000, 100];
    for (let ms = 0; ms <= 200_000; ms += 1_000) {
      loads.note(replica(1, countAt(ms)), ms);
      const [recent, still] = loads.of(replica(1, countAt(ms)), ms)!.numRecentTokens;
      if (ms < 30_000) assert.deepEqual([recent, still], [ms / 1_000, 100]);
      else assert.ok(recent! >= 30 && recent! <= 35 && still === 0, `${recent}, ${still} at ${ms}`);
    }
    // Counts begin anew with an epoch.
    loads.note(replica(2, [3, 1]), 201_000);
    assert.deepEqual(loads.of(replica(2, [5, 1]), 202_000)!.numRecentTokens, [5, 1]);
  });
});
