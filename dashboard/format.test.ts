import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { figures, formatBytes, formatCount, formatDuration, formatPercent } from "./format.js";

describe("figures of the dashboard", () => {
  it("have three figures", () => {
    assert.deepEqual([0, 3, 3.14159, 31.4159, 314.159, 99.96, 0.004].map(figures), [
      "0",
      "3",
      "3.14",
      "31.4",
      "314",
      "100.0",
      "0.00",
    ]);
  });

  it("are bytes in powers of 1,024", () => {
    const shown = [0, 512, 1_024, 1_536, 1_048_575, 3 * 2 ** 30, 5_000 * 2 ** 40].map(formatBytes);
    assert.deepEqual(shown, ["0 B", "512 B", "1 KiB", "1.50 KiB", "1.00 MiB", "3 GiB", "5000 TiB"]);
  });

  it("are counts in powers of 1,000", () => {
    assert.deepEqual([0, 999, 999.6, 1_250, 2e6].map(formatCount), ["0", "999", "1.00k", "1.25k", "2M"]);
  });

  it("are times in the units that people read", () => {
    const shown = [0.25, 12.34, 1_500, 59_940, 61_000, 3_600_000, 183_600_000].map(formatDuration);
    assert.deepEqual(shown, ["0.25 ms", "12.3 ms", "1.50 s", "59.9 s", "1 min 1 s", "1 h 0 min", "2 d 3 h"]);
    assert.equal(formatPercent(0.1234), "12.3 %");
  });
});
