import type { ModelDescription } from "./model-description.js";
import { nearestName } from "./nearest-name.js";
import { shown } from "./plain-value.js";
import { allowsStyle, autoStyle, isPattern, moduleNames, patternOf } from "./shard-rules.js";
import type { ShardingPlan } from "./sharding-plan.js";
import { dotted } from "./yaml-schema.js";
import type { YamlPath } from "./yaml-source.js";

/**
 * Every reason why a plan cannot be carried out for a model: lines `FILE:line:column: path: …`, none when it can.
 * Whether the ranks are there is not asked.
 */
export function checkPlan(plan: ShardingPlan, model: ModelDescription): string[] {
  const problems: string[] = [];
  const require: Require = (holds, path, sentence) => {
    if (!holds) problems.push(`${plan.placeOf(path)}: ${dotted(path)}: ${sentence()}`);
  };
  checkExperts(plan, model, require);
  checkAttention(plan, model, require);
  if (plan.experts.assign !== "auto") checkAssignment(plan, plan.experts.assign, model, require);
  const { weights, worldSize } = plan;
  const hasWeights = weights === "auto" || weights.length === worldSize;
  require(hasWeights, ["weights"], () => `expected ${worldSize} numbers, one a rank, got ${weights.length}`);
  const travels = plan.tokens !== "sharded" || expertCuts(plan).ep > 1;
  require(travels, ["tokens"], () =>
    "sharded needs experts.ep over 1: else no token has anywhere to go; write replicated");
  checkPatterns(plan, model, require);
  return problems;
}

/** Expert groups and cuts inside an expert; what is open follows from the number of ranks, whole experts first. */
export function expertCuts(plan: ShardingPlan): { ep: number; tp: number } {
  const { ep, tp } = plan.experts;
  if (ep !== "auto") return { ep, tp: tp === "auto" ? plan.worldSize / ep : tp };
  return { ep: plan.worldSize / (tp === "auto" ? 1 : tp), tp: tp === "auto" ? 1 : tp };
}

export function attentionRanks(plan: ShardingPlan): number[] {
  if (plan.attention.ranks !== "auto") return plan.attention.ranks;
  return Array.from({ length: plan.worldSize }, (_, rank) => rank);
}

/** Attention is cut as the experts are, unless the plan says otherwise. */
export function attentionCuts(plan: ShardingPlan): number {
  return plan.attention.tp === "auto" ? expertCuts(plan).tp : plan.attention.tp;
}

type Require = (holds: boolean, path: YamlPath, sentence: () => string) => void;

function checkExperts(plan: ShardingPlan, model: ModelDescription, require: Require): void {
  const { ep, tp } = expertCuts(plan);
  const numBlocks = model.intermediateSize / 32;
  const isWhole = Number.isInteger(ep) && Number.isInteger(tp) && ep * tp === plan.worldSize;
  require(isWhole, ["experts"], () => `expected ep x tp = worldSize (${plan.worldSize}), got ${shownCuts(plan)}`);
  require(ep <= model.numExperts, ["experts", "ep"], () =>
    `expected at most ${model.numExperts}, the experts there are, got ${ep}`);
  require(tp <= numBlocks, ["experts", "tp"], () => {
    return `expected at most ${numBlocks}: an expert's ${model.intermediateSize} units are cut on MXFP4 blocks of 32, got ${tp}`;
  });
}

function shownCuts(plan: ShardingPlan): string {
  return `ep ${plan.experts.ep} x tp ${plan.experts.tp}`;
}

function checkAttention(plan: ShardingPlan, model: ModelDescription, require: Require): void {
  const [tp, ranks] = [attentionCuts(plan), attentionRanks(plan)];
  const { numHeads, numKvHeads } = model;
  const path = ["attention", "tp"];
  // Experts that cannot be cut this way have been reported; their fraction says nothing more here.
  if (!Number.isInteger(tp)) return;
  require(numHeads % tp === 0, path, () => `expected a divisor of the ${numHeads} heads, got ${tp}`);
  const cutsKv = numKvHeads % tp === 0 || tp % numKvHeads === 0;
  require(cutsKv, path, () => `expected a divisor or a multiple of the ${numKvHeads} KV heads, got ${tp}`);
  require(ranks.length % tp === 0, path, () => `expected a divisor of the ${ranks.length} attention ranks, got ${tp}`);
  ranks.forEach((rank, index) => {
    const at = ["attention", "ranks", index];
    require(rank < plan.worldSize, at, () => `expected a rank below worldSize (${plan.worldSize}), got ${rank}`);
    require(ranks.indexOf(rank) === index, at, () => `rank ${rank} is given twice`);
  });
}

/** Ranks g * tp … g * tp + tp - 1 are expert group g: each holds a cut of the same experts. */
function checkAssignment(
  plan: ShardingPlan,
  assign: Record<string, number[]>,
  model: ModelDescription,
  require: Require,
): void {
  const { tp } = expertCuts(plan);
  const groupsOf = new Map<number, Set<number>>();
  for (const [name, ids] of Object.entries(assign)) {
    const [rank, at] = [Number(name), ["experts", "assign", name]];
    require(rank < plan.worldSize, at, () => `expected a rank below worldSize (${plan.worldSize}), got ${name}`);
    require(new Set(ids).size === ids.length, at, () => "an expert is given twice");
    const group = Math.floor(rank / tp);
    const first = assign[String(group * tp)] ?? [];
    require(sameSet(first, ids), at, () =>
      `expected the experts of rank ${group * tp}: they cut the same experts ${tp} ways`);
    for (const id of ids) {
      require(id < model.numExperts, at, () => `expected expert ids below ${model.numExperts}, got ${id}`);
      groupsOf.set(id, (groupsOf.get(id) ?? new Set()).add(group));
    }
  }
  const missing = range(model.numExperts).filter((id) => !groupsOf.has(id));
  const doubled = [...groupsOf].flatMap(([id, groups]) => (groups.size > 1 ? [id] : []));
  require(missing.length === 0, ["experts", "assign"], () => `no rank has experts ${shown(missing)}`);
  require(doubled.length === 0, ["experts", "assign"], () => `several groups have experts ${shown(doubled)}`);
  const silent = range(plan.worldSize).filter((rank) => assign[String(rank)] === undefined);
  require(silent.length === 0, ["experts", "assign"], () =>
    `ranks ${shown(silent)} are not named; write [] for no experts`);
}

function checkPatterns(plan: ShardingPlan, model: ModelDescription, require: Require): void {
  const modules = moduleNames(model);
  for (const [pattern, style] of Object.entries(plan.shard)) {
    const at = ["shard", pattern];
    require(isPattern(pattern), at, () => "expected names between dots, each with at most one * or {a,b}");
    if (!isPattern(pattern)) continue;
    const regExp = patternOf(pattern);
    const matched = modules.filter((name) => regExp.test(name));
    require(matched.length > 0, at, () => `matches no module of the model${meant(pattern, modules)}`);
    const refusing = matched.find((name) => !allowsStyle(name, style));
    require(refusing === undefined, at, () => {
      return `expected ${shown(autoStyle(refusing ?? ""))} or replicate for ${refusing}, got ${shown(style)}`;
    });
  }
}

/** Names differ in their layer, so the comparison is made with the star in its place. */
function meant(pattern: string, modules: readonly string[]): string {
  const nearest = nearestName(pattern, new Set(modules.map((name) => name.replace(/\.\d+\./, ".*."))));
  return nearest === null ? "" : `; did you mean ${nearest}?`;
}

function sameSet(left: readonly number[], right: readonly number[]): boolean {
  const set = new Set(left);
  return left.length === right.length && right.every((id) => set.has(id));
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}
