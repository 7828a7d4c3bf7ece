import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { sizeOf } from "./apportion.js";
import { describeDummy, type ModelDescription } from "./model-description.js";
import { sharesOf, type RankShare } from "./rank-share.js";
import { resolvePlan } from "./resolved-plan.js";
import { parseShardingPlan, planFromFlags } from "./sharding-plan.js";

const MODEL = describeDummy("gpt-oss-20b:2");
/** Sizes that divide by nothing: 11 MXFP4 blocks, 2 KV heads, 6 experts, 1111 rows of the head. */
const ODD: ModelDescription = {
  ...MODEL,
  hiddenSize: 288,
  intermediateSize: 352,
  numHeads: 8,
  numKvHeads: 2,
  numExperts: 6,
  expertsPerToken: 2,
  vocabSize: 1_111,
};

function shares(model: ModelDescription, yaml: string): RankShare[] {
  const plan = parseShardingPlan(yaml, "p.yaml");
  return sharesOf(model, resolvePlan(plan, model, plan.worldSize));
}

function units(model: ModelDescription, tp: number): number[] {
  return sharesOf(model, resolvePlan(planFromFlags(tp, 1), model, tp)).map(({ intermediate }) => sizeOf(intermediate));
}

describe("sharesOf", () => {
  it("cuts 2880 units on blocks of 32 over 4 and 8 ranks, none short by more than a block", () => {
    assert.deepEqual(units(MODEL, 4), [736, 736, 704, 704]);
    assert.deepEqual(units(MODEL, 8), [384, 384, 352, 352, 352, 352, 352, 352]);
  });

  it("cuts 11 blocks over 2 and 4 ranks", () => {
    assert.deepEqual(units(ODD, 2), [192, 160]);
    assert.deepEqual(units(ODD, 4), [96, 96, 96, 64]);
  });

  it("gives ranks beyond the KV heads one each and the heads that read it", () => {
    const cut = shares(ODD, "worldSize: 8\nexperts: { tp: 8 }\n");
    assert.deepEqual(
      cut.map(({ heads, kvHeads }) => [...heads, ...kvHeads]),
      [0, 1, 2, 3, 4, 5, 6, 7].map((rank) => [rank, rank + 1, rank < 4 ? 0 : 1, rank < 4 ? 1 : 2]),
    );
  });

  it("cuts heads between KV heads while there are enough, even unevenly", () => {
    const cut = shares(MODEL, "worldSize: 3\nexperts: { tp: 3 }\n");
    assert.deepEqual(
      cut.map(({ heads, kvHeads }) => [...heads, ...kvHeads]),
      [
        [0, 24, 0, 3],
        [24, 48, 3, 6],
        [48, 64, 6, 8],
      ],
    );
  });

  it("repeats the heads in every group of attention ranks", () => {
    const cut = shares(MODEL, "worldSize: 4\nattention: { tp: 2 }\nexperts: { ep: 4 }\n");
    assert.deepEqual(
      cut.map(({ heads }) => heads),
      [
        [0, 32],
        [32, 64],
        [0, 32],
        [32, 64],
      ],
    );
    assert.deepEqual(
      cut.map(({ hasOutputBias }) => hasOutputBias),
      [true, false, true, false],
    );
  });

  it("gives unequal ranks unequal shares of everything", () => {
    const [large, small] = shares(MODEL, "worldSize: 2\nexperts: { tp: 2 }\nweights: [3, 1]\n");
    assert.deepEqual(large?.heads, [0, 48]);
    assert.deepEqual(small?.kvHeads, [6, 8]);
    assert.deepEqual(large?.intermediate, [0, 2_176], "68 of 90 blocks");
    assert.deepEqual(small?.vocab, [150_816, 201_088]);
  });

  it("gives an expert-only rank experts and rows of the head", () => {
    const cut = shares(MODEL, "worldSize: 3\nattention: { ranks: [0, 2] }\nexperts: { ep: 3 }\n");
    assert.deepEqual(
      cut.map(({ runsAttention, heads }) => [runsAttention, sizeOf(heads)]),
      [
        [true, 64],
        [false, 0],
        [true, 64],
      ],
    );
    assert.equal(cut[1]?.experts.length, 11);
    assert.ok(sizeOf(cut[1]?.vocab ?? [0, 0]) > 0);
  });

  it("cuts the head on rows of 16, a small one anywhere", () => {
    const cut = shares(ODD, "worldSize: 3\nexperts: { ep: 3 }\n").map(({ vocab }) => vocab);
    assert.deepEqual(cut, [
      [0, 384],
      [384, 752],
      [752, 1_111],
    ]);
    const tiny = shares({ ...ODD, vocabSize: 20 }, "worldSize: 3\nexperts: { ep: 3 }\n").map(({ vocab }) => vocab);
    assert.deepEqual(tiny.map(sizeOf), [7, 7, 6]);
  });

  it("gives every rank the whole head where shard replicates it", () => {
    const cut = shares(ODD, "worldSize: 2\nexperts: { ep: 2 }\nshard: { lm_head: replicate }\n");
    assert.deepEqual(
      cut.map(({ vocab }) => vocab),
      [
        [0, 1_111],
        [0, 1_111],
      ],
    );
  });
});
