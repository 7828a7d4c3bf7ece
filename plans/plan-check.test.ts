import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeDummy } from "./model-description.js";
import { isMapping } from "./plain-value.js";
import { checkPlan, planProblems } from "./plan-check.js";
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

describe("planProblems", () => {
  const model = describeDummy("gpt-oss-20b");

  it("says what is wrong with the rest of a plan of which a part cannot be read", () => {
    const yaml =
      "worldSize: 64\nexperts: { ep: 64, tp: x }\nattention: { tp: 2, ranks: [0, 99], rank: [1] }\n" +
      "tokns: sharded\nweights: [1, 2]\nshard: { lm_head: diagonal, layers.*.mlp.ruter: replicate }\n";
    assert.deepEqual(planProblems(yaml, "p.yaml", model), [
      "p.yaml:3:37: attention.rank: no such key; did you mean ranks?",
      'p.yaml:2:24: experts.tp: expected auto or a whole number from 1 to 1024, got "x"',
      'p.yaml:6:19: shard.lm_head: expected colwise, rowwise, local_colwise, replicate or { by: expert, then: intermediate | none }, got "diagonal"',
      "p.yaml:4:1: tokns: no such key; did you mean tokens?",
      "p.yaml:6:49: shard.layers.*.mlp.ruter: matches no module of the model; did you mean layers.*.mlp.router?",
      "p.yaml:2:16: experts.ep: expected at most 32, the experts there are, got 64",
      "p.yaml:3:32: attention.ranks[1]: expected a rank below worldSize (64), got 99",
      "p.yaml:5:10: weights: expected 64 numbers, one a rank, got 2",
    ]);
  });

  it("says nothing but that it is no plan of what is no mapping", () => {
    assert.deepEqual(planProblems("- 1\n", "p.yaml", model), ["p.yaml:1:1: the document: expected a mapping, got [1]"]);
  });

  const all = Array.from({ length: 32 }, (_, id) => id);
  const good: Record<string, object | number | string>[] = [
    { worldSize: 64, experts: { ep: 32, tp: 2 }, attention: { tp: 64 }, weights: Array.from({ length: 64 }, () => 1) },
    { worldSize: 64, attention: { ranks: [0, 1, 2], tp: 3 }, tokens: "sharded" },
    { worldSize: 6, experts: { tp: 3 }, attention: { ranks: [3, 4, 5] } },
    { worldSize: 3, experts: { tp: 3 }, attention: { tp: 1 }, shard: { "layers.*.self_attn.*": "replicate" } },
    { worldSize: 3, experts: { tp: 3 }, shard: { "layers.*.self_attn.*": "replicate" } },
    { worldSize: 2, experts: { assign: { 0: all.slice(8), 1: all.slice(0, 8) } }, tokens: "replicated" },
    { worldSize: 4, experts: { ep: 4 }, shard: { "layers.*.mlp.experts": { by: "expert", then: "none" } } },
  ];
  for (const plan of good) {
    const yaml = JSON.stringify(plan);
    it(`blames nothing else for a part that cannot be read or is misspelt: ${yaml.slice(0, 80)}`, () => {
      assert.deepEqual(planProblems(yaml, "p.yaml", model), []);
      for (const path of partsOf(plan)) {
        for (const broken of [withBroken(plan, path), withMisspelt(plan, path)]) {
          const problems = planProblems(JSON.stringify(broken), "p.yaml", model);
          const name = path.join(".");
          const others = problems.filter(
            (problem) => !problem.includes(` ${name}`) && !problem.includes(": worldSize:"),
          );
          assert.deepEqual(others, [], JSON.stringify(broken));
          assert.ok(problems.length > 0, JSON.stringify(broken));
        }
      }
    });
  }
});

/** Paths of all that is written, mappings and what is in them. */
function partsOf(plan: Record<string, unknown>): string[][] {
  return Object.entries(plan).flatMap(([key, value]) => [
    [key],
    ...(isMapping(value) ? Object.keys(value).map((inner) => [key, inner]) : []),
  ]);
}

function withBroken(plan: object, path: string[]): object {
  const [key = "", inner] = path;
  return { ...plan, [key]: inner === undefined ? "?" : { ...Object(Reflect.get(plan, key)), [inner]: "?" } };
}

/** As `attention: { tp_: 2 }`. */
function withMisspelt(plan: object, [key = "", inner]: string[]): object {
  const rename = (value: object, name: string): object =>
    Object.fromEntries(Object.entries(value).map(([other, kept]) => [other === name ? `${name}_` : other, kept]));
  return inner === undefined ? rename(plan, key) : { ...plan, [key]: rename(Reflect.get(plan, key), inner) };
}
