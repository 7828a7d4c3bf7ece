import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeDummy } from "./model-description.js";
import { checkPlan } from "./plan-check.js";
import { parseShardingPlan } from "./sharding-plan.js";

function problemsOf(yaml: string, model = null as Parameters<typeof checkPlan>[1]): string[] {
  return checkPlan(parseShardingPlan(yaml, "p.yaml"), model);
}

describe("checkPlan without a model", () => {
  const impossible: [yaml: string, problem: RegExp][] = [
    ["worldSize: 2\nexperts: { ep: 3 }\n", /^p\.yaml:2:10: experts: expected ep x tp = worldSize \(2\), got ep 3/],
    ["worldSize: 2\nattention: { tp: 5 }\n", /attention\.tp: expected a divisor of the 2 attention ranks, got 5/],
    [
      "worldSize: 4\nattention: { ranks: [0, 9] }\n",
      /attention\.ranks\[1\]: expected a rank below worldSize \(4\), got 9/,
    ],
    ["worldSize: 2\nweights: [1]\n", /weights: expected 2 numbers, one a rank, got 1/],
    [
      "worldSize: 2\nattention: { ranks: [0] }\ntokens: replicated\n",
      /tokens: replicated needs attention on every rank/,
    ],
    ["worldSize: 1\ntokens: sharded\n", /tokens: sharded needs several ranks/],
    ["worldSize: 2\nexperts: { ep: 2, assign: { 0: [0, 1], 1: [1] } }\n", /several groups have experts \[1\]/],
    ["worldSize: 3\nexperts: { ep: 3, assign: { 0: [0], 1: [1] } }\n", /ranks \[2\] are not named/],
  ];
  for (const [yaml, problem] of impossible) {
    it(`finds what no model could make right: ${yaml.replaceAll("\n", " ")}`, () => {
      assert.match(problemsOf(yaml).join("\n"), problem);
    });
  }

  it("says nothing of what a model may have: experts, heads and names", () => {
    const yaml =
      "worldSize: 64\nattention: { tp: 64 }\nexperts: { ep: 64 }\nshard: { layers.*.some_module: replicate }\n";
    assert.deepEqual(problemsOf(yaml), []);
    assert.match(problemsOf(yaml, describeDummy("gpt-oss-20b")).join("\n"), /experts\.ep: expected at most 32/);
  });

  it("is never stricter than with one", () => {
    const model = describeDummy("gpt-oss-20b");
    for (const yaml of [
      "worldSize: 1\n",
      "worldSize: 4\n",
      "worldSize: 4\nexperts: { tp: 4 }\n",
      "worldSize: 3\nattention: { ranks: [0, 2] }\nexperts: { ep: 3 }\nweights: [3, 1, 1]\n",
      "worldSize: 4\nexperts: { ep: 2, tp: 2 }\nattention: { tp: 4 }\n",
      "worldSize: 6\nattention: { ranks: [0, 1, 2], tp: 3 }\n",
    ]) {
      assert.deepEqual(problemsOf(yaml, model), [], yaml);
      assert.deepEqual(problemsOf(yaml), [], yaml);
    }
  });
});
