import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";

import { autoPlan, planFromFlags, type ShardingPlan } from "../../plans/sharding-plan.js";
import {
  LAST_SAMPLED,
  OUTPUT_LOGITS,
  OUTPUT_SAMPLE,
  type RowSampling,
  type StepPlan,
  type StepResult,
  type TokenPlacement,
} from "../../proto/step.js";
import type { EngineHandle } from "../../native/binding.js";
import { native, packagePath } from "../../native/index.js";
import { tinyStep } from "../../native/test/tiny-steps.js";
import { eventually } from "../e2e/moesaic.js";
import { failure } from "../thrown.js";
import { openTinyWhole, TINY_MODEL, tinyPrograms, TinyWorld } from "./tiny-world.js";

interface Layout {
  name: string;
  plan: ShardingPlan;
  /** Whether the same bits as one rank's are promised: where no sum is cut. */
  isExact: boolean;
  placements: TokenPlacement[];
  transport: "shm" | "tcp";
}

const BOTH: TokenPlacement[] = ["replicated", "sharded"];

/** Experts over `ep` ranks, attention whole on each. */
function expertPlan(ep: number, attention: number[] | "auto" = "auto"): ShardingPlan {
  return { ...autoPlan(ep), attention: { tp: 1, ranks: attention }, experts: { ep, tp: 1, assign: "auto" } };
}

const LAYOUTS: Layout[] = [
  { name: "EP 2", plan: expertPlan(2), isExact: true, placements: BOTH, transport: "shm" },
  { name: "EP 3", plan: expertPlan(3), isExact: true, placements: BOTH, transport: "tcp" },
  {
    name: "EP 3, one rank experts only",
    plan: expertPlan(3, [0, 2]),
    isExact: true,
    placements: ["sharded"],
    transport: "shm",
  },
  { name: "TP 2", plan: planFromFlags(2, 1), isExact: false, placements: BOTH, transport: "tcp" },
  { name: "TP 2 x EP 2", plan: planFromFlags(2, 2), isExact: false, placements: BOTH, transport: "shm" },
];

for (const { name, plan, isExact, placements, transport } of LAYOUTS)
  describe(`${name} over ${transport}`, () => {
    let whole: EngineHandle;
    let world: TinyWorld;
    before(async () => {
      [whole, world] = await Promise.all([openTinyWhole(), TinyWorld.open(plan, transport)]);
    });
    after(async () => {
      await world.close();
      native.closeEngine(whole);
    });

    for (const tokenPlacement of placements) {
      /** Both answers to the same plan. */
      const both = async (step: StepPlan): Promise<[StepResult, StepResult]> =>
        Promise.all([native.step(whole, step), world.step({ ...step, tokenPlacement })]);
      const finish = async (...rows: number[]): Promise<unknown> =>
        both(tinyStep([], { finishedRows: Int32Array.from(rows) }));

      it(`gives one rank's logits, ${tokenPlacement}`, async () => {
        const prompts = [
          { row: 0, begin: 0, tokenIds: [3, 1, 4, 1, 5], output: OUTPUT_SAMPLE, begins: {} },
          { row: 1, begin: 0, tokenIds: [9, 2, 6], output: OUTPUT_LOGITS, begins: {} },
        ];
        const [one, many] = await both(tinyStep(prompts));
        assert.equal(many.logits.length, 3 * TINY_MODEL.vocabSize);
        compare(many.logits, one.logits, isExact);
        assert.deepEqual(many.tokenIds, one.tokenIds);
        const single = { row: 1, begin: 3, tokenIds: [7], output: OUTPUT_LOGITS };
        const [oneMore, manyMore] = await both(tinyStep([single]));
        compare(manyMore.logits, oneMore.logits, isExact);
        await finish(0, 1);
      });

      it(`counts each pair of token and expert on the ranks that compute it, ${tokenPlacement}`, async () => {
        const counted = (): number[][] => [whole, ...world.engines].map((engine) => [...native.expertTokens(engine)]);
        const before = counted();
        const prompts = [
          { row: 0, begin: 0, tokenIds: [3, 1, 4, 1, 5], output: OUTPUT_SAMPLE, begins: {} },
          { row: 1, begin: 0, tokenIds: [9, 2, 6], begins: {} },
        ];
        await both(tinyStep(prompts));
        // Every rank has computed its experts before the lead has a step's result.
        await finish(0, 1);
        const [one, ...ranks] = counted().map((counts, at) =>
          counts.map((count, index) => count - before[at]![index]!),
        );
        const { layerKinds, numExperts, expertsPerToken } = TINY_MODEL;
        assert.equal(one!.length, layerKinds.length * numExperts);
        for (const layer of layerKinds.keys()) {
          const ofLayer = one!.slice(layer * numExperts, (layer + 1) * numExperts);
          assert.equal(
            ofLayer.reduce((sum, count) => sum + count, 0),
            8 * expertsPerToken,
          );
        }
        const programs = tinyPrograms(plan);
        for (const [rank, counts] of ranks.entries()) {
          const has = new Set(programs[rank]!.dims.localExperts);
          const expected = one!.map((count, index) => (has.has(index % numExperts) ? count : 0));
          assert.deepEqual(counts, expected, `rank ${rank}`);
        }
      });

      it(`tells how long each rank's steps took, ${tokenPlacement}`, async () => {
        const lastIds = world.engines.map((engine) => native.stepTimes(engine, 0).at(-1)?.stepId ?? 0);
        const stepIds = [1, 2, 3].map((more) => Math.max(...lastIds) + more);
        const prompt = [{ row: 0, begin: 0, tokenIds: [3, 1], output: OUTPUT_SAMPLE, begins: {} }];
        await world.step(tinyStep(prompt, { stepId: stepIds[0]!, tokenPlacement }));
        for (const [index, stepId] of stepIds.slice(1).entries()) {
          const next = [{ row: 0, begin: 2 + index, tokenIds: [LAST_SAMPLED], output: OUTPUT_SAMPLE }];
          await world.step(tinyStep(next, { stepId, tokenPlacement }));
        }
        await world.step(tinyStep([], { stepId: stepIds.at(-1)! + 1, finishedRows: Int32Array.of(0), tokenPlacement }));
        // A follower may still be at the end of a step that the lead has the result of.
        await eventually("all ranks have ended the steps", () =>
          world.engines.every((engine) => (native.stepTimes(engine, 0).at(-1)?.stepId ?? 0) >= stepIds.at(-1)!),
        );
        for (const [rank, engine] of world.engines.entries()) {
          const times = native.stepTimes(engine, lastIds[rank]!).slice(0, 3);
          assert.deepEqual(
            times.map(({ stepId }) => stepId),
            stepIds,
            `rank ${rank}`,
          );
          for (const { endedUsAgo, engineUs, collectiveUs } of times) {
            assert.ok(endedUsAgo > 0 && engineUs > 0 && collectiveUs > 0 && collectiveUs <= engineUs, `rank ${rank}`);
          }
          assert.deepEqual(native.stepTimes(engine, stepIds[1]!).map(({ stepId }) => stepId)[0], stepIds[2]);
        }
      });

      it(`samples one rank's tokens, ${tokenPlacement}`, async () => {
        for (const begins of SAMPLINGS) {
          const label = JSON.stringify(begins);
          const prompt = { row: 2, begin: 0, tokenIds: [8, 8, 1], output: OUTPUT_SAMPLE, begins };
          const results = [await both(tinyStep([prompt]))];
          for (let begin = 3; begin < 12; begin++)
            results.push(await both(tinyStep([{ row: 2, begin, tokenIds: [LAST_SAMPLED], output: OUTPUT_SAMPLE }])));
          for (const [one, many] of results) {
            assert.deepEqual(many.tokenIds, one.tokenIds, label);
            assert.deepEqual(many.finishes, one.finishes, label);
            assert.deepEqual(many.topTokenIds, one.topTokenIds, label);
            assertClose(many.logprobs, one.logprobs, 2e-5, label);
            assertClose(many.topLogprobs, one.topLogprobs, 2e-5, label);
          }
          await finish(2);
        }
      });
    }
  });

const SAMPLINGS: Partial<RowSampling>[] = [
  {},
  { temperature: 0.8, seed: 5 },
  { temperature: 1.3, topK: 4, seed: 6 },
  { temperature: 1, topP: 0.6, seed: 7 },
  { temperature: 1, minP: 0.2, seed: 8 },
  { temperature: 1, topK: 20, topP: 0.9, seed: 9, numTopLogprobs: 5 },
  { temperature: 0.7, seed: 10, numTopLogprobs: 0 },
  { frequencyPenalty: 0.5, repetitionPenalty: 1.2, numTopLogprobs: 2 },
  { temperature: 1, presencePenalty: 0.3, seed: 11, stopTokenIds: [1, 2, 3], minSeqLen: 9 },
  { logitBias: [{ tokenId: 130, bias: 50 }] },
];

describe("the traffic of a dispatch", () => {
  it("is one row of hidden states per token and remote rank that it is routed to", async () => {
    const model = { ...TINY_MODEL, layerKinds: ["full" as const] };
    const world = await TinyWorld.open(expertPlan(2), "shm", { model });
    const step = tinyStep([{ row: 0, begin: 0, tokenIds: [1, 2, 3, 4, 5, 6, 7], begins: {} }]);
    step.blockDeltas.pop();
    const whole = await openTinyWhole(model);
    await native.step(whole, step);
    const expertIds = native.readBuffer(whole, "expert_ids", 7);
    native.closeEngine(whole);

    await world.step({ ...step, tokenPlacement: "sharded" });
    const pairs = pairsOf(expertIds, model.expertsPerToken, model.numExperts);
    assert.ok(pairs > 0);
    const bytes = (name: string): number => sum(world.engines.map((engine) => bytesOf(engine, name)));
    assert.equal(bytes("dispatch"), pairs * model.hiddenSize * 4);
    assert.equal(bytes("dispatch_ids"), pairs * model.expertsPerToken * 4);
    await world.close();
  });

  function pairsOf(ids: ArrayLike<number>, perToken: number, numExperts: number): number {
    const numTokens = ids.length / perToken;
    let pairs = 0;
    for (let token = 0; token < numTokens; token++) {
      const owner = token < Math.floor(numTokens / 2) ? 0 : 1;
      const routed = Array.from(ids).slice(token * perToken, (token + 1) * perToken);
      // Experts [0, 4) are rank 0's.
      if (routed.some((id) => (id < Math.ceil(numExperts / 2) ? 0 : 1) !== owner)) pairs++;
    }
    return pairs;
  }
});

describe("a world that ends", () => {
  it("ends in order when the lead says so", async () => {
    const world = await TinyWorld.open(expertPlan(3), "tcp");
    await native.endEpoch(world.lead);
    assert.deepEqual(
      (await world.followers).map(({ status }) => status),
      ["fulfilled", "fulfilled"],
    );
    await world.close();
  });

  it("waits for the next plan for longer than the deadline", async () => {
    for (const transport of ["shm", "tcp"] as const) {
      const world = await TinyWorld.open(expertPlan(2), transport, { deadlineMs: 200 });
      await new Promise((resolve) => setTimeout(resolve, 700));
      await world.step(tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }]));
      await world.close();
    }
  });

  it("fails on every rank when one aborts, with the reason", async () => {
    for (const transport of ["shm", "tcp"] as const) {
      const world = await TinyWorld.open(expertPlan(3), transport);
      native.abortEngine(world.engines[1]!, "the operator said so");
      for (const outcome of await world.followers) assertFailed(outcome, /aborted: the operator said so/);
      await assert.rejects(
        world.step(tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }])),
        /rank 1 aborted: the operator said so/,
      );
      await world.close();
    }
  });

  it("fails on every rank when one leaves, naming it and the op", async () => {
    for (const transport of ["shm", "tcp"] as const) {
      const world = await TinyWorld.open(expertPlan(3), transport, { deadlineMs: 2000 });
      native.closeEngine(world.engines[2]!);
      const begun = performance.now();
      await assert.rejects(world.step(tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }])), /rank 2/);
      for (const outcome of await world.followers) assertFailed(outcome, /rank 2|engine was closed/);
      assert.ok(performance.now() - begun < 2500);
      await world.close();
    }
  });

  it("refuses a plan on the lead without ending the epoch", async () => {
    const world = await TinyWorld.open(expertPlan(2), "shm");
    const wrong = tinyStep([{ row: 0, begin: 0, tokenIds: [TINY_MODEL.vocabSize], begins: {} }]);
    await assert.rejects(world.step(wrong), failure("invalid_argument", /token id 131/));
    await world.step(tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }]));
    await world.close();
  });
});

describe("a rank that is killed in the middle of steps", () => {
  for (const transport of ["shm", "tcp"] as const)
    it(`fails all others, who name it, over ${transport}`, async () => {
      const children = [1, 2].map(() => fork(new URL("rank-process.js", import.meta.url)));
      const dataPlane = native.listenDataPlane("127.0.0.1:0");
      const addresses = [
        native.dataPlaneAddresses(dataPlane),
        ...(await Promise.all(
          children.map(async (child) => ((await heard(child)) as { addresses: string[] }).addresses),
        )),
      ];
      const peers = addresses.map((list, rank) => ({ rank, hostId: "here", addresses: list }));
      const key = new Uint8Array(randomBytes(32));
      const options = { epoch: 1, peers, key, deadlineMs: 3000, transport };
      children.forEach((child, i) => child.send({ rank: i + 1, options: { ...options, key: [...key] } }));
      const ready = Promise.all(children.map(heard));
      const engine = native.openEngine(tinyPrograms(planFromFlags(1, 3))[0]!, {
        packages: [packagePath("reference")],
        numThreads: 1,
        device: "cpu",
        deterministic: true,
      });
      await native.connectEngine(engine, dataPlane, options);
      await native.loadDummyWeights(engine, 7, () => {});
      await ready;

      await native.step(engine, tinyStep([{ row: 0, begin: 0, tokenIds: [1], output: OUTPUT_SAMPLE, begins: {} }]));
      const survivor = heard(children[0]!);
      const lost = stepUntilLost(engine);
      children[1]!.kill("SIGKILL");
      const begun = performance.now();
      await assert.rejects(lost, failure("unavailable", /rank 2/));
      assert.match(((await survivor) as { ended: string }).ended, /rank 2/);
      assert.ok(performance.now() - begun < 3500);
      native.closeEngine(engine);
      native.closeDataPlane(dataPlane);
    });

  /** Steps the same row over and over. */
  async function stepUntilLost(engine: EngineHandle): Promise<never> {
    for (;;) await native.step(engine, tinyStep([{ row: 0, begin: 0, tokenIds: [1], output: OUTPUT_SAMPLE }]));
  }

  /** The next message of a child. */
  async function heard(child: ChildProcess): Promise<unknown> {
    const [message] = (await once(child, "message")) as [unknown];
    return message;
  }
});

describe("connectEngine", () => {
  it("names the peer that does not come", async () => {
    for (const transport of ["shm", "tcp"] as const) {
      const [program] = tinyPrograms(expertPlan(2));
      const engine = native.openEngine(program!, {
        packages: [packagePath("reference")],
        numThreads: 1,
        device: "cpu",
        deterministic: true,
      });
      const dataPlane = native.listenDataPlane("127.0.0.1:0");
      const peers = [0, 1].map((rank) => ({ rank, hostId: "here", addresses: ["127.0.0.1:1"] }));
      const options = { epoch: 1, peers, key: new Uint8Array(randomBytes(32)), deadlineMs: 200, transport };
      await assert.rejects(native.connectEngine(engine, dataPlane, options), failure("unavailable", /rank 1/));
      await native.loadDummyWeights(engine, 7, () => {});
      await assert.rejects(native.step(engine, tinyStep([])), failure("failed_precondition", /not connected/));
      native.closeEngine(engine);
      native.closeDataPlane(dataPlane);
    }
  });

  it("gives the lead and the followers their parts", async () => {
    const world = await TinyWorld.open(expertPlan(2), "shm");
    await assert.rejects(native.followLead(world.lead), failure("failed_precondition", /rank 0 is the lead/));
    await world.close();
  });

  it("refuses options that are none", async () => {
    const engine = await openTinyWhole();
    const dataPlane = native.listenDataPlane("127.0.0.1:0");
    const connect = (options: unknown) => native.connectEngine(engine, dataPlane, options as never);
    await assert.rejects(connect(undefined), failure("invalid_argument", /^options: expected an object/));
    const options = { epoch: 1, peers: [], key: new Uint8Array(32), deadlineMs: 100, transport: "auto" };
    await assert.rejects(
      connect({ ...options, key: new Uint8Array(31) }),
      failure("invalid_argument", /key: expected 32 bytes, got 31/),
    );
    await assert.rejects(
      connect({ ...options, transport: "pigeon" }),
      failure("invalid_argument", /transport: .*"pigeon"/),
    );
    await assert.rejects(connect(options), failure("invalid_argument", /options\.peers: expected the 1 ranks/));
    native.closeDataPlane(dataPlane);
    native.closeDataPlane(dataPlane);
    await assert.rejects(connect(options), failure("failed_precondition", /data plane is closed/));
    native.closeEngine(engine);
  });
});

/** Equal to the bit, or within 2e-6 of the largest. */
function compare(actual: Float32Array, expected: Float32Array, isExact: boolean): void {
  if (isExact) return assert.deepEqual(actual, expected);
  const largest = Math.max(...expected.map(Math.abs));
  assertClose(actual, expected, 2e-6 * largest, "logits");
}

function assertClose(actual: Float32Array, expected: Float32Array, tolerance: number, label: string): void {
  assert.equal(actual.length, expected.length, label);
  expected.forEach((value, i) => {
    if (Number.isNaN(value)) return assert.ok(Number.isNaN(actual[i]!), label);
    assert.ok(Math.abs(actual[i]! - value) <= tolerance, `${label}: [${i}] is ${actual[i]}, expected ${value}`);
  });
}

function bytesOf(engine: EngineHandle, name: string): number {
  return native.collectiveStats(engine).find((stats) => stats.name === name)?.bytes ?? Number.NaN;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function assertFailed(outcome: PromiseSettledResult<void>, message: RegExp): void {
  assert.ok(outcome.status === "rejected");
  assert.match(String(outcome.reason), message);
}
