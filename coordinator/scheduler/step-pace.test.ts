import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CHUNK_MIN, StepBudget } from "./step-budget.js";
import { StepPace } from "./step-pace.js";
import { StepTimes } from "./step-times.js";
import { TtftForecast } from "./ttft-forecast.js";

/** A machine whose steps take 5 ms and 0.1 ms a token. */
const stepMs = (numTokens: number): number => 5 + 0.1 * numTokens;

function timesAfter(sizes: readonly number[], ms = stepMs): StepTimes {
  const times = new StepTimes({ fixedMs: 50, perTokenMs: 1 });
  for (const numTokens of sizes) times.observe(numTokens, ms(numTokens));
  return times;
}

function within(value: number, wanted: number, tolerance: number): void {
  assert.ok(Math.abs(value - wanted) <= tolerance * wanted, `${value}, wanted ${wanted} within ${100 * tolerance} %`);
}

describe("StepTimes", () => {
  it("says at first what the cost model says", () => {
    within(new StepTimes({ fixedMs: 50, perTokenMs: 1 }).predictMs(100), 150, 1e-9);
  });

  it("finds the line of a machine that is ten times as fast as was predicted", () => {
    const times = timesAfter(Array.from({ length: 300 }, (_, i) => [10, 500, 60, 200][i % 4]!));
    for (const numTokens of [10, 100, 1000]) within(times.predictMs(numTokens), stepMs(numTokens), 0.05);
    within(times.numTokensWithin(30), 250, 0.05);
  });

  it("keeps the slope through steps of one size, which tell nothing of it", () => {
    const mixed = Array.from({ length: 300 }, (_, i) => [10, 500, 60, 200][i % 4]!);
    const times = timesAfter([...mixed, ...Array.from({ length: 10_000 }, () => 64)]);
    within(times.predictMs(500), stepMs(500), 0.1);
  });

  it("believes a single slow step no more than four times the expected", () => {
    const times = timesAfter(Array.from({ length: 300 }, (_, i) => [10, 500, 60, 200][i % 4]!));
    times.observe(100, 60_000);
    assert.ok(times.predictMs(100) < 2 * stepMs(100), `${times.predictMs(100)} ms`);
  });

  it("never predicts less than nothing, whatever was measured", () => {
    const times = timesAfter(
      Array.from({ length: 300 }, (_, i) => 1 + ((i * 37) % 100)),
      (numTokens) => 100 / numTokens,
    );
    for (const numTokens of [1, 50, 5000]) assert.ok(times.predictMs(numTokens) > 0);
  });
});

describe("StepBudget", () => {
  const measured = timesAfter(Array.from({ length: 300 }, (_, i) => [10, 500, 60, 200][i % 4]!));

  it("is what fits the target step time while sequences decode", () => {
    within(new StepBudget(2048, 30, measured).numTokens(8), 250, 0.05);
  });

  it("is the whole limit where nobody decodes, and where no target is set", () => {
    assert.equal(new StepBudget(2048, 30, measured).numTokens(0), 2048);
    assert.equal(new StepBudget(2048, null, measured).numTokens(8), 2048);
  });

  it("leaves a chunk beside all decodes where these alone take longer, and never passes the limit", () => {
    assert.equal(new StepBudget(2048, 6, measured).numTokens(200), 200 + CHUNK_MIN);
    assert.equal(new StepBudget(220, 6, measured).numTokens(200), 220);
    assert.equal(new StepBudget(128, 60_000, measured).numTokens(8), 128);
  });
});

describe("TtftForecast", () => {
  const input = { numTokensAhead: 0, numTokens: 400, numChunkTokens: 200, numStepTokens: 200 };
  const times = timesAfter(Array.from({ length: 300 }, (_, i) => [10, 500, 60, 200][i % 4]!));

  it("is the sequence's own steps where nobody is before it", () => {
    // Half of the step in flight, and two of its own.
    within(new TtftForecast(times).expectMs(input), 2.5 * stepMs(200), 0.05);
  });

  it("drains what is ahead at the rate measured while sequences waited", () => {
    const forecast = new TtftForecast(times);
    const alone = forecast.expectMs(input);
    for (let i = 0; i < 1000; i++) forecast.observeBackloggedStep(i % 10 === 0 ? 100 : 0, 10);
    within(forecast.expectMs({ ...input, numTokensAhead: 500 }) - alone, 500, 0.1);
  });

  it("adds by experience what first tokens are late", () => {
    const forecast = new TtftForecast(times);
    for (let i = 0; i < 500; i++) forecast.observeFirstToken(100, i % 2 === 0 ? 110 : 150);
    // Mean 1.3, mean deviation 0.2.
    within(forecast.latestMs(1000), 1700, 0.05);
  });
});

describe("StepPace", () => {
  it("counts a step from the end of the one before, however early it was planned", () => {
    const pace = new StepPace({ maxBatchedTokens: 2048, targetStepMs: 30, stepCost: { fixedMs: 50, perTokenMs: 1 } });
    let nowMs = 0;
    for (let i = 0; i < 300; i++) {
      const numTokens = [10, 500, 60, 200][i % 4]!;
      nowMs += stepMs(numTokens);
      pace.applied({ numTokens, numDecodes: 8, isBacklogged: false, plannedMs: nowMs - 100 }, nowMs);
    }
    within(pace.numTokens(8), 250, 0.06);
  });
});
