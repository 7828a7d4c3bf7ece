import type { ModelDescription } from "./model-description.js";
import { attentionCuts, attentionRanks, checkPlan, expertCuts } from "./plan-check.js";
import { throwProblems } from "./problems.js";
import { STYLES, type ShardStyle } from "./shard-rules.js";
import { autoPlan, type ShardingPlan } from "./sharding-plan.js";

/** A sharding plan with every choice made. */
export interface ResolvedPlan {
  worldSize: number;
  attention: { tp: number; ranks: number[] };
  /** `assign[rank]`: the experts whose shards the rank holds, ascending. */
  experts: { ep: number; tp: number; assign: number[][] };
  tokens: "replicated" | "sharded";
  weights: number[];
  shard: Record<string, ShardStyle>;
}

/**
 * Fills in what a plan leaves open and checks it against the model and the ranks there are.
 * @throws MoesaicError invalid_argument with every reason why the plan cannot be
 */
export function resolvePlan(plan: "auto" | ShardingPlan, model: ModelDescription, numRanks: number): ResolvedPlan {
  const written = plan === "auto" ? autoPlan(numRanks) : plan;
  const problems = checkPlan(written, model);
  if (written.worldSize !== numRanks) {
    const expected = `expected ${numRanks}, the number of ranks of the workers, got ${written.worldSize}`;
    problems.unshift(`${written.placeOf(["worldSize"])}: worldSize: ${expected}`);
  }
  throwProblems(problems, "sharding plan");
  const { ep, tp } = expertCuts(written);
  return {
    worldSize: numRanks,
    attention: { tp: attentionCuts(written), ranks: attentionRanks(written) },
    experts: { ep, tp, assign: assignment(written, model, ep, tp) },
    tokens: written.tokens === "auto" ? "replicated" : written.tokens,
    weights: written.weights === "auto" ? Array.from({ length: numRanks }, () => 1) : written.weights,
    shard: { ...STYLES, ...written.shard },
  };
}

/** Expert ids of each rank: as written, or equal runs of experts with the remainder on the first groups. */
function assignment(plan: ShardingPlan, model: ModelDescription, ep: number, tp: number): number[][] {
  const { assign } = plan.experts;
  return Array.from({ length: plan.worldSize }, (_, rank) => {
    if (assign !== "auto") return (assign[rank] ?? []).toSorted((a, b) => a - b);
    const group = Math.floor(rank / tp);
    const begin = firstExpert(group, ep, model.numExperts);
    return Array.from({ length: firstExpert(group + 1, ep, model.numExperts) - begin }, (_, index) => begin + index);
  });
}

function firstExpert(group: number, ep: number, numExperts: number): number {
  return group * Math.floor(numExperts / ep) + Math.min(group, numExperts % ep);
}
