import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CPU_RANK, CPU_RANK_SOURCE, sourcedProfile } from "../plans/machine-profile.js";
import { linkFigures } from "./bench-comm.js";
import { figuresOf, MACHINE_OPTIONS } from "./machine-options.js";

describe("figures of a machine", () => {
  it("are in the units of flags, and what is not given stays out", () => {
    assert.deepEqual(figuresOf({}), {});
    assert.deepEqual(figuresOf({ "read-gbytes": 400, gflops: 1_500, "link-us": 50, "link-gbits": 10 }), {
      readBytesPerSecond: 400e9,
      flopsPerSecond: 1.5e12,
      attentionFlopsPerSecond: 1.5e12,
      linkLatencyUs: 50,
      linkBytesPerSecond: 1.25e9,
    });
  });

  it("refuse what is no number above 0", () => {
    const { coerce } = MACHINE_OPTIONS["link-gbits"];
    for (const text of ["0", "-1", "ten", "1e999", "", "0x10"]) {
      assert.throws(() => coerce(text), /--link-gbits: expected a number above 0, got/, text);
    }
    assert.equal(coerce("2.5"), 2.5);
  });

  it("take the place of what was measured, which takes that of the usual, each with its source", () => {
    const measured = { readBytesPerSecond: 1, linkLatencyUs: 2 };
    const { profile, sources } = sourcedProfile(CPU_RANK.tcp, [
      { figures: measured, source: "measured" },
      { figures: { linkLatencyUs: 3 }, source: "given" },
    ]);
    assert.deepEqual(profile, { ...CPU_RANK.tcp, readBytesPerSecond: 1, linkLatencyUs: 3 });
    const { readBytesPerSecond, flopsPerSecond, linkLatencyUs, linkBytesPerSecond, opUs } = sources;
    assert.deepEqual([readBytesPerSecond, linkLatencyUs], ["measured", "given"]);
    assert.deepEqual([flopsPerSecond, linkBytesPerSecond], [CPU_RANK_SOURCE, CPU_RANK_SOURCE]);
    assert.match(opUs, /^not counted without a calibration/);
  });
});

describe("linkFigures", () => {
  it("finds the time of a round and the bytes per second that explain two sums", () => {
    const row = (collective: "all_reduce" | "broadcast", rows: number, us: number) => {
      // 30 us a round, and 2 GB/s.
      const sent = rows * 10_000;
      return { collective, rows, sent_bytes: sent, us_p50: us + sent / 2e3, woken_us_p50: 30 + sent / 2e3 };
    };
    const rows = [
      row("broadcast", 1, 99),
      row("all_reduce", 1, 10),
      row("all_reduce", 64, 10),
      row("all_reduce", 512, 900),
    ];
    const { link_us: us, link_gbits: gbits } = linkFigures(rows);
    assert.ok(Math.abs(us - 30) < 1e-9 && Math.abs(gbits - 16) < 1e-9, `${us} us, ${gbits} Gbit/s`);
  });
});
