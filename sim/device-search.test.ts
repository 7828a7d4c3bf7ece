import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CPU_RANK } from "../plans/machine-profile.js";
import { describeDummy } from "../plans/model-description.js";
import type { ResolvedPlan } from "../plans/resolved-plan.js";
import { searchDevices, whyNone, whyWinner, type Candidate, type DeviceQuestion } from "./device-search.js";
import { plainScheduler } from "./settings-fixture.js";
import { clusterOn } from "./simulated-cluster.js";
import { synthesize } from "./synthetic-trace.js";

const MODEL = describeDummy("gpt-oss-20b:2");
const LENGTHS = { promptLen: { kind: "fixed", numTokens: 60 }, outputLen: { kind: "fixed", numTokens: 10 } } as const;
const TRACE = synthesize({ numRequests: 40, rate: 6, burstiness: 1, ...LENGTHS }, 1);

function question(objective: DeviceQuestion["objective"], memoryBytes = 16e9, maxDevices = 8): DeviceQuestion {
  const profile = { ...CPU_RANK.shm, opUs: 5, opRowUs: 0.1, stepUs: 400, sampleUs: 50, requestUs: 1_500 };
  const machines = { profile, memoryBytes, precision: "exact", dequantize: false, hasOwnMemory: true } as const;
  const request = {
    maxModelLen: 1_024,
    maxBatchedTokens: 256,
    maxSequences: 16,
    numBlocks: "auto",
    blockSize: 16,
    memoryFraction: 0.9,
    device: "cpu",
  } as const;
  const on = (plan: ResolvedPlan, numReplicas: number) =>
    clusterOn(MODEL, plan, numReplicas, machines, { request, scheduler: plainScheduler(1_000), runAhead: 0 });
  return { on, objective, maxDevices, seed: 1 };
}

function keepers(tried: readonly Candidate[], numDevices: number): Candidate[] {
  return tried.filter((candidate) => candidate.numDevices === numDevices && candidate.figures?.isMet === true);
}

describe("searchDevices", () => {
  it("finds the fewest devices that keep the promises: one less does not", async () => {
    const answer = await searchDevices(MODEL, TRACE, question({ ttftMs: 900, itlMs: 300 }));
    const { numDevices, tried } = answer;
    assert.ok(numDevices !== null && numDevices > 1, `${numDevices} devices`);
    assert.ok(keepers(tried, numDevices).length > 0);
    const below = Math.max(...tried.map((each) => each.numDevices).filter((each) => each < numDevices));
    assert.equal(below, numDevices - 1, "the number below was looked at");
    assert.equal(keepers(tried, below).length, 0);
    const winners = tried.filter(({ isWinner }) => isWinner);
    assert.equal(winners.length, 1);
    assert.match(whyWinner(winners[0]!, tried), /p99 TTFT \d+ ms, ITL [\d.]+ ms, busy \d+ %.*; \d+ do not: /);
  });

  it("compares tensor parallel, expert parallel and replicas of as many devices", async () => {
    const { tried } = await searchDevices(MODEL, TRACE, question({ ttftMs: 1e-3, itlMs: 1 }, 16e9, 4));
    const names = tried.filter(({ numDevices }) => numDevices === 4).map(({ name }) => name);
    for (const kind of [
      /^4 replicas$/,
      /^2 replicas of tp 2/,
      /^2 replicas of ep 2/,
      /^one replica of tp 4/,
      /^one replica of ep 4/,
    ]) {
      assert.ok(
        names.some((name) => kind.test(name)),
        `${String(kind)} in ${names.join(", ")}`,
      );
    }
  });

  it("says how close it came when nothing suffices", async () => {
    const { numDevices, tried } = await searchDevices(MODEL, TRACE, question({ ttftMs: 1e-3, itlMs: 1 }, 16e9, 3));
    assert.equal(numDevices, null);
    assert.match(whyNone(tried), /^\d as .* come closest: p99 TTFT/);
  });

  it("passes over what does not fit a device", async () => {
    const { numDevices, tried } = await searchDevices(MODEL, TRACE, question({ ttftMs: 60_000, itlMs: 60_000 }, 3.2e9));
    const alone = tried.find(({ name }) => name === "one replica");
    assert.match(alone?.misfit ?? "", /^memory: weights /);
    assert.ok(numDevices !== null && numDevices > 1);
    assert.match(tried.find(({ isWinner }) => isWinner)!.name, /one replica of/);
  });
});
