import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { svgPlot, ticksTo } from "./svg-plot.js";

describe("ticksTo", () => {
  it("counts in ones, twos or fives of a power of ten, up to what is to be shown", () => {
    assert.deepEqual(ticksTo(6), [0, 1, 2, 3, 4, 5, 6]);
    assert.deepEqual(ticksTo(0.9), [0, 0.2, 0.4, 0.6, 0.8, 1]);
    assert.deepEqual(ticksTo(16_384), [0, 5_000, 10_000, 15_000, 20_000]);
  });

  it("has an axis for nothing at all", () => {
    assert.deepEqual(ticksTo(0), [0, 1]);
  });
});

describe("svgPlot", () => {
  const plot = (points: [number, number][]): string =>
    svgPlot({ title: "a < b & c", x: "context, tokens", y: "ms", series: [{ name: "all", points }] });

  it("places the ends of a series on the axes", () => {
    const svg = plot([
      [0, 0],
      [10, 20],
    ]);
    assert.match(svg, /<polyline points="72,344 616,48"/);
    assert.equal(svg.match(/<circle/g)?.length, 2);
  });

  it("names title, axes and series, with characters of XML escaped", () => {
    const svg = plot([[1, 1]]);
    for (const expected of ["a &lt; b &amp; c", ">context, tokens<", ">ms<", ">all<"])
      assert.ok(svg.includes(expected));
    assert.ok(!svg.includes("NaN"));
  });
});
