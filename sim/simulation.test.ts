import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { predictFastestShape } from "../plans/cost.js";
import { CPU_RANK, type MachineProfile } from "../plans/machine-profile.js";
import type { LimitsRequest } from "../plans/memory.js";
import { describeDummy } from "../plans/model-description.js";
import { resolvePlan } from "../plans/resolved-plan.js";
import { chunkShape, decodeShapeAt } from "../plans/step-shape.js";
import { thrownBy } from "../test/thrown.js";
import { loadFigures } from "./load-figures.js";
import { plainScheduler } from "./settings-fixture.js";
import { clusterOn, type SimulatedCluster } from "./simulated-cluster.js";
import { simulate } from "./simulation.js";
import { synthesize } from "./synthetic-trace.js";
import type { TraceRequest } from "./trace.js";

const MODEL = describeDummy("gpt-oss-20b:2");
const PROFILE: MachineProfile = { ...CPU_RANK.shm, opUs: 5, opRowUs: 0.1, stepUs: 400, sampleUs: 50, requestUs: 1_500 };
const REQUEST: LimitsRequest = {
  maxModelLen: 4_096,
  maxBatchedTokens: 256,
  maxSequences: 16,
  numBlocks: "auto",
  blockSize: 16,
  memoryFraction: 0.9,
  device: "cpu",
};
const ANY = { ttftMs: Infinity, itlMs: Infinity };

function clusterOf(
  numReplicas = 1,
  request: Partial<LimitsRequest> = {},
  maxWaiting = 1_000,
  runAhead = 0,
): SimulatedCluster {
  const machines = {
    profile: PROFILE,
    memoryBytes: 16e9,
    precision: "exact",
    dequantize: false,
    hasOwnMemory: false,
  } as const;
  const limits = { request: { ...REQUEST, ...request }, scheduler: plainScheduler(maxWaiting), runAhead };
  return clusterOn(MODEL, resolvePlan("auto", MODEL, 1), numReplicas, machines, limits);
}

function request(atMs: number, numPromptTokens: number, numOutputTokens: number): TraceRequest {
  return { atMs, numPromptTokens, numOutputTokens, prefixIds: [] };
}

const DRAWN = {
  numRequests: 60,
  rate: 10,
  burstiness: 1,
  promptLen: { kind: "lognormal", median: 100, sigma: 0.6 },
  outputLen: { kind: "uniform", min: 2, max: 40 },
} as const;

describe("simulate", () => {
  it("gives a request alone the time that the cost model says, step by step", async () => {
    const cluster = clusterOf();
    const ms = (shape: ReturnType<typeof chunkShape>): number => predictFastestShape(cluster.cost, shape).totalMs;
    const { records } = await simulate([request(0, 100, 4)], cluster, 1);
    const expected = [1.5 + ms(chunkShape(MODEL, 0, 100))];
    for (const length of [101, 102, 103]) expected.push(expected.at(-1)! + ms(decodeShapeAt(MODEL, 1, length)));
    assert.deepEqual(
      records[0]!.tokensMs.map((at) => at.toFixed(9)),
      expected.map((at) => at.toFixed(9)),
    );
  });

  it("takes no more and no less time with steps given ahead, or granted", async () => {
    const times = async (runAhead: number) => {
      const { records, totals } = await simulate(
        [request(0, 100, 30), request(5_000, 40, 9)],
        clusterOf(1, {}, 10, runAhead),
        1,
      );
      assert.equal(totals.numSampled, 39, `at depth ${runAhead}`);
      return records.map(({ tokensMs }) => tokensMs.map((at) => at.toFixed(6)));
    };
    const expected = await times(0);
    for (const runAhead of [1, 2, 8]) assert.deepEqual(await times(runAhead), expected);
  });

  it("prefills a long prompt in chunks of the budget", async () => {
    const cluster = clusterOf();
    const chunks = [chunkShape(MODEL, 0, 256), chunkShape(MODEL, 256, 512), chunkShape(MODEL, 512, 600)];
    // A chunk that is not the last samples nothing.
    const total = chunks.reduce((sum, shape, index) => {
      return sum + predictFastestShape(cluster.cost, index < 2 ? { ...shape, numSampled: 0 } : shape).totalMs;
    }, 1.5);
    const { records, totals } = await simulate([request(0, 600, 1)], cluster, 1);
    assert.equal(records[0]!.tokensMs[0]!.toFixed(9), total.toFixed(9));
    assert.deepEqual([totals.numSteps, totals.numTokens, totals.numSampled], [3, 600, 1]);
  });

  it("answers every request with as many tokens as it asks for, the same in every run", async () => {
    const trace = synthesize(DRAWN, 1);
    const [run, again] = [await simulate(trace, clusterOf(2), 1), await simulate(trace, clusterOf(2), 1)];
    assert.deepEqual(
      run.records.map(({ tokensMs }) => tokensMs.length),
      trace.map(({ numOutputTokens }) => numOutputTokens),
    );
    assert.equal(JSON.stringify(run), JSON.stringify(again));
    const parts = ["attentionMs", "expertsMs", "headMs", "collectivesMs", "overheadMs"] as const;
    const whole = parts.reduce((sum, part) => sum + run.totals[part], 0);
    assert.ok(Math.abs(whole / run.totals.busyMs - 1) < 1e-9, "the parts are the whole");
    assert.ok(run.busy > 0 && run.busy <= 1 && run.kvUse > 0);
  });

  it("is faster with more replicas, and with fewer requests at a time", async () => {
    const trace = synthesize({ ...DRAWN, rate: Infinity }, 1);
    const figures = async (cluster: SimulatedCluster, rate?: number) =>
      loadFigures(
        (await simulate(rate === undefined ? trace : synthesize({ ...DRAWN, rate }, 1), cluster, 1)).records,
        ANY,
      );
    const [one, three] = [await figures(clusterOf(1)), await figures(clusterOf(3))];
    assert.ok(three.seconds < one.seconds / 1.5, `${three.seconds} of ${one.seconds} s`);
    assert.ok((await figures(clusterOf(1), 1)).ttftMsP99 < one.ttftMsP99 / 3);
  });

  it("preempts where KV blocks are few and still answers all", async () => {
    const trace = Array.from({ length: 12 }, () => request(0, 60, 60));
    const { records, numPreemptions, kvUse } = await simulate(
      trace,
      clusterOf(1, { numBlocks: 40, maxModelLen: 200 }),
      1,
    );
    assert.ok(numPreemptions > 0 && kvUse > 0.8, `${numPreemptions} preemptions, ${kvUse} of the pool`);
    assert.ok(records.every(({ tokensMs }) => tokensMs.length === 60));
  });

  it("counts what a full queue refuses", async () => {
    const trace = Array.from({ length: 40 }, () => request(0, 60, 5));
    const { records } = await simulate(trace, clusterOf(1, {}, 4), 1);
    const refused = records.filter(({ isRefused }) => isRefused).length;
    assert.ok(refused > 10 && refused < 40, `${refused} refused`);
    assert.equal(loadFigures(records, ANY).numRefused, refused);
  });

  it("refuses a machine on which the model does not fit, with the arithmetic", () => {
    const small = {
      profile: PROFILE,
      memoryBytes: 1e9,
      precision: "exact",
      dequantize: false,
      hasOwnMemory: false,
    } as const;
    const limits = { request: REQUEST, scheduler: plainScheduler(10), runAhead: 0 };
    const error = thrownBy(() => clusterOn(MODEL, resolvePlan("auto", MODEL, 1), 1, small, limits));
    assert.equal(error.code, "resource_exhausted");
    assert.match(error.message, /^memory: weights /);
  });
});

describe("loadFigures", () => {
  const record = (sentMs: number, tokensMs: number[], isRefused = false) => ({
    sentMs,
    numPromptTokens: 1,
    tokensMs,
    isRefused,
  });

  it("counts from the first request to the last token, and goodput by both promises", () => {
    const records = [
      record(1_000, [1_100, 1_110, 1_120]),
      record(1_500, [1_900, 1_910]),
      record(2_000, [2_050, 3_000]),
      record(2_000, [], true),
    ];
    const figures = loadFigures(records, { ttftMs: 200, itlMs: 20 });
    assert.equal(figures.seconds, 2);
    assert.deepEqual([figures.numRequests, figures.numRefused], [4, 1]);
    assert.deepEqual([figures.outputTokensPerSecond, figures.requestsPerSecond, figures.goodput], [3.5, 1.5, 0.5]);
    assert.deepEqual([figures.ttftMsP50, figures.ttftMsP99], [100, 400]);
    assert.deepEqual([figures.itlMsP50, figures.itlMsP99], [10, 950]);
  });

  it("has zeros for a trace of which nothing came", () => {
    const { seconds, goodput, ttftMsP99 } = loadFigures([record(0, [], true)], ANY);
    assert.deepEqual([seconds, goodput, ttftMsP99], [0, 0, 0]);
  });
});
