import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";

import { MoesaicError } from "../proto/errors.js";
import { sizeOf, type Range } from "./apportion.js";
import { lower } from "./lower.js";
import { describeDummy, type ModelDescription } from "./model-description.js";
import { checkPlan } from "./plan-check.js";
import { attentionGroups, range } from "./rank-groups.js";
import type { ProgramOp, RankProgram, WeightSource } from "./rank-program.js";
import { sharesOf } from "./rank-share.js";
import { resolvePlan, type ResolvedPlan } from "./resolved-plan.js";
import type { ShardStyle } from "./shard-rules.js";
import { autoPlan, parseShardingPlan, type ShardingPlan } from "./sharding-plan.js";

const LIMITS = { maxBatchedTokens: 8, maxSequences: 4, maxSeqLen: 64, blockSize: 16, numBlocks: 20 };

interface World {
  model: ModelDescription;
  plan: ResolvedPlan;
  programs: RankProgram[];
}

/** Sizes that seldom divide. */
const models = fc
  .record({
    numKvHeads: fc.integer({ min: 1, max: 5 }),
    headsPerKvHead: fc.integer({ min: 1, max: 4 }),
    numExperts: fc.integer({ min: 2, max: 9 }),
    numBlocks: fc.integer({ min: 1, max: 11 }),
    vocabSize: fc.integer({ min: 8, max: 300 }),
    attentionBias: fc.boolean(),
    tieWordEmbeddings: fc.boolean(),
  })
  .map(({ numKvHeads, headsPerKvHead, numBlocks, ...rest }): ModelDescription => {
    const heads = { numKvHeads, numHeads: numKvHeads * headsPerKvHead, headDim: 4 };
    const sizes = { hiddenSize: 64, intermediateSize: 32 * numBlocks, expertsPerToken: 2 };
    return { ...describeDummy("gpt-oss-20b:3"), ...heads, ...sizes, ...rest };
  });

const shapes = fc.record({
  ep: fc.integer({ min: 1, max: 4 }),
  tp: fc.integer({ min: 1, max: 4 }),
  attentionTp: fc.integer({ min: 1, max: 8 }),
  attentionRanks: fc.option(fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 7 }), { nil: null, freq: 2 }),
  expertGroups: fc.option(fc.array(fc.nat(3), { minLength: 9, maxLength: 9 }), { nil: null, freq: 2 }),
  weights: fc.option(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 16, maxLength: 16 }), { nil: null }),
  replicatesHead: fc.boolean(),
});

/** Plans that are valid for their model, lowered for every rank. */
const worlds = fc
  .tuple(models, shapes)
  .map(([model, shape]): [ModelDescription, ShardingPlan] => {
    const { ep, tp, attentionTp, attentionRanks, expertGroups, weights } = shape;
    const worldSize = ep * tp;
    const byGroup = expertGroups?.slice(0, model.numExperts).map((group) => group % ep);
    const idsOf = (group: number): number[] => range(model.numExperts).filter((id) => byGroup?.[id] === group);
    const assigned = range(worldSize).map((rank): [string, number[]] => [`${rank}`, idsOf(Math.floor(rank / tp))]);
    const plan: ShardingPlan = {
      ...autoPlan(worldSize),
      attention: { tp: attentionTp, ranks: attentionRanks?.filter((rank) => rank < worldSize) ?? "auto" },
      experts: { ep, tp, assign: byGroup === undefined ? "auto" : Object.fromEntries(assigned) },
      weights: weights?.slice(0, worldSize) ?? "auto",
      shard: shape.replicatesHead ? { lm_head: "replicate" } : {},
    };
    return [model, plan];
  })
  .filter(([model, plan]) => plan.attention.ranks.length > 0 && checkPlan(plan, model).length === 0)
  .map(([model, plan]) => worldOf(model, resolvePlan(plan, model, plan.worldSize)));

function worldOf(model: ModelDescription, plan: ResolvedPlan): World {
  const options = { limits: LIMITS, precision: "exact" as const, dequantize: false };
  return { model, plan, programs: range(plan.worldSize).map((rank) => lower(model, plan, rank, options)) };
}

describe("lower, on any world", () => {
  it("puts every element of the checkpoint where it is needed, once in each group that needs it", () => {
    fc.assert(
      fc.property(worlds, (world) => {
        for (const [tensor, { size, slices }] of slicesByTensor(world)) {
          const copies = groupsNeeding(tensor, world);
          for (const ranks of copies)
            assertCovers(
              tensor,
              size,
              slices.filter(({ rank }) => ranks.includes(rank)),
              world,
            );
          const there = new Set(copies.flat());
          assert.deepEqual(
            slices.filter(({ rank }) => !there.has(rank)),
            [],
            tensor,
          );
        }
      }),
      { numRuns: 150 },
    );
  });

  it("holds as many bytes as the model has, times the groups that repeat them", () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { model, plan, programs } = world;
        if (plan.attention.tp > model.numKvHeads) return;
        const one = worldOf(model, resolvePlan("auto", model, 1));
        const copiesOf = (tensor: string): number => groupsNeeding(tensor, world).length;
        const wanted = sum(sourcesOf(one.programs[0]!).map(({ source, bytes }) => copiesOf(source.tensor) * bytes));
        assert.equal(sum(programs.flatMap(sourcesOf).map(({ bytes }) => bytes)), wanted);
      }),
      { numRuns: 100 },
    );
  });

  it("gives every head the KV head that it reads", () => {
    fc.assert(
      fc.property(worlds, ({ model, plan }) => {
        const perKvHead = model.numHeads / model.numKvHeads;
        for (const { heads, kvHeads, runsAttention } of sharesOf(model, plan)) {
          if (!runsAttention) continue;
          const ratio = sizeOf(heads) / sizeOf(kvHeads);
          assert.ok(Number.isInteger(ratio) && ratio >= 1);
          for (let head = 0; head < sizeOf(heads); head++) {
            assert.equal(kvHeads[0] + Math.floor(head / ratio), Math.floor((heads[0] + head) / perKvHead));
          }
        }
      }),
    );
  });

  it("brings every rank of a group to the same collectives in the same order", () => {
    fc.assert(
      fc.property(worlds, ({ plan, programs }) => {
        for (const opsOf of [({ ops }: RankProgram) => ops, ({ shardedOps }: RankProgram) => shardedOps ?? []]) {
          plan.attention.ranks.forEach((rank) => assert.ok(programs[rank]?.tokenOwners.includes(rank)));
          const { groups } = programs[0]!;
          groups.forEach((ranks, group) => {
            const seen = programs.map((program) => collectivesOver(opsOf(program), group).join(" "));
            for (const rank of range(plan.worldSize)) {
              assert.deepEqual(programs[rank]?.groups, groups);
              assert.equal(seen[rank], ranks.includes(rank) ? seen[ranks[0]!] : "", `rank ${rank} in group ${group}`);
            }
          });
        }
      }),
      { numRuns: 150 },
    );
  });

  it("reads only what was written, and names nothing that is not there or not used", () => {
    fc.assert(
      fc.property(worlds, ({ programs }) => programs.forEach(assertDataFlow)),
      { numRuns: 100 },
    );
  });

  it("gives every op buffers whose rows and columns fit it", () => {
    fc.assert(
      fc.property(worlds, ({ programs }) => programs.forEach(assertShapes)),
      { numRuns: 100 },
    );
  });

  it("tells every rank the heads and units of all", () => {
    fc.assert(
      fc.property(worlds, ({ programs }) => {
        const [heads, units] = [
          programs.map(({ dims }) => dims.numHeads),
          programs.map(({ dims }) => dims.intermediateSize),
        ];
        for (const { dims } of programs) assert.deepEqual([dims.rankHeads, dims.rankIntermediateSizes], [heads, units]);
      }),
      { numRuns: 50 },
    );
  });

  it("adds each bias once among the ranks that add up", () => {
    fc.assert(
      fc.property(worlds, ({ model, plan, programs }) => {
        const withBias = (ranks: readonly number[], name: string): number =>
          ranks.filter((rank) => programs[rank]?.weights.some((weight) => weight.name === `layers.1.${name}`)).length;
        for (const ranks of attentionGroups(plan)) assert.equal(withBias(ranks, "o_bias"), model.attentionBias ? 1 : 0);
        for (const { expertRanks } of programs.map(({ dims }) => dims)) {
          for (const ranks of expertRanks) assert.equal(withBias(ranks, "down_bias"), 1);
        }
      }),
    );
  });
});

describe("plans of any kind", () => {
  const auto = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | "auto"> =>
    fc.oneof({ arbitrary: fc.constant("auto" as const), weight: 4 }, { arbitrary: values, weight: 1 });
  const sizes = auto(fc.integer({ min: 1, max: 9 }));
  const styles = fc.constantFrom<ShardStyle>("replicate", "colwise", "rowwise", { by: "expert", then: "none" });
  const patterns = fc.constantFrom("layers.*.self_attn.*", "layers.*.mlp.experts", "lm_head", "layers.0.*.*", "x", "*");
  const plans = fc.record({
    worldSize: fc.integer({ min: 1, max: 9 }),
    attention: fc.record({ tp: sizes, ranks: auto(fc.array(fc.nat(9), { minLength: 1, maxLength: 9 })) }),
    experts: fc.record({
      ep: sizes,
      tp: sizes,
      assign: auto(fc.dictionary(fc.constantFrom("0", "1", "2", "01", "9999"), fc.array(fc.nat(9)))),
    }),
    tokens: fc.constantFrom("auto" as const, "replicated" as const, "sharded" as const),
    weights: auto(fc.array(fc.double({ min: 1e-30, max: 1e29, noNaN: true }), { minLength: 1, maxLength: 9 })),
    shard: fc.dictionary(patterns, styles, { maxKeys: 1 }),
  });

  it("are refused with a reason, or resolved and lowered for every rank", () => {
    let numResolved = 0;
    fc.assert(
      fc.property(models, plans, (model, written) => {
        const plan: ShardingPlan = { kind: "ShardingPlan", placeOf: () => "p.yaml", ...written };
        try {
          worldOf(model, resolvePlan(plan, model, plan.worldSize)).programs.forEach(assertShapes);
          numResolved++;
        } catch (caught) {
          assert.ok(caught instanceof MoesaicError && caught.code === "invalid_argument", String(caught));
        }
      }),
      { numRuns: 600 },
    );
    assert.ok(numResolved >= 30, `${numResolved} of 600 could be`);
  });
});

describe("lower, many ranks by hand", () => {
  const model = describeDummy("gpt-oss-20b:1");
  const namesOf = (ops: readonly ProgramOp[] | null | undefined): string[] => (ops ?? []).map(({ op }) => op);
  const worldFrom = (yaml: string): World => {
    const plan = parseShardingPlan(yaml, "p.yaml");
    return worldOf(model, resolvePlan(plan, model, plan.worldSize));
  };

  it("adds up heads and exchanges slots where tokens are replicated", () => {
    const { programs } = worldFrom("worldSize: 4\nexperts: { ep: 2, tp: 2 }\n");
    assert.deepEqual(namesOf(programs[3]?.ops), [
      ...["rope_table", "embed"],
      ...["rms_norm", "linear", "rope_kv_write", "attention", "linear", "all_reduce", "add"],
      ...["rms_norm", "router", "experts", "exchange_slots", "combine"],
      ...["gather_rows", "rms_norm", "linear", "sample"],
    ]);
    assert.deepEqual(programs[3]?.groups, [
      [0, 1, 2, 3],
      [0, 1],
      [2, 3],
    ]);
  });

  it("scatters, dispatches and collects where tokens are sharded", () => {
    const { programs } = worldFrom("worldSize: 4\nexperts: { ep: 2, tp: 2 }\n");
    assert.deepEqual(namesOf(programs[0]?.shardedOps), [
      ...["rope_table", "embed", "own_rows"],
      ...["rms_norm", "all_gather", "linear", "rope_kv_write", "attention", "linear", "reduce_scatter", "add"],
      ...["rms_norm", "router", "dispatch", "experts", "collect", "combine"],
      ...["gather_logits_rows", "rms_norm", "linear", "sample"],
    ]);
  });

  it("lets an owner with all heads project its own rows alone", () => {
    const { programs } = worldFrom("worldSize: 2\nexperts: { ep: 2 }\n");
    assert.deepEqual(namesOf(programs[0]?.shardedOps).slice(3, 10), [
      ...["rms_norm", "all_gather", "linear", "rope_kv_write", "attention", "own_rows", "linear"],
    ]);
    assert.ok(!namesOf(programs[0]?.ops).includes("all_reduce"));
  });

  it("gives an expert-only rank the ops of its experts and of its rows of the head", () => {
    const { programs } = worldFrom("worldSize: 3\nattention: { ranks: [0, 2] }\nexperts: { ep: 3 }\n");
    assert.deepEqual(namesOf(programs[1]?.shardedOps), [
      ...["dispatch", "experts", "collect"],
      ...["gather_logits_rows", "rms_norm", "linear", "sample"],
    ]);
    assert.deepEqual(
      programs.map(({ ops }) => ops.length),
      [0, 0, 0],
    );
    assert.deepEqual(programs[1]?.tokenOwners, [0, 2]);
    assert.deepEqual([programs[1]?.dims.numHeads, programs[1]?.dims.numKvHeads], [0, 0]);
    assert.deepEqual(programs[0]?.groups, [
      [0, 1, 2],
      [0, 2],
    ]);
  });

  it("has no op for experts on a rank without any", () => {
    const all = JSON.stringify(range(32));
    const { programs } = worldFrom(`worldSize: 2\nexperts: { ep: 2, assign: { 0: [], 1: ${all} } }\n`);
    assert.ok(!namesOf(programs[0]?.ops).includes("experts"));
    assert.ok(!programs[0]?.weights.some(({ name }) => /gate_up|down/.test(name)));
    assert.deepEqual(programs[0]?.dims.expertRanks[5], [1]);
  });

  it("names the experts of a list in its sources, in the order of the local experts", () => {
    const even = JSON.stringify(range(16).map((index) => 2 * index));
    const odd = JSON.stringify(range(16).map((index) => 31 - 2 * index));
    const { programs } = worldFrom(`worldSize: 2\nexperts: { ep: 2, assign: { 0: ${even}, 1: ${odd} } }\n`);
    const gateUp = programs[1]?.weights.find(({ name }) => name === "layers.0.gate_up");
    assert.deepEqual(gateUp?.sources[0]?.experts, programs[1]?.dims.localExperts);
    assert.deepEqual(programs[1]?.dims.localExperts.slice(0, 3), [1, 3, 5]);
  });
});

// ---- coverage ------------------------------------------------------------------------------------------------------

interface Slice {
  rank: number;
  source: WeightSource;
}

/** By tensor and by what it is for: a tied head is the embedding too. */
function slicesByTensor({ programs }: World): Map<string, { size: number; slices: Slice[] }> {
  const tensors = new Map<string, { size: number; slices: Slice[] }>();
  for (const { rank, weights } of programs) {
    for (const { name, sources } of weights) {
      for (const source of sources) {
        const key = name === "lm_head" ? "lm_head.weight" : source.tensor;
        const entry = tensors.get(key) ?? { size: source.shape.reduce((a, b) => a * b, 1), slices: [] };
        entry.slices.push({ rank, source });
        tensors.set(key, entry);
      }
    }
  }
  return tensors;
}

/** The sets of ranks that each must hold all of a tensor between them. */
function groupsNeeding(tensor: string, { plan }: World): number[][] {
  const all = range(plan.worldSize);
  if (/self_attn\.(q|k|v|o)_proj|sinks/.test(tensor)) return attentionGroups(plan);
  if (tensor === "lm_head.weight") return plan.shard["lm_head"] === "replicate" ? all.map((rank) => [rank]) : [all];
  if (tensor.includes(".experts.")) return [all];
  return (tensor === "model.norm.weight" ? all : plan.attention.ranks).map((rank) => [rank]);
}

/** Disjoint slices as large as the tensor cover it once. KV heads may be repeated where there are more ranks than those. */
function assertCovers(tensor: string, size: number, slices: readonly Slice[], { model, plan }: World): void {
  const isRepeated = /[kv]_proj/.test(tensor) && plan.attention.tp > model.numKvHeads;
  const distinct = isRepeated
    ? [...new Map(slices.map((slice) => [JSON.stringify(slice.source.rows), slice])).values()]
    : slices;
  distinct.forEach(({ source }, index) => {
    for (const other of distinct.slice(index + 1)) assert.equal(common(source, other.source), 0, tensor);
  });
  assert.equal(sum(distinct.map(({ source }) => common(source, source))), size, tensor);
}

function common(left: WeightSource, right: WeightSource): number {
  const numExperts = left.experts.filter((expert) => right.experts.includes(expert)).length;
  return numExperts * overlap(left.rows, right.rows) * overlap(left.cols, right.cols);
}

function overlap(left: Range, right: Range): number {
  return Math.max(0, Math.min(left[1], right[1]) - Math.max(left[0], right[0]));
}

function sourcesOf({ weights }: RankProgram): { source: WeightSource; bytes: number }[] {
  return weights.flatMap(({ name, sources, sourceDtype }) =>
    sources.map((source) => ({
      source: name === "lm_head" ? { ...source, tensor: "lm_head.weight" } : source,
      bytes: common(source, source) * (sourceDtype === "bf16" ? 2 : 17 / 32),
    })),
  );
}

// ---- ops -----------------------------------------------------------------------------------------------------------

function collectivesOver(ops: readonly ProgramOp[], group: number): string[] {
  const isAttention = (op: ProgramOp): boolean => op.op === "rope_kv_write" || op.op === "attention";
  return ops.flatMap((op) => (!isAttention(op) && "group" in op && op.group === group ? [op.op] : []));
}

/** Rows that only ranks with tokens of their own fill, and rows that nobody sends to a rank without experts. */
const UNWRITTEN = new Set(["h_own", "x_own", "expert_ids_own", "y_received"]);
const IN_PLACE = new Set(["all_reduce", "exchange_slots"]);

function assertDataFlow({ weights, buffers, ops, shardedOps }: RankProgram): void {
  const names = new Set([...weights, ...buffers].map(({ name }) => name));
  const bufferNames = new Set(buffers.map(({ name }) => name));
  const used = new Set<string>();
  for (const list of [ops, shardedOps ?? []]) {
    const written = new Set<string>(UNWRITTEN);
    for (const op of list) {
      for (const [field, name] of fieldsOf(op)) {
        used.add(name);
        assert.ok(names.has(name), `${op.op}.${field}: ${name}`);
        const isRead = bufferNames.has(name) && !isOutput(op, field) && op.op !== "exchange_slots";
        if (isRead) assert.ok(written.has(name), `${op.op} reads ${name} too early`);
      }
      for (const [field, name] of fieldsOf(op)) if (isOutput(op, field) || IN_PLACE.has(op.op)) written.add(name);
    }
  }
  assert.deepEqual(
    [...names].filter((name) => !used.has(name)),
    [],
  );
}

function fieldsOf(op: ProgramOp): [string, string][] {
  return Object.entries(op).filter((entry): entry is [string, string] => {
    return entry[0] !== "op" && typeof entry[1] === "string";
  });
}

/** What an op writes without reading it first. */
function isOutput(op: ProgramOp, field: string): boolean {
  if (op.op === "router") return field === "expertIds" || field === "expertWeights";
  if (op.op === "linear") return field === "out" && !op.accumulate;
  if (op.op === "add" || op.op === "combine") return false;
  return field === "out" || field === "outIds";
}

/** From which rows to which; the rest keep theirs. */
const ROWS: Readonly<Record<string, [string, string]>> = {
  gather_rows: ["tokens", "logits"],
  own_rows: ["tokens", "own"],
  reduce_scatter: ["tokens", "own"],
  all_gather: ["own", "tokens"],
  dispatch: ["own", "received"],
  collect: ["received", "own"],
  gather_logits_rows: ["own", "logits"],
};

function assertShapes({ weights, buffers, ops, shardedOps }: RankProgram): void {
  const bufferOf = new Map(buffers.map((buffer) => [buffer.name, buffer]));
  const weightOf = new Map(weights.map((weight) => [weight.name, weight]));
  for (const op of [...ops, ...(shardedOps ?? [])]) {
    if (!("x" in op) || !("out" in op)) continue;
    const [x, out] = [bufferOf.get(op.x)!, bufferOf.get(op.out)!];
    assert.deepEqual([x.rows, out.rows], ROWS[op.op] ?? [x.rows, x.rows], `${op.op} ${op.x} ${op.out}`);
    const keepsCols = !["linear", "experts", "combine"].includes(op.op);
    if (keepsCols) assert.equal(x.cols, out.cols, op.op);
    if (op.op === "linear") {
      const { rows, cols } = weightOf.get(op.weight)!;
      assert.deepEqual([cols, rows], [x.cols, out.cols], op.weight);
      if (op.bias !== null) assert.equal(weightOf.get(op.bias)?.rows, rows, op.bias);
    }
    if (op.op === "experts") {
      const [gateUp, down] = [weightOf.get(op.gateUp)!, weightOf.get(op.down)!];
      assert.deepEqual([gateUp.cols, gateUp.rows, down.rows], [x.cols, 2 * down.cols, x.cols]);
      assert.equal(down.cols % 32, 0);
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
