import type { ModelDescription } from "./model-description.js";
import { range } from "./rank-groups.js";
import { attentionStyle, expertStyle } from "./shard-rules.js";
import type { ShardingPlan } from "./sharding-plan.js";

/** How experts and heads are cut over the ranks of a replica. */
export interface Layout {
  /** Groups of ranks that hold different experts, times cuts inside each expert. */
  ep: number;
  tp: number;
  /** Cuts of the heads. */
  attentionTp: number;
}

/**
 * The layouts that a plan leaves open and a model allows: one where the plan says all, none where it cannot be. Whether
 * what is written can be is checkPlan's to say; of patterns only those that are patterns may be there.
 */
export function layoutsOf(plan: ShardingPlan, model: ModelDescription): Layout[] {
  return expertLayouts(plan, model)
    .flatMap(({ ep, tp }) => attentionCuts(plan, model, tp).map((attentionTp) => ({ ep, tp, attentionTp })))
    .filter((layout) => isPossible(layout, plan, model));
}

/** What is written, with the plainest values for what is not: for saying what is wrong with it. */
export function writtenLayout(plan: ShardingPlan): Layout {
  const { ep, tp } = writtenCuts(plan);
  return { ep, tp, attentionTp: plan.attention.tp === "auto" ? tp : plan.attention.tp };
}

/** Ranks that run attention, ascending. */
export function attentionRanks({ attention, worldSize }: ShardingPlan): number[] {
  return attention.ranks === "auto" ? range(worldSize) : attention.ranks.toSorted((a, b) => a - b);
}

/** Whether nothing is said about experts, so that cost may decide. */
function isOpen({ experts }: ShardingPlan): boolean {
  return experts.ep === "auto" && experts.tp === "auto" && experts.assign === "auto";
}

function expertLayouts(plan: ShardingPlan, model: ModelDescription): { ep: number; tp: number }[] {
  if (!isOpen(plan)) return [writtenCuts(plan)];
  const { worldSize } = plan;
  const cuts = expertStyle(model, plan.shard) === "none" ? [1] : range(worldSize).map((index) => index + 1);
  return cuts.filter((tp) => worldSize % tp === 0).map((tp) => ({ ep: worldSize / tp, tp }));
}

/** What is open follows from the number of ranks, whole experts first. */
function writtenCuts(plan: ShardingPlan): { ep: number; tp: number } {
  const { ep, tp } = plan.experts;
  if (ep !== "auto") return { ep, tp: tp === "auto" ? plan.worldSize / ep : tp };
  const cuts = tp === "auto" ? 1 : tp;
  return { ep: plan.worldSize / cuts, tp: cuts };
}

/** Where experts are written, heads are cut as they are; else not at all, as they are, or over all ranks. */
function attentionCuts(plan: ShardingPlan, model: ModelDescription, tp: number): number[] {
  if (plan.attention.tp !== "auto") return [plan.attention.tp];
  if (attentionStyle(model, plan.shard) === "replicate") return [1];
  return isOpen(plan) ? [...new Set([1, tp, attentionRanks(plan).length])] : [tp];
}

function isPossible({ ep, tp, attentionTp }: Layout, plan: ShardingPlan, model: ModelDescription): boolean {
  return (
    Number.isInteger(ep) &&
    Number.isInteger(tp) &&
    ep * tp === plan.worldSize &&
    ep <= model.numExperts &&
    tp <= model.intermediateSize / 32 &&
    attentionTp <= model.numHeads &&
    attentionRanks(plan).length % attentionTp === 0
  );
}
