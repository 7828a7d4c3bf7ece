/** The bytes that plans/collectives.ts predicts against those that ranks count while they run a step. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { native } from "../../native/index.js";
import { tinyStep } from "../../native/test/tiny-steps.js";
import type { CollectiveCost, Placement } from "../../plans/collectives.js";
import { costOf, predictStep } from "../../plans/cost.js";
import { CPU_RANK, type Transport } from "../../plans/machine-profile.js";
import type { ModelDescription } from "../../plans/model-description.js";
import { resolvePlan } from "../../plans/resolved-plan.js";
import { autoPlan, planFromFlags, type ShardingPlan } from "../../plans/sharding-plan.js";
import { OUTPUT_SAMPLE, type StepPlan } from "../../proto/step.js";
import { TINY_MODEL, TinyWorld } from "../worlds/tiny-world.js";

/** So many layers that their routers' choices even out. */
const NUM_LAYERS = 24;
const DEEP_MODEL: ModelDescription = {
  ...TINY_MODEL,
  layerKinds: Array.from({ length: NUM_LAYERS }, (_, layer) => (layer % 2 === 0 ? "sliding" : "full")),
};
/** Rows of 16 KiB: sums of four tokens and more are worth two rounds. */
const WIDE_MODEL: ModelDescription = { ...TINY_MODEL, hiddenSize: 4_096 };
const NUM_TOKENS = 4;

interface Case {
  name: string;
  plan: ShardingPlan;
  placement: Placement;
  transport: Transport;
  model?: ModelDescription;
}

/** Every rank has a part of every expert, so that nothing depends on who is chosen. */
const EXACT: Case[] = [
  { name: "TP 2", plan: planFromFlags(2, 1), placement: "replicated", transport: "shm" },
  { name: "TP 2", plan: planFromFlags(2, 1), placement: "sharded", transport: "tcp" },
  { name: "TP 4", plan: planFromFlags(4, 1), placement: "sharded", transport: "shm" },
  // On the border of two rounds, which is not the same for both.
  { name: "TP 2, wide", plan: planFromFlags(2, 1), placement: "replicated", transport: "tcp", model: WIDE_MODEL },
  { name: "TP 3, wide", plan: planFromFlags(3, 1), placement: "replicated", transport: "shm", model: WIDE_MODEL },
  { name: "TP 3, wide", plan: planFromFlags(3, 1), placement: "replicated", transport: "tcp", model: WIDE_MODEL },
  { name: "TP 4, wide", plan: planFromFlags(4, 1), placement: "replicated", transport: "shm", model: WIDE_MODEL },
];

const ROUTED: Case[] = [
  { name: "EP 2", plan: planFromFlags(1, 2), placement: "replicated", transport: "shm" },
  { name: "EP 2", plan: planFromFlags(1, 2), placement: "sharded", transport: "shm" },
  { name: "EP 3, heads on two", plan: expertOnly(), placement: "sharded", transport: "tcp" },
  { name: "TP 2 x EP 2", plan: planFromFlags(2, 2), placement: "replicated", transport: "tcp" },
  { name: "TP 2 x EP 2", plan: planFromFlags(2, 2), placement: "sharded", transport: "shm" },
];

describe("bytes of a step, predicted and counted", () => {
  for (const one of EXACT) {
    const { name, placement, transport, model = TINY_MODEL } = one;
    it(`are equal where every rank has a part of each expert: ${name}, ${placement}, ${transport}`, async () => {
      const [predicted, counted] = await both(one, model);
      for (const kind of KINDS) {
        assert.equal(counted[kind].busiest, predicted[kind].busiest, `${kind} of the busiest rank`);
        assert.equal(counted[kind].all, predicted[kind].all, `${kind} of all ranks`);
      }
    });
  }

  for (const one of ROUTED) {
    const { name, placement, transport } = one;
    it(`differ by no more than routing may: ${name}, ${placement}, ${transport}`, async () => {
      const [predicted, counted] = await both(one, DEEP_MODEL);
      for (const kind of ["all_reduce", "reduce_scatter", "broadcast", "all_gather"] as const) {
        assert.equal(counted[kind].all, predicted[kind].all, `${kind} of all ranks depends on no router`);
      }
      const slack = routingSlackBytes(one.plan);
      for (const side of ["busiest", "all"] as const) {
        for (const kind of ["all_gather", "all_to_all"] as const) {
          const off = Math.abs(counted[kind][side] - predicted[kind][side]);
          assert.ok(
            off <= slack,
            `${kind} ${side}: ${counted[kind][side]} counted, ${predicted[kind][side]} predicted`,
          );
        }
      }
      const sends = placement === "sharded" ? "all_to_all" : "all_gather";
      assert.ok(slack < predicted[sends].all, "the bound says something");
    });
  }
});

const KINDS = ["all_reduce", "reduce_scatter", "all_gather", "all_to_all", "broadcast"] as const;
type Kind = (typeof KINDS)[number];
type Traffic = Record<Kind, { busiest: number; all: number }>;

/** The collective of the transport that carries each that is predicted. */
const KIND_OF: Record<CollectiveCost["op"], Kind | null> = {
  all_reduce: "all_reduce",
  reduce_scatter: "reduce_scatter",
  all_gather: "all_gather",
  exchange_slots: "all_gather",
  gather_logits_rows: "all_gather",
  sample: "all_gather",
  dispatch: "all_to_all",
  collect: "all_to_all",
  step_plan: "broadcast",
  own_rows: null,
};

async function both(one: Case, model: ModelDescription): Promise<[predicted: Traffic, counted: Traffic]> {
  return [predictedTraffic(one, model), await countedTraffic(one, model)];
}

function predictedTraffic({ plan, placement, transport }: Case, model: ModelDescription): Traffic {
  const options = { dequantize: false, precision: "exact" as const, seqLen: 1 };
  const cost = costOf(model, resolvePlan(plan, model, plan.worldSize), CPU_RANK[transport], options);
  const { perLayer, perStep } = predictStep(cost, placement, NUM_TOKENS).collectives;
  const traffic = noTraffic();
  const add = ({ op, bytes, allBytes }: CollectiveCost, times: number): void => {
    const kind = KIND_OF[op];
    assert.ok(kind !== null);
    traffic[kind].busiest += times * bytes;
    traffic[kind].all += times * allBytes;
  };
  for (const collective of perLayer) add(collective, model.layerKinds.length);
  for (const collective of perStep) add(collective, 1);
  return traffic;
}

/** Of a step that decodes, without rows that begin or blocks that are added. */
async function countedTraffic({ plan, placement, transport }: Case, model: ModelDescription): Promise<Traffic> {
  const world = await TinyWorld.open(plan, transport, { model });
  try {
    await world.step(withPlacement(prompts(), placement));
    const before = await settledCounts(world);
    await world.step(withPlacement(decodes(), placement));
    const after = await settledCounts(world);
    const traffic = noTraffic();
    for (const kind of KINDS) {
      const sent = after.map((counts, rank) => counts[kind] - before[rank]![kind]);
      traffic[kind] = { busiest: Math.max(...sent), all: sent.reduce((sum, bytes) => sum + bytes, 0) };
    }
    return traffic;
  } finally {
    await world.close();
  }
}

function prompts(): StepPlan {
  return tinyStep(
    Array.from({ length: NUM_TOKENS }, (_, row) => ({ row, begin: 0, tokenIds: [3 + row, 17 * row + 5], begins: {} })),
  );
}

function decodes(): StepPlan {
  return tinyStep(
    Array.from({ length: NUM_TOKENS }, (_, row) => ({
      row,
      begin: 2,
      tokenIds: [40 + 9 * row],
      output: OUTPUT_SAMPLE,
    })),
  );
}

function withPlacement(plan: StepPlan, tokenPlacement: Placement): StepPlan {
  return { ...plan, tokenPlacement };
}

/** By rank. The lead may be done with a step before the others are: these are when they wait for the next plan. */
async function settledCounts(world: TinyWorld): Promise<Record<Kind, number>[]> {
  for (;;) {
    const stats = world.engines.map((engine) => native.collectiveStats(engine));
    const of = (rank: number, kind: Kind) => stats[rank]!.find(({ name }) => name === kind)!;
    const numPlans = of(0, "broadcast").calls;
    if (stats.every((_, rank) => rank === 0 || of(rank, "broadcast").calls === numPlans + 1)) {
      const bytesOf = (rank: number) => KINDS.map((kind) => [kind, of(rank, kind).bytes]);
      return stats.map((_, rank) => Object.fromEntries(bytesOf(rank)) as Record<Kind, number>);
    }
    await sleep(1);
  }
}

/**
 * How far routing may be from what is expected: four standard deviations of slots and visits, if all tokens of a layer went
 * the same way and layers were independent. A rank's slots of one token vary by k p (1 - p) (E - k) / (E - 1), p being its
 * part of the experts: at most a quarter of k. Each slot is a row, from each of the ranks that share the expert to each other
 * rank; each visit a row to a rank.
 */
function routingSlackBytes({ worldSize }: ShardingPlan): number {
  const rowBytes = DEEP_MODEL.hiddenSize * 4 + DEEP_MODEL.expertsPerToken * 4;
  const deviation = NUM_TOKENS * Math.sqrt((NUM_LAYERS * DEEP_MODEL.expertsPerToken) / 4);
  return 4 * deviation * rowBytes * (worldSize - 1);
}

function expertOnly(): ShardingPlan {
  return { ...autoPlan(3), attention: { tp: 1, ranks: [0, 2] }, experts: { ep: 3, tp: 1, assign: "auto" } };
}

function noTraffic(): Traffic {
  return Object.fromEntries(KINDS.map((kind) => [kind, { busiest: 0, all: 0 }])) as Traffic;
}
