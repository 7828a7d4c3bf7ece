import { attentionRanks, layoutsOf, writtenLayout, type Layout } from "./layouts.js";
import type { ModelDescription } from "./model-description.js";
import { nearestName } from "./nearest-name.js";
import { shown } from "./plain-value.js";
import { range } from "./rank-groups.js";
import {
  allowsStyle,
  attentionStyle,
  autoStyle,
  expertStyle,
  isPattern,
  moduleNames,
  patternOf,
} from "./shard-rules.js";
import { readPlanMapping, type PlanPart, type ShardingPlan } from "./sharding-plan.js";
import { dotted } from "./yaml-schema.js";
import { parseYaml, type YamlPath } from "./yaml-source.js";

/**
 * Every problem of a plan file that can be known: with what is written, and with what it asks of the model. What follows from
 * a part that could not be read is not said.
 * @param fileName as it is to stand in the problems
 * @throws MoesaicError invalid_argument where the text is no YAML
 */
export function planProblems(yaml: string, fileName: string, model: ModelDescription | null): string[] {
  const { plan, problems, unread } = readPlanMapping(parseYaml(yaml, fileName), []);
  return [...problems, ...checkPlan(plan, model, unread)];
}

/**
 * Every reason why a plan cannot be carried out for a model: lines `FILE:line:column: path: …`, none when it can.
 * Whether the ranks are there is not asked.
 * @param model null: what can be said without one
 * @param unread parts of which nothing is known
 */
export function checkPlan(
  plan: ShardingPlan,
  model: ModelDescription | null,
  unread: ReadonlySet<PlanPart> = new Set(),
): string[] {
  const problems: string[] = [];
  const require: Require = (holds, path, sentence) => {
    if (!holds) problems.push(`${plan.placeOf(path)}: ${dotted(path)}: ${sentence()}`);
  };
  const given: Given = (...parts) => (parts.some((part) => unread.has(part)) ? () => {} : require);
  const hasPatterns = model === null || checkPatterns(plan, model, require);
  if (!hasPatterns) return problems;
  const layout = (model === null ? undefined : layoutsOf(plan, model)[0]) ?? writtenLayout(plan);
  checkExperts(plan, layout, model ?? ANY_SIZES, given);
  checkAttention(plan, layout, model ?? ANY_SIZES, given);
  const { assign } = plan.experts;
  if (assign !== "auto") checkAssignment(plan, layout, assign, given);
  if (assign !== "auto" && model !== null) checkExpertIds(assign, model, require);
  checkRanks(plan, model ?? ANY_SIZES, given);
  if (model !== null) checkStyles(plan, layout, model, given);
  return problems;
}

/** What a model has of that which is shared out. */
type Sizes = Pick<ModelDescription, "numExperts" | "intermediateSize" | "numHeads" | "vocabSize">;

const ANY_SIZES: Sizes = { numExperts: Infinity, intermediateSize: Infinity, numHeads: Infinity, vocabSize: Infinity };

type Require = (holds: boolean, path: YamlPath, sentence: () => string) => void;
/** Requires what only these parts together can break, and nothing where one of them is unknown. */
type Given = (...parts: readonly PlanPart[]) => Require;

/** What a cut follows from that is left open. */
const CUT_PARTS = ["worldSize", "experts.ep", "experts.tp", "attention.tp", "attention.ranks", "shard"] as const;

function checkExperts(plan: ShardingPlan, { ep, tp }: Layout, model: Sizes, given: Given): void {
  const numBlocks = model.intermediateSize / 32;
  const isWhole = Number.isInteger(ep) && Number.isInteger(tp) && ep * tp === plan.worldSize;
  const require = given("worldSize", "experts.ep", "experts.tp");
  require(isWhole, ["experts"], () => `expected ep x tp = worldSize (${plan.worldSize}), got ${shownCuts(plan)}`);
  const givenEp = plan.experts.ep === "auto" ? given(...CUT_PARTS) : given("experts.ep");
  givenEp(
    ep <= model.numExperts,
    ["experts", "ep"],
    () => `expected at most ${model.numExperts}, the experts there are, got ${ep}`,
  );
  const givenTp = plan.experts.tp === "auto" ? given(...CUT_PARTS) : given("experts.tp");
  givenTp(tp <= numBlocks, ["experts", "tp"], () => {
    return `expected at most ${numBlocks}: an expert's ${model.intermediateSize} units are cut on MXFP4 blocks of 32, got ${tp}`;
  });
}

function shownCuts(plan: ShardingPlan): string {
  return `ep ${plan.experts.ep} x tp ${plan.experts.tp}`;
}

function checkAttention(plan: ShardingPlan, layout: Layout, model: Sizes, given: Given): void {
  checkHeads(plan, layout, model, given);
  if (plan.attention.ranks === "auto") return;
  plan.attention.ranks.forEach((rank, index, written) => {
    const at = ["attention", "ranks", index];
    given("worldSize")(
      rank < plan.worldSize,
      at,
      () => `expected a rank below worldSize (${plan.worldSize}), got ${rank}`,
    );
    given()(written.indexOf(rank) === index, at, () => `rank ${rank} is given twice`);
  });
}

function checkHeads(plan: ShardingPlan, layout: Layout, model: Sizes, given: Given): void {
  const [tp, ranks] = [layout.attentionTp, attentionRanks(plan)];
  const path = ["attention", "tp"];
  // Experts that cannot be cut this way have been reported; their fraction says nothing more here.
  if (!Number.isInteger(tp)) return;
  const parts = plan.attention.tp === "auto" ? CUT_PARTS : (["attention.tp"] as const);
  given(...parts)(
    tp <= model.numHeads,
    path,
    () => `expected at most ${model.numHeads}, the heads there are, got ${tp}`,
  );
  const require = given(...parts, "attention.ranks", "worldSize");
  require(ranks.length % tp === 0, path, () => `expected a divisor of the ${ranks.length} attention ranks, got ${tp}`);
}

/** What concerns ranks one by one: their weights, what they hold, and the tokens that come to them. */
function checkRanks(plan: ShardingPlan, model: Sizes, given: Given): void {
  const { weights, worldSize, tokens } = plan;
  const require = given("worldSize");
  const hasWeights = weights === "auto" || weights.length === worldSize;
  require(hasWeights, ["weights"], () => `expected ${worldSize} numbers, one a rank, got ${weights.length}`);
  require(worldSize <= model.vocabSize, ["worldSize"], () =>
    `expected at most ${model.vocabSize}, the rows of the head there are, got ${worldSize}`);
  require(tokens !== "sharded" || worldSize > 1, ["tokens"], () =>
    "sharded needs several ranks: else no token has anywhere to go; write replicated");
  const running = new Set(attentionRanks(plan));
  const expertOnly = range(worldSize).filter((rank) => !running.has(rank));
  require(tokens !== "replicated" || expertOnly.length === 0, ["tokens"], () =>
    `replicated needs attention on every rank, ranks ${shown(expertOnly)} have none; write sharded or auto`);
  const { assign } = plan.experts;
  const idle = assign === "auto" ? [] : expertOnly.filter((rank) => assign[String(rank)]?.length === 0);
  require(idle.length === 0, ["experts", "assign"], () => `ranks ${shown(idle)} have neither attention nor experts`);
}

/** Overrides that each module allows, but not all together. */
function checkStyles(plan: ShardingPlan, layout: Layout, model: ModelDescription, given: Given): void {
  const [heads, experts] = [attentionStyle(model, plan.shard), expertStyle(model, plan.shard)];
  const require = given("shard");
  require(heads !== "mixed", ["shard"], () =>
    "q, k, v, o and sinks of all layers are cut together; write replicate for layers.*.self_attn.* or leave it out");
  given(...CUT_PARTS)(
    heads !== "replicate" || layout.attentionTp === 1,
    ["attention", "tp"],
    () => `expected 1, since shard replicates the heads, got ${layout.attentionTp}`,
  );
  require(experts !== "mixed", ["shard"], () => "the experts of all layers are cut alike; write layers.*.mlp.experts");
  given("shard", "worldSize")(
    experts !== "replicate" || plan.worldSize === 1,
    ["shard"],
    () => "each expert is computed by one group of ranks; for whole copies write replicas in the cluster file",
  );
  given(...CUT_PARTS)(
    experts !== "none" || layout.tp === 1,
    ["experts", "tp"],
    () => `expected 1, since shard leaves experts whole, got ${layout.tp}`,
  );
}

/** Ranks g * tp … g * tp + tp - 1 are expert group g: each holds a cut of the same experts. */
function checkAssignment(plan: ShardingPlan, { tp }: Layout, assign: Record<string, number[]>, given: Given): void {
  const require = given("worldSize", "experts.ep", "experts.tp");
  const groupsOf = new Map<number, Set<number>>();
  for (const [name, ids] of Object.entries(assign)) {
    const [rank, at] = [Number(name), ["experts", "assign", name]];
    require(rank < plan.worldSize, at, () => `expected a rank below worldSize (${plan.worldSize}), got ${name}`);
    given()(new Set(ids).size === ids.length, at, () => "an expert is given twice");
    const group = Math.floor(rank / tp);
    const first = assign[String(group * tp)] ?? [];
    require(sameSet(first, ids), at, () =>
      `expected the experts of rank ${group * tp}: they cut the same experts ${tp} ways`);
    for (const id of ids) groupsOf.set(id, (groupsOf.get(id) ?? new Set()).add(group));
  }
  const doubled = [...groupsOf].flatMap(([id, groups]) => (groups.size > 1 ? [id] : []));
  require(doubled.length === 0, ["experts", "assign"], () => `several groups have experts ${shown(doubled)}`);
  const silent = range(plan.worldSize).filter((rank) => assign[String(rank)] === undefined);
  require(silent.length === 0, ["experts", "assign"], () =>
    `ranks ${shown(silent)} are not named; write [] for no experts`);
}

function checkExpertIds(assign: Record<string, number[]>, { numExperts }: ModelDescription, require: Require): void {
  for (const [rank, ids] of Object.entries(assign)) {
    const unknown = ids.filter((id) => id >= numExperts);
    require(unknown.length === 0, ["experts", "assign", rank], () => {
      return `expected expert ids below ${numExperts}, got ${unknown.join(", ")}`;
    });
  }
  const named = new Set(Object.values(assign).flat());
  const missing = range(numExperts).filter((id) => !named.has(id));
  require(missing.length === 0, ["experts", "assign"], () => `no rank has experts ${shown(missing)}`);
}

/** More lines than any model has kinds of modules; the time of a check grows with them. */
const MAX_PATTERNS = 256;

/** @returns whether the lines can be read as patterns at all */
function checkPatterns(plan: ShardingPlan, model: ModelDescription, require: Require): boolean {
  const patterns = Object.entries(plan.shard);
  const isShort = patterns.length <= MAX_PATTERNS;
  require(isShort, ["shard"], () => `expected at most ${MAX_PATTERNS} lines, got ${patterns.length}`);
  if (!isShort) return false;
  const modules = moduleNames(model);
  for (const [pattern, style] of patterns) {
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
  return patterns.every(([pattern]) => isPattern(pattern));
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
