import type { Range } from "./apportion.js";
import { lowerWeights } from "./lower-weights.js";
import type { ModelDescription } from "./model-description.js";
import { range } from "./rank-groups.js";
import type { WeightSource, WeightTensor } from "./rank-program.js";
import { sharesOf, type RankShare } from "./rank-share.js";
import type { ResolvedPlan } from "./resolved-plan.js";
import { classOf, TENSOR_CLASSES, type TensorClass } from "./tensor-class.js";
import { bytes, count, renderSection } from "./text-table.js";

/** What changes when one plan takes another's place. Bytes are those of the checkpoint; field names those of the JSON. */
export interface PlanDiff {
  world_size: { before: number; after: number };
  ranks: RankDiff[];
  /** By expert: the ranks that hold it, or a cut of it. Experts that stay where they are are left out. */
  experts: { expert: number; before: number[]; after: number[] }[];
  gained_bytes: number;
  lost_bytes: number;
}

export interface RankDiff {
  rank: number;
  /** What the rank must load, and what it may drop. */
  gained: Record<TensorClass, number>;
  lost: Record<TensorClass, number>;
  gained_bytes: number;
  lost_bytes: number;
  heads: RangeChange;
  kv_heads: RangeChange;
  intermediate: RangeChange;
  vocab: RangeChange;
}

/** [begin, end) before and after; null for a rank that is not there. */
export interface RangeChange {
  before: Range | null;
  after: Range | null;
}

/** Compares two plans for the same model, rank by rank, whatever their numbers of ranks. */
export function diffPlans(
  before: ResolvedPlan,
  after: ResolvedPlan,
  model: ModelDescription,
): { json: PlanDiff; text: string } {
  const json = diffOf(before, after, model);
  return { json, text: renderDiff(json) };
}

function diffOf(before: ResolvedPlan, after: ResolvedPlan, model: ModelDescription): PlanDiff {
  const [old, now] = [sharesOf(model, before), sharesOf(model, after)];
  const ranks = range(Math.max(old.length, now.length)).map((rank) => rankDiff(model, rank, old[rank], now[rank]));
  return {
    world_size: { before: before.worldSize, after: after.worldSize },
    ranks,
    experts: movedExperts(before, after, model.numExperts),
    gained_bytes: ranks.reduce((sum, rank) => sum + rank.gained_bytes, 0),
    lost_bytes: ranks.reduce((sum, rank) => sum + rank.lost_bytes, 0),
  };
}

function rankDiff(model: ModelDescription, rank: number, old?: RankShare, now?: RankShare): RankDiff {
  const gained = bytesBeyond(model, now, old);
  const lost = bytesBeyond(model, old, now);
  const sum = (of: Record<TensorClass, number>): number => TENSOR_CLASSES.reduce((total, kind) => total + of[kind], 0);
  const change = (key: "heads" | "kvHeads" | "intermediate" | "vocab"): RangeChange => {
    return { before: old?.[key] ?? null, after: now?.[key] ?? null };
  };
  return {
    rank,
    gained,
    lost,
    gained_bytes: sum(gained),
    lost_bytes: sum(lost),
    heads: change("heads"),
    kv_heads: change("kvHeads"),
    intermediate: change("intermediate"),
    vocab: change("vocab"),
  };
}

// ---- bytes ---------------------------------------------------------------------------------------------------------

/** Bytes of the checkpoint that one share holds and another does not, by class. All layers are alike: one is compared. */
function bytesBeyond(model: ModelDescription, share?: RankShare, other?: RankShare): Record<TensorClass, number> {
  const beyond = { embedding: 0, attention: 0, router: 0, experts: 0, norms: 0, lm_head: 0 };
  if (share === undefined) return beyond;
  const oneLayer = { ...model, layerKinds: model.layerKinds.slice(0, 1) };
  const weightsOf = (of: RankShare): WeightTensor[] => lowerWeights(oneLayer, of, { dequantize: false });
  const there = new Map(other === undefined ? [] : weightsOf(other).map((weight) => [weight.name, weight]));
  for (const weight of weightsOf(share)) {
    const times = weight.name.startsWith("layers.") ? model.layerKinds.length : 1;
    beyond[classOf(weight)] += times * elementsBeyond(weight, there.get(weight.name)) * bytesPerElement(weight);
  }
  return beyond;
}

/** A weight has the same sources in every plan, in the same order. */
function elementsBeyond(weight: WeightTensor, other: WeightTensor | undefined): number {
  return weight.sources.reduce((sum, source, index) => {
    const twin = other?.sources[index];
    return sum + volume(source, source) - (twin === undefined ? 0 : volume(source, twin));
  }, 0);
}

/** Elements that two slices of a tensor have in common. */
function volume(left: WeightSource, right: WeightSource): number {
  const experts = new Set(right.experts);
  const numExperts = left.experts.filter((expert) => experts.has(expert)).length;
  return numExperts * overlap(left.rows, right.rows) * overlap(left.cols, right.cols);
}

function overlap(left: Range, right: Range): number {
  return Math.max(0, Math.min(left[1], right[1]) - Math.max(left[0], right[0]));
}

function bytesPerElement({ sourceDtype }: WeightTensor): number {
  return sourceDtype === "bf16" ? 2 : 17 / 32;
}

// ---- experts -------------------------------------------------------------------------------------------------------

function movedExperts(before: ResolvedPlan, after: ResolvedPlan, numExperts: number): PlanDiff["experts"] {
  const [old, now] = [holders(before, numExperts), holders(after, numExperts)];
  return range(numExperts)
    .map((expert) => ({ expert, before: old[expert] ?? [], after: now[expert] ?? [] }))
    .filter((move) => move.before.join() !== move.after.join());
}

function holders({ experts }: ResolvedPlan, numExperts: number): number[][] {
  const ranks = range(numExperts).map((): number[] => []);
  experts.assign.forEach((ids, rank) => ids.forEach((expert) => ranks[expert]?.push(rank)));
  return ranks;
}

// ---- text ----------------------------------------------------------------------------------------------------------

function renderDiff(diff: PlanDiff): string {
  const { before, after } = diff.world_size;
  const sections: { title: string; rows: string[][]; header?: string[] }[] = [
    { title: "Bytes gained and lost", rows: byteLines(diff), header: ["", ...TENSOR_CLASSES, "all"] },
    {
      title: "Ranges",
      rows: diff.ranks.map(rangeLine).filter(([, ...cells]) => cells.some((cell) => cell !== "")),
      header: ["", "heads", "KV heads", "units", "head rows"],
    },
    { title: "Experts", rows: expertLines(diff) },
  ];
  const filled = sections.filter(({ rows }) => rows.length > 0);
  const head =
    filled.length === 0
      ? `${before} ranks: every rank holds what it held`
      : `${before} to ${after} ranks: ${count(diff.gained_bytes)} B to load, ${count(diff.lost_bytes)} B to drop`;
  return `${[head, ...filled.map(({ title, rows, header }) => renderSection(title, rows, header))].join("\n\n")}\n`;
}

function byteLines({ ranks }: PlanDiff): string[][] {
  const line = (name: string, sign: string, of: Record<TensorClass, number>, all: number): string[][] => {
    if (all === 0) return [];
    const cells = TENSOR_CLASSES.map((kind) => (of[kind] === 0 ? "-" : `${sign}${count(of[kind])}`));
    const [exact, short] = bytes(all);
    return [[name, ...cells, `${sign}${exact}`, short]];
  };
  return ranks.flatMap((rank) => [
    ...line(`rank ${rank.rank}`, "+", rank.gained, rank.gained_bytes),
    ...line(`rank ${rank.rank}`, "-", rank.lost, rank.lost_bytes),
  ]);
}

function rangeLine({ rank, heads, kv_heads: kvHeads, intermediate, vocab }: RankDiff): string[] {
  return [`rank ${rank}`, ...[heads, kvHeads, intermediate, vocab].map(changed)];
}

/** `0-31 to 0-15`, or nothing where nothing changes. */
function changed({ before, after }: RangeChange): string {
  return shownRange(before) === shownRange(after) ? "" : `${shownRange(before)} to ${shownRange(after)}`;
}

function shownRange(value: Range | null): string {
  return value === null || value[0] === value[1] ? "none" : `${value[0]}-${value[1] - 1}`;
}

/** Neighbours that move alike are one line. */
function expertLines({ experts }: PlanDiff): string[][] {
  const runs: { first: number; last: number; moves: string }[] = [];
  for (const { expert, before, after } of experts) {
    const moves = `${ranksOf(before)} to ${ranksOf(after)}`;
    const run = runs.at(-1);
    if (run !== undefined && run.moves === moves && run.last === expert - 1) run.last = expert;
    else runs.push({ first: expert, last: expert, moves });
  }
  return runs.map(({ first, last, moves }) => [first === last ? `${first}` : `${first}-${last}`, moves]);
}

function ranksOf(ranks: readonly number[]): string {
  return `${ranks.length === 1 ? "rank" : "ranks"} ${ranks.join(", ")}`;
}
