import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { loadFigures, type Start } from "./bench-load.js";

const START: Start = {
  loadMs: 1_000,
  readyMs: 1_500,
  firstTokenMs: 1_600,
  readBytes: 2e9,
  weightsBytes: 3e9,
  peakRssBytes: 10,
  tokenIds: [1],
};

describe("loadFigures", () => {
  const starts = [{ ...START, loadMs: 9_000 }, START, { ...START, loadMs: 500, peakRssBytes: 12 }];
  const ceilings = { files: 4e9, arena: 12e9, arenaName: "memory read" };

  it("tells the median beside the first load, and shares of what the machine can do", () => {
    const figures = loadFigures(starts, ceilings);
    assert.deepEqual([figures["first_load_ms"], figures["load_ms"]], [9_000, 1_000]);
    assert.deepEqual([figures["read_gb_per_second"], figures["read_percent"]], [2, 50]);
    assert.deepEqual([figures["arena_gb_per_second"], figures["arena_percent"]], [3, 25]);
    assert.equal(figures["peak_rss_bytes"], 12, "the most of all starts");
  });

  it("has nothing to say of files where weights are made up", () => {
    const figures = loadFigures(starts, { ...ceilings, files: null });
    for (const name of ["read_bytes", "read_gb_per_second", "file_gb_per_second", "read_percent", "page_cache"])
      assert.equal(figures[name], null, name);
    assert.equal(figures["arena_percent"], 25);
  });

  it("does not know the memory of all when that of one rank is unknown", () => {
    assert.equal(loadFigures([START, { ...START, peakRssBytes: null }], ceilings)["peak_rss_bytes"], null);
  });
});
