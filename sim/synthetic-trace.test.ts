import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { thrownBy } from "../test/thrown.js";
import { parseLengths } from "./lengths.js";
import { synthesize, type SyntheticTrace } from "./synthetic-trace.js";
import { atRate, promptTokensOf, rateOf } from "./trace.js";

const SOME: SyntheticTrace = {
  numRequests: 4_000,
  rate: 8,
  burstiness: 1,
  promptLen: { kind: "lognormal", median: 500, sigma: 0.8 },
  outputLen: { kind: "uniform", min: 10, max: 30 },
};

describe("synthesize", () => {
  it("gives the same requests for the same seed, and others for another", () => {
    assert.deepEqual(synthesize(SOME, 7), synthesize(SOME, 7));
    assert.notDeepEqual(synthesize(SOME, 7), synthesize(SOME, 8));
  });

  it("keeps the rate, and the spread of a gamma distribution: 1 over the root of its shape", () => {
    for (const burstiness of [0.25, 1, 4]) {
      const trace = synthesize({ ...SOME, burstiness }, 3);
      const gaps = trace.slice(1).map(({ atMs }, index) => atMs - trace[index]!.atMs);
      const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
      const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
      assert.ok(Math.abs(mean / 125 - 1) < 0.1, `mean gap ${mean} ms`);
      assert.ok(Math.abs((deviation / mean) * Math.sqrt(burstiness) - 1) < 0.1, `spread ${deviation / mean}`);
    }
  });

  it("draws the same lengths at every rate", () => {
    const lengths = (rate: number): number[] =>
      synthesize({ ...SOME, rate }, 1).map(({ numPromptTokens }) => numPromptTokens);
    assert.deepEqual(lengths(1), lengths(Infinity));
    assert.ok(synthesize({ ...SOME, rate: Infinity }, 1).every(({ atMs }) => atMs === 0));
  });

  it("draws lengths with the median and the bounds that were asked for", () => {
    const trace = synthesize(SOME, 5);
    const prompts = trace.map(({ numPromptTokens }) => numPromptTokens).toSorted((a, b) => a - b);
    assert.ok(Math.abs(prompts[2_000]! / 500 - 1) < 0.1, `median ${prompts[2_000]}`);
    const outputs = trace.map(({ numOutputTokens }) => numOutputTokens);
    assert.deepEqual([Math.min(...outputs), Math.max(...outputs)], [10, 30]);
  });
});

describe("atRate", () => {
  it("stretches times and changes nothing else", () => {
    const trace = synthesize(SOME, 1);
    const slow = atRate(trace, 2);
    assert.ok(Math.abs(rateOf(slow) - 2) < 1e-9);
    assert.deepEqual(
      slow.map(({ numPromptTokens }) => numPromptTokens),
      trace.map(({ numPromptTokens }) => numPromptTokens),
    );
    assert.equal(rateOf(atRate(trace, Infinity)), Infinity);
  });
});

describe("promptTokensOf", () => {
  const request = (numPromptTokens: number, prefixIds: number[]) => ({
    atMs: 0,
    numPromptTokens,
    numOutputTokens: 1,
    prefixIds,
  });

  it("makes blocks of equal prefix ids equal and everything else unlike", () => {
    const one = promptTokensOf(request(1_100, [4, 5, 6]), 0, 50_000, 1);
    const two = promptTokensOf(request(1_100, [4, 5, 7]), 1, 50_000, 1);
    assert.deepEqual(one.subarray(0, 1_024), two.subarray(0, 1_024));
    assert.notDeepEqual(one.subarray(1_024), two.subarray(1_024));
    const [three, four] = [2, 3].map((index) => promptTokensOf(request(600, []), index, 50_000, 1));
    assert.notDeepEqual(three!.subarray(0, 16), four!.subarray(0, 16));
    assert.notDeepEqual(promptTokensOf(request(600, []), 2, 50_000, 2), three);
  });
});

describe("parseLengths", () => {
  it("reads its forms and refuses all else", () => {
    assert.deepEqual(parseLengths("512"), { kind: "fixed", numTokens: 512 });
    assert.deepEqual(parseLengths("uniform:1:9"), { kind: "uniform", min: 1, max: 9 });
    assert.deepEqual(parseLengths("lognormal:512:0.8"), { kind: "lognormal", median: 512, sigma: 0.8 });
    for (const text of [
      "",
      "0",
      "-1",
      "1.5",
      "uniform:9:1",
      "uniform:1",
      "lognormal:0:1",
      "lognormal:9:x",
      "9999999",
      "normal:1:1",
    ]) {
      assert.match(thrownBy(() => parseLengths(text)).message, /^expected tokens such as 512, /, text);
    }
  });
});
