import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Placement } from "./collectives.js";
import {
  bytesRead,
  costOf,
  decodeShape,
  placementsOf,
  predictShape,
  predictStep,
  shardedFromTokens,
  type PlanCost,
} from "./cost.js";
import { lower } from "./lower.js";
import { NO_OVERHEADS, type MachineProfile } from "./machine-profile.js";
import { describeDummy } from "./model-description.js";
import { resolvePlan } from "./resolved-plan.js";
import { parseShardingPlan } from "./sharding-plan.js";
import { checkpointBytes, classOf, storedBytes } from "./tensor-class.js";

const MODEL = describeDummy("gpt-oss-20b");
const TYPICAL: MachineProfile = {
  readBytesPerSecond: 20e9,
  flopsPerSecond: 200e9,
  attentionFlopsPerSecond: 200e9,
  linkLatencyUs: 20,
  linkBytesPerSecond: 5e9,
  ...NO_OVERHEADS,
  transport: "shm",
};
/** Of one token's hidden state in float32. */
const ROW = 2_880 * 4;

function costFrom(yaml: string, profile: MachineProfile = TYPICAL): PlanCost {
  const written = parseShardingPlan(yaml, "p.yaml");
  const plan = resolvePlan(written, MODEL, written.worldSize);
  return costOf(MODEL, plan, profile, { dequantize: false, precision: "exact", seqLen: 1_024 });
}

const TP4 = "worldSize: 4\nexperts: { tp: 4 }\n";
const EP4 = "worldSize: 4\nexperts: { ep: 4 }\n";

describe("costOf", () => {
  it("counts the bytes of the weights that lower lists, class by class", () => {
    const yaml = "worldSize: 3\nattention: { ranks: [0, 1], tp: 2 }\nexperts: { ep: 3 }\nweights: [2, 1, 1]\n";
    const { plan, ranks } = costFrom(yaml);
    const limits = { maxBatchedTokens: 8, maxSequences: 1, maxSeqLen: 64, blockSize: 16, numBlocks: 9 };
    ranks.forEach(({ bytes, weightsBytes, checkpointBytes: ofCheckpoint }, rank) => {
      const { weights } = lower(MODEL, plan, rank, { limits, precision: "exact", dequantize: false });
      const counted = { embedding: 0, attention: 0, router: 0, experts: 0, norms: 0, lm_head: 0 };
      for (const weight of weights) counted[classOf(weight)] += storedBytes(weight);
      assert.deepEqual(bytes, counted);
      assert.equal(
        weightsBytes,
        weights.map(storedBytes).reduce((a, b) => a + b),
      );
      assert.equal(
        ofCheckpoint,
        weights.map(checkpointBytes).reduce((a, b) => a + b),
      );
    });
  });
});

describe("bytesRead", () => {
  it("is all but the experts that are not hit, one row of the embedding, and the keys in sight", () => {
    const cost = costFrom("worldSize: 1\n");
    const { bytes } = cost.ranks[0]!;
    const read = bytesRead(cost, 0, 1);
    const rest = bytes.attention + bytes.router + bytes.norms + bytes.lm_head;
    assert.ok(Math.abs(read.weightsBytes - (rest + bytes.experts / 8 + 2 * 2_880)) < 1);
    assert.equal(read.kvBytes, 12 * (1_024 + 128) * 2 * 8 * 64 * 4);
  });

  it("does not grow past all experts, but does with every sequence's keys", () => {
    const cost = costFrom(TP4);
    const [one, many] = [bytesRead(cost, 1, 1), bytesRead(cost, 1, 500)];
    assert.ok(many.weightsBytes < cost.ranks[1]!.weightsBytes);
    assert.equal(many.kvBytes, 500 * one.kvBytes);
  });
});

describe("collectives of a step", () => {
  const sent = (yaml: string, placement: Placement, numTokens: number): Record<string, number> => {
    const { perLayer, perStep } = predictStep(costFrom(yaml), placement, numTokens).collectives;
    return Object.fromEntries([...perLayer, ...perStep].map(({ op, bytes }) => [op, Math.round(bytes)]));
  };

  it("send every slot of a replicated token to every rank", () => {
    const around = (numTokens: number) => ({ step_plan: 3 * (88 + 24 * numTokens), sample: 3 * 28 * numTokens });
    assert.deepEqual(sent(EP4, "replicated", 8), { exchange_slots: 8 * 1 * ROW * 3, ...around(8) });
    assert.deepEqual(sent(TP4, "replicated", 1), { all_reduce: 3 * ROW, exchange_slots: 4 * ROW * 3, ...around(1) });
    assert.equal(sent(TP4, "replicated", 64)["all_reduce"], (64 * ROW * 2 * 3) / 4, "in two rounds");
  });

  it("send a sharded token to the ranks of its experts alone", () => {
    const { all_gather: gathered, dispatch, collect } = sent(EP4, "sharded", 8);
    assert.equal(gathered, 2 * ROW * 3);
    const chance = 1 - (24 * 23 * 22 * 21) / (32 * 31 * 30 * 29);
    assert.equal(dispatch, Math.round(2 * 3 * chance * (ROW + 16)));
    assert.equal(collect, 6 * ROW);
    assert.equal(sent(TP4, "sharded", 8)["reduce_scatter"], 2 * 3 * ROW);
  });

  it("are none in a world of one", () => {
    assert.deepEqual(sent("worldSize: 1\n", "replicated", 8), {});
  });
});

describe("predictStep", () => {
  it("reads at the profile's rate where arithmetic is free", () => {
    const free = { ...TYPICAL, readBytesPerSecond: 1e9, flopsPerSecond: 1e30 };
    const cost = costFrom("worldSize: 1\n", free);
    const { weightsBytes, kvBytes } = bytesRead(cost, 0, 1);
    const { totalMs } = predictStep(cost, "replicated", 1);
    assert.ok(Math.abs(totalMs - (weightsBytes + kvBytes) / 1e6) < 0.02, "but for a row of the embedding and the norm");
  });

  it("waits for the rank with most of what it has to do", () => {
    const even = predictStep(costFrom(TP4), "replicated", 1);
    const skewed = predictStep(costFrom(`${TP4}weights: [5, 1, 1, 1]\n`), "replicated", 1);
    assert.ok(skewed.attentionMs > even.attentionMs, "8 KV heads do not divide 5 : 1 : 1 : 1");
  });

  it("adds a round for each collective of each layer", () => {
    const slow = { ...TYPICAL, linkLatencyUs: 1_000, linkBytesPerSecond: 1e30 };
    assert.ok(Math.abs(predictStep(costFrom(TP4, slow), "replicated", 1).collectivesMs - (24 * 2 + 2)) < 1e-9);
    assert.ok(Math.abs(predictStep(costFrom(EP4, slow), "sharded", 1).collectivesMs - (24 * 3 + 3)) < 1e-9);
  });
});

describe("shardedFromTokens", () => {
  it("is the first size at which sharded tokens are faster", () => {
    const cost = costFrom(EP4);
    const from = shardedFromTokens(cost);
    assert.ok(from !== null && from > 1);
    const isFaster = (numTokens: number): boolean =>
      predictStep(cost, "sharded", numTokens).totalMs < predictStep(cost, "replicated", numTokens).totalMs;
    assert.deepEqual([isFaster(from - 1), isFaster(from)], [false, true]);
  });

  it("is never where bytes cost nothing and rounds do", () => {
    const slow = { ...TYPICAL, flopsPerSecond: 1e30, linkLatencyUs: 1e6, linkBytesPerSecond: 1e30 };
    assert.equal(shardedFromTokens(costFrom(TP4, slow)), null);
  });
});

describe("placementsOf", () => {
  it("leaves out what a plan cannot or must not do", () => {
    const of = (yaml: string): Placement[] => placementsOf(costFrom(yaml).plan);
    assert.deepEqual(of("worldSize: 1\n"), ["replicated"]);
    assert.deepEqual(of(TP4), ["replicated", "sharded"]);
    assert.deepEqual(of(`${TP4}tokens: sharded\n`), ["sharded"]);
    assert.deepEqual(of("worldSize: 2\nattention: { ranks: [1] }\nexperts: { ep: 2 }\n"), ["sharded"]);
  });
});

describe("overheads", () => {
  const overheads = { opUs: 10, opRowUs: 2, stepUs: 500, sampleUs: 30, requestUs: 9_999 };

  it("come on top: of every op, of every token in it, of the step and of what is sampled", () => {
    const [bare, cost] = [costFrom("worldSize: 1\n"), costFrom("worldSize: 1\n", { ...TYPICAL, ...overheads })];
    const { numOps } = cost;
    assert.equal(numOps.replicated, 24 * 9 + 6, "ops of the program of 24 layers");
    const [before, after] = [predictStep(bare, "replicated", 5), predictStep(cost, "replicated", 5)];
    assert.equal(before.overheadMs, 0);
    const expected = (numOps.replicated * (10 + 5 * 2) + 500 + 5 * 30) / 1_000;
    assert.ok(Math.abs(after.overheadMs - expected) < 1e-9);
    assert.ok(Math.abs(after.totalMs - before.totalMs - expected) < 1e-9);
  });

  it("of tokens are shared by ranks that share the work; those of ops are not", () => {
    const perToken = (yaml: string): number => {
      const cost = costFrom(yaml, { ...TYPICAL, ...NO_OVERHEADS, opRowUs: 2 });
      return (1_000 * predictStep(cost, "replicated", 8).overheadMs) / cost.numOps.replicated / 8 / 2;
    };
    assert.equal(perToken("worldSize: 1\n"), 1);
    assert.ok(Math.abs(perToken(TP4) - 1 / 4) < 0.01, `${perToken(TP4)}`);
    assert.equal(perToken("worldSize: 4\nattention: { tp: 1 }\nexperts: { ep: 4 }\n"), (1 + 1 / 4) / 2);
  });

  it("leave the head out of a step that samples nothing", () => {
    const cost = costFrom("worldSize: 1\n");
    const shape = { ...decodeShape(cost, 4), numSampled: 0 };
    assert.equal(predictShape(cost, "replicated", shape).headMs, 0);
  });

  it("store keys and values of precision fast in half the bytes", () => {
    const of = (precision: "exact" | "fast"): number => {
      const plan = resolvePlan("auto", MODEL, 1);
      return costOf(MODEL, plan, TYPICAL, { dequantize: false, precision, seqLen: 1 }).ranks[0]!.kvBytesPerLayer;
    };
    assert.equal(of("exact"), 2 * of("fast"));
  });
});
