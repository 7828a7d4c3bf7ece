import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";

import { MoesaicError } from "../proto/errors.js";
import { NO_OVERHEADS } from "./machine-profile.js";
import { describeDummy } from "./model-description.js";
import { checkPlan } from "./plan-check.js";
import { resolvePlan } from "./resolved-plan.js";
import { styleReader } from "./shard-rules.js";
import { parseShardingPlan, planFromFlags, PRESET_NAMES } from "./sharding-plan.js";

const MODEL = describeDummy("gpt-oss-20b:2");

describe("resolvePlan", () => {
  it("puts everything on one rank by itself", () => {
    const plan = resolvePlan("auto", MODEL, 1);
    assert.deepEqual(plan.attention, { tp: 1, ranks: [0] });
    assert.deepEqual(plan.experts.assign, [Array.from({ length: 32 }, (_, expert) => expert)]);
    assert.equal(plan.tokens, "replicated");
    assert.equal(plan.shard["lm_head"], "colwise");
  });

  it("gives each preset the plan that auto gives its model", () => {
    for (const name of PRESET_NAMES) {
      const model = describeDummy(name.replace(/-\d+ranks?$/, ""));
      const plan = parseShardingPlan(readFileSync(`plans/presets/${name}.yaml`, "utf8"), name);
      const { choices: _, ...preset } = resolvePlan(plan, model, plan.worldSize);
      const { choices: why, ...auto } = resolvePlan("auto", model, plan.worldSize);
      assert.deepEqual(preset, auto, name);
      assert.equal(why.length, plan.worldSize === 1 ? 0 : 2, name);
    }
  });

  it("has a preset for every model on 1, 2, 4 and 8 ranks, and no file more", () => {
    const files = readdirSync("plans/presets").map((file) => file.replace(/\.yaml$/, ""));
    assert.deepEqual(files.toSorted(), [...PRESET_NAMES].toSorted());
  });

  it("chooses the layout by cost, and says against what", () => {
    const slowLinks = {
      readBytesPerSecond: 20e9,
      flopsPerSecond: 1e15,
      attentionFlopsPerSecond: 1e15,
      linkLatencyUs: 5,
      linkBytesPerSecond: 50e6,
      ...NO_OVERHEADS,
      transport: "tcp",
    } as const;
    const model = describeDummy("gpt-oss-20b");
    assert.equal(resolvePlan("auto", model, 4).experts.tp, 4);
    const { experts, choices } = resolvePlan("auto", model, 4, slowLinks);
    assert.deepEqual([experts.ep, experts.tp], [4, 1], "whole experts send least");
    assert.match(choices[0]?.why ?? "", /^predicted \S+ ms and \S+ ms for steps of 1 and 64 tokens; next is /);
  });

  it("leaves a layout alone that is written", () => {
    const plan = resolvePlan(parseShardingPlan("worldSize: 4\nexperts: { ep: 4 }\n", "p.yaml"), MODEL, 4);
    assert.deepEqual([plan.experts.ep, plan.attention.tp], [4, 1]);
    assert.deepEqual(
      plan.choices.map(({ name }) => name),
      ["tokens"],
    );
  });

  it("spreads experts unevenly where they do not divide", () => {
    const plan = resolvePlan(parseShardingPlan("worldSize: 3\nexperts: { ep: 3 }\n", "p.yaml"), MODEL, 3);
    assert.deepEqual(
      plan.experts.assign.map((ids) => [ids[0], ids.length]),
      [
        [0, 11],
        [11, 11],
        [22, 10],
      ],
    );
  });

  it("gives a group of experts what its ranks weigh together", () => {
    const yaml = "worldSize: 4\nexperts: { ep: 2, tp: 2 }\nweights: [3, 3, 1, 1]\n";
    const plan = resolvePlan(parseShardingPlan(yaml, "p.yaml"), MODEL, 4);
    assert.deepEqual(
      plan.experts.assign.map((ids) => ids.length),
      [24, 24, 8, 8],
    );
  });

  it("shards tokens where some ranks run experts only", () => {
    const yaml = "worldSize: 3\nattention: { ranks: [1, 0] }\nexperts: { ep: 3 }\n";
    const plan = resolvePlan(parseShardingPlan(yaml, "p.yaml"), MODEL, 3);
    assert.deepEqual(plan.attention.ranks, [0, 1]);
    assert.deepEqual([plan.tokens, plan.shardedFromTokens], ["sharded", 1]);
    assert.match(plan.choices[0]?.why ?? "", /1 of the ranks run experts only/);
  });

  it("reads --tp and --ep as a plan whose problems name the flags", () => {
    const plan = resolvePlan(planFromFlags(2, 2, "sharded"), MODEL, 4);
    assert.deepEqual([plan.attention.tp, plan.experts.ep, plan.experts.tp, plan.tokens], [2, 2, 2, "sharded"]);
    assert.throws(() => resolvePlan(planFromFlags(1, 64), MODEL, 64), /--ep: experts\.ep: expected at most 32/);
    assert.throws(() => resolvePlan(planFromFlags(1, 1, "sharded"), MODEL, 1), /--tokens-placement: tokens: sharded/);
  });

  it("cuts experts and attention as --tp 2 --ep 2 means it", () => {
    const plan = resolvePlan(parseShardingPlan("worldSize: 4\nexperts: { ep: 2, tp: 2 }\n", "p.yaml"), MODEL, 4);
    assert.equal(plan.attention.tp, 2);
    assert.deepEqual(plan.experts.assign[0], plan.experts.assign[1]);
    assert.deepEqual(
      plan.experts.assign.map((ids) => ids[0]),
      [0, 0, 16, 16],
    );
  });

  it("lets a plan's own styles override", () => {
    const plan = resolvePlan(parseShardingPlan("worldSize: 1\nshard: { lm_head: replicate }\n", "p.yaml"), MODEL, 1);
    assert.equal(styleReader(plan.shard)("lm_head"), "replicate");
    assert.equal(styleReader(plan.shard)("layers.0.self_attn.o_proj"), "rowwise");
  });

  it("takes the last of several patterns that match, even where auto has the same", () => {
    const shard = '{ "layers.*.self_attn.*": replicate, "layers.*.self_attn.o_proj": rowwise }';
    const yaml = `worldSize: 2\nexperts: { ep: 2 }\nshard: ${shard}\n`;
    const [problem = ""] = checkPlan(parseShardingPlan(yaml, "p.yaml"), MODEL);
    assert.match(problem, /shard: q, k, v, o and sinks of all layers are cut together/);
  });

  it("keeps heads whole where shard replicates them", () => {
    const yaml = 'worldSize: 2\nshard: { "layers.*.self_attn.*": replicate }\n';
    assert.equal(resolvePlan(parseShardingPlan(yaml, "p.yaml"), MODEL, 2).attention.tp, 1);
  });

  it("keeps experts whole where shard says so", () => {
    const yaml = "worldSize: 2\nshard: { layers.*.mlp.experts: { by: expert, then: none } }\n";
    const { ep, tp } = resolvePlan(parseShardingPlan(yaml, "p.yaml"), MODEL, 2).experts;
    assert.deepEqual([ep, tp], [2, 1]);
  });

  it("refuses a plan for another number of ranks", () => {
    const plan = parseShardingPlan("worldSize: 4\n", "p.yaml");
    assert.throws(
      () => resolvePlan(plan, MODEL, 1),
      /p\.yaml:1:12: worldSize: expected 1, the workers.* ranks of one replica, got 4/,
    );
  });
});

describe("checkPlan", () => {
  it("finds nothing wrong with the plan of the handbook", () => {
    const yaml = `kind: ShardingPlan
worldSize: 4
attention: { tp: 2 }
experts: { ep: 2, tp: 2, assign: auto }
tokens: replicated
weights: auto
shard:
  layers.*.self_attn.{q,k,v}_proj: colwise
  layers.*.self_attn.sinks: local_colwise
  layers.*.self_attn.o_proj: rowwise
  layers.*.mlp.router: replicate
  layers.*.mlp.experts: { by: expert, then: intermediate }
  lm_head: colwise
`;
    assert.deepEqual(checkPlan(parseShardingPlan(yaml, "p.yaml"), MODEL), []);
  });

  it("reports everything at once, each with its place", () => {
    const yaml = "worldSize: 4\nattention: { tp: 3 }\nexperts: { ep: 3, tp: 2 }\nweights: [1]\n";
    assert.deepEqual(checkPlan(parseShardingPlan(yaml, "p.yaml"), MODEL), [
      "p.yaml:3:10: experts: expected ep x tp = worldSize (4), got ep 3 x tp 2",
      "p.yaml:2:18: attention.tp: expected a divisor of the 4 attention ranks, got 3",
      "p.yaml:4:10: weights: expected 4 numbers, one a rank, got 1",
    ]);
  });

  const even = JSON.stringify(Array.from({ length: 16 }, (_, index) => 2 * index));
  const odd = JSON.stringify(Array.from({ length: 16 }, (_, index) => 2 * index + 1));

  const all = JSON.stringify(Array.from({ length: 32 }, (_, index) => index));
  const manyPatterns = Array.from({ length: 300 }, (_, index) => `a${index}: replicate`).join(", ");

  it("accepts experts assigned by hand", () => {
    const yaml = `worldSize: 2\nexperts: { ep: 2, assign: { 0: ${even}, 1: ${odd} } }\n`;
    assert.deepEqual(resolvePlan(parseShardingPlan(yaml, "p.yaml"), MODEL, 2).experts.assign[1]?.[0], 1);
  });

  const bad: [yaml: string, wanted: RegExp][] = [
    ["worldSize: 64\nexperts: { ep: 64 }", /experts\.ep: expected at most 32, the experts there are, got 64/],
    [
      "worldSize: 96\nexperts: { tp: 96 }\nattention: { tp: 1 }",
      /experts\.tp: expected at most 90: .* blocks of 32, got 96/,
    ],
    [
      "worldSize: 32\nexperts: { tp: 32 }\nattention: { tp: 32, ranks: [0, 1] }",
      /attention\.tp: expected a divisor of the 2 attention ranks/,
    ],
    [
      "worldSize: 2\nattention: { ranks: [0, 2] }",
      /attention\.ranks\[1\]: expected a rank below worldSize \(2\), got 2/,
    ],
    ["worldSize: 2\nattention: { ranks: [1, 1] }", /attention\.ranks\[1\]: rank 1 is given twice/],
    ["worldSize: 1\ntokens: sharded", /tokens: sharded needs several ranks/],
    [
      "worldSize: 4\nattention: { ranks: [0, 1] }\nexperts: { ep: 4 }\ntokens: replicated",
      /tokens: replicated needs attention on every rank, ranks \[2,3\] have none; write sharded or auto/,
    ],
    ["worldSize: 128\nattention: { tp: 128 }\nexperts: { tp: 4 }", /attention\.tp: expected at most 64, the heads/],
    [
      "worldSize: 2\nexperts: { tp: 2 }\nshard: { layers.*.mlp.experts: { by: expert, then: none } }",
      /experts\.tp: expected 1, since shard leaves experts whole, got 2/,
    ],
    [
      'worldSize: 2\nattention: { tp: 2 }\nshard: { "layers.*.self_attn.*": replicate }',
      /attention\.tp: expected 1, since shard replicates the heads, got 2/,
    ],
    [
      "worldSize: 2\nshard: { layers.*.mlp.experts: replicate }",
      /shard: each expert is computed by one group of ranks/,
    ],
    ["worldSize: 2\nshard: { layers.0.mlp.experts: replicate }", /shard: the experts of all layers are cut alike/],
    [
      `worldSize: 2\nattention: { ranks: [0] }\nexperts: { ep: 2, assign: { 0: ${all}, 1: [] } }`,
      /experts\.assign: ranks \[1\] have neither attention nor experts/,
    ],
    [`worldSize: 1\nshard: { ${manyPatterns} }`, /shard: expected at most 256 lines, got 300/],
    [`worldSize: 2\nexperts: { ep: 2, assign: { 0: ${even}, 1: ${even} } }`, /no rank has experts \[1,3,5/],
    [`worldSize: 2\nexperts: { ep: 2, assign: { 0: ${even}, 1: ${even} } }`, /several groups have experts \[0,2,4/],
    [`worldSize: 2\nexperts: { ep: 2, assign: { 0: ${even} } }`, /ranks \[1\] are not named/],
    [
      `worldSize: 2\nexperts: { ep: 2, assign: { 0: ${even}, 3: ${odd} } }`,
      /experts\.assign\.3: expected a rank below worldSize/,
    ],
    [
      `worldSize: 2\nexperts: { tp: 2, assign: { 0: ${even}, 1: ${odd} } }`,
      /experts\.assign\.1: expected the experts of rank 0/,
    ],
    ["worldSize: 1\nexperts: { assign: { 0: [0, 0] } }", /experts\.assign\.0: an expert is given twice/],
    ["worldSize: 1\nexperts: { assign: { 0: [99] } }", /expected expert ids below 32, got 99/],
    [
      "worldSize: 1\nshard: { layers.*.mlp.ruter: replicate }",
      /matches no module of the model; did you mean layers\.\*\.mlp\.router\?/,
    ],
    ["worldSize: 1\nshard: { layers.9.mlp.router: replicate }", /shard\.layers\.9\.mlp\.router: matches no module/],
    [
      "worldSize: 1\nshard: { lm_head: rowwise }",
      /shard\.lm_head: expected "colwise" or replicate for lm_head, got "rowwise"/,
    ],
    [
      "worldSize: 1\nshard: { layers.*.self_attn.o_proj: colwise }",
      /expected "rowwise" or replicate for layers\.0\.self_attn\.o_proj/,
    ],
    ['worldSize: 1\nshard: { "(a+)+$": replicate }', /expected names between dots/],
    ['worldSize: 1\nshard: { "a**": replicate }', /expected names between dots/],
  ];
  for (const [yaml, wanted] of bad) {
    it(`refuses ${yaml.replaceAll("\n", ", ").slice(0, 90)}: ${wanted.source.slice(0, 30)}`, () => {
      assert.match(checkPlan(parseShardingPlan(yaml, "p.yaml"), MODEL).join("\n"), wanted);
    });
  }
});

describe("parseShardingPlan", () => {
  const bad: [yaml: string, wanted: RegExp][] = [
    ["kind: ShardingPlan", /worldSize: expected a whole number from 1 to 1024, it is missing/],
    ["kind: Cluster\nworldSize: 1", /kind: expected ShardingPlan, got "Cluster"/],
    ["worldSize: 1\nexperts: { ep: 0 }", /experts\.ep: expected auto or a whole number/],
    ["worldSize: 1\nexperts: { assign: { a: [0] } }", /experts\.assign: expected auto or expert ids by rank/],
    ["worldSize: 1\nattention: { ranks: [] }", /attention\.ranks: expected auto or a list of ranks/],
    ["worldSize: 1\nweights: [0]", /weights: expected auto or one number above 0/],
    ["worldSize: 1\ntokens: both", /tokens: expected auto, replicated or sharded/],
    ["worldSize: 1\nshard: { lm_head: diagonal }", /shard\.lm_head: expected colwise, .*got "diagonal"/],
    ["worldSize: 1\nshard: { lm_head: { by: expert, than: none } }", /shard\.lm_head: expected colwise/],
    ["worldSize: 1\nattention: { tp: 1, rank: [0] }", /attention\.rank: no such key; did you mean ranks\?/],
  ];
  for (const [yaml, wanted] of bad) {
    it(`refuses ${yaml.replaceAll("\n", ", ")}`, () => {
      assert.throws(
        () => parseShardingPlan(yaml, "p.yaml"),
        (caught) => caught instanceof MoesaicError && caught.code === "invalid_argument" && wanted.test(caught.message),
      );
    });
  }
});
