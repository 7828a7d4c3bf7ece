import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { simulate, type SimulationCounts } from "./simulation.js";

const IS_LONG = process.env["MOESAIC_LONG"] === "1";
/** Runs one seed alone: what a failure prints. */
const ONE_SEED = process.env["MOESAIC_SIM_SEED"];
const NUM_SEEDS = IS_LONG ? 200 : 30;
const NUM_STEPS = IS_LONG ? 10_000 : 2_000;

// A random world per seed: tiny pools, windows, chunks, priorities, deadlines, aborts, lost worlds, repeated results, steps
// planned ahead, shared prefixes, hashes that collide. What must hold is in checkers.ts, what goes wrong in faults.ts; the fake
// engine checks every plan.
describe("Simulation", () => {
  it(`ends every sequence once with the right tokens, ${NUM_SEEDS} seeds x ${NUM_STEPS} steps`, () => {
    const seeds = ONE_SEED === undefined ? Array.from({ length: NUM_SEEDS }, (_, i) => i + 1) : [Number(ONE_SEED)];
    const counts = seeds.map(simulateSeed);
    if (ONE_SEED === undefined) checkCoverage(counts);
  });

  it("is the same run for the same seed", () => {
    assert.deepEqual(simulate(7, 500), simulate(7, 500));
    assert.notDeepEqual(simulate(7, 500), simulate(8, 500));
  });
});

function simulateSeed(seed: number): SimulationCounts {
  try {
    return simulate(seed, NUM_STEPS);
  } catch (cause) {
    const again = `MOESAIC_SIM_SEED=${seed}${IS_LONG ? " MOESAIC_LONG=1" : ""} node --test ${import.meta.filename}`;
    throw new Error(`seed ${seed} failed; again: ${again}`, { cause });
  }
}

/** A simulation in which nothing happens proves nothing. */
function checkCoverage(counts: readonly SimulationCounts[]): void {
  const total = (read: (one: SimulationCounts) => number): number => counts.reduce((sum, one) => sum + read(one), 0);
  for (const name of [
    "steps",
    "ahead",
    "granted",
    "continued",
    "ended",
    "added",
    "refused",
    "resets",
    "preemptions",
    "hitTokens",
    "replayHitTokens",
  ] as const) {
    assert.ok(total((one) => one[name]) > 20, `hardly any ${name}`);
  }
  for (const finish of ["stop", "length", "abort", "error"]) {
    assert.ok(total(({ finishes }) => finishes[finish] ?? 0) > 5, `hardly any sequence ended by ${finish}`);
  }
}
