import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";

import { describeDummy } from "./model-description.js";
import { diffPlans } from "./plan-diff.js";
import { resolvePlan, type ResolvedPlan } from "./resolved-plan.js";
import { parseShardingPlan, planFromFlags } from "./sharding-plan.js";

const MODEL = describeDummy("gpt-oss-20b:2");
const CHECKPOINT_BYTES = 2_316_533_760 + 5_760 + (2 * (13_761_264_768 - 2_316_533_760 - 5_760)) / 24;

function planFrom(yaml: string): ResolvedPlan {
  const plan = parseShardingPlan(yaml, "p.yaml");
  return resolvePlan(plan, MODEL, plan.worldSize);
}

describe("diffPlans", () => {
  it("finds nothing between a plan and itself", () => {
    const plan = planFrom("worldSize: 3\nexperts: { ep: 3 }\n");
    const { json, text } = diffPlans(plan, plan, MODEL);
    assert.deepEqual([json.gained_bytes, json.lost_bytes, json.experts], [0, 0, []]);
    assert.equal(text, "3 ranks: every rank holds what it held\n");
  });

  it("moves experts and rows of the head when a rank joins, and no more", () => {
    const { json, text } = diffPlans(
      planFrom("worldSize: 2\nexperts: { ep: 2 }\n"),
      planFrom("worldSize: 3\nexperts: { ep: 3 }\n"),
      MODEL,
    );
    assert.deepEqual(
      json.experts.map(({ expert }) => expert),
      [11, 12, 13, 14, 15, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31],
    );
    assert.deepEqual(json.experts[0], { expert: 11, before: [0], after: [1] });
    const [first, second] = json.ranks;
    assert.equal(first?.gained_bytes, 0);
    assert.equal(second?.gained.attention, 0);
    // 5 experts of two layers: 3 x 2880 x 2880 MXFP4 elements and 3 x 2880 biases of bf16.
    assert.equal(second?.gained.experts, 5 * 2 * ((3 * 2_880 * 2_880 * 17) / 32 + 3 * 2_880 * 2));
    assert.match(text, /^2 to 3 ranks: [\d,]+ B to load, [\d,]+ B to drop\n/);
    assert.match(text, /\n {2}11-15 {2}rank 0 to rank 1\n {2}22-31 {2}rank 1 to rank 2\n$/);
    assert.match(text, /rank 2 {2}none to 0-63 {2}none to 0-7 /);
  });

  it("counts cuts inside a tensor to the element", () => {
    const { json } = diffPlans(planFrom("worldSize: 1\n"), planFrom("worldSize: 2\nexperts: { tp: 2 }\n"), MODEL);
    const [first] = json.ranks;
    assert.deepEqual(first?.heads, { before: [0, 64], after: [0, 32] });
    // Rank 0 keeps the down bias of all experts, rank 1 gains none.
    const half = 32 * 2 * ((1.5 * 2_880 * 2_880 * 17) / 32 + 2_880 * 2);
    assert.equal(first?.lost.experts, half);
    assert.equal(json.ranks[1]?.gained.experts, half);
  });

  it("gains a whole checkpoint from nothing, whatever the layout", () => {
    const { ranks } = diffPlans(
      planFrom("worldSize: 1\n"),
      planFrom(
        "worldSize: 2\nattention: { ranks: [0] }\nexperts: { ep: 2, assign: { 0: [], 1: " +
          JSON.stringify(Array.from({ length: 32 }, (_, id) => id)) +
          " } }\n",
      ),
      MODEL,
    ).json;
    const moved = ranks[1]!.gained;
    assert.equal(ranks[0]?.lost.experts, moved.experts);
    assert.equal(ranks[0]?.lost.lm_head, moved.lm_head);
  });

  it("gains in one direction what it loses in the other", () => {
    const plans = fc
      .record({ tp: fc.integer({ min: 1, max: 4 }), ep: fc.integer({ min: 1, max: 4 }) })
      .map(({ tp, ep }) => resolvePlan(planFromFlags(tp, ep), MODEL, tp * ep));
    fc.assert(
      fc.property(plans, plans, (a, b) => {
        const [there, back] = [diffPlans(a, b, MODEL).json, diffPlans(b, a, MODEL).json];
        assert.equal(there.gained_bytes, back.lost_bytes);
        there.ranks.forEach(({ gained }, rank) => assert.deepEqual(gained, back.ranks[rank]?.lost));
      }),
      { numRuns: 40 },
    );
  });

  it("loads the checkpoint once more for each replica's worth of ranks that joins", () => {
    const { json } = diffPlans(planFrom("worldSize: 1\n"), planFrom("worldSize: 2\nexperts: { ep: 2 }\n"), MODEL);
    const repeated = ["embedding", "attention", "router", "norms"] as const;
    const cut = ["experts", "lm_head"] as const;
    const [first, second] = json.ranks;
    for (const kind of cut) assert.equal(second?.gained[kind], first?.lost[kind]);
    const gained = [...repeated, ...cut].map((kind) => second!.gained[kind]).reduce((a, b) => a + b);
    assert.equal(gained + first!.lost_bytes, CHECKPOINT_BYTES);
  });
});
