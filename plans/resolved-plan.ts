import { assert } from "../proto/errors.js";
import { apportion } from "./apportion.js";
import { costOf, shardedFromTokens, USUAL_SEQ_LEN } from "./cost.js";
import { rateLayouts, whyFirst, type RatedLayout } from "./layout-choice.js";
import { attentionRanks, layoutsOf, type Layout } from "./layouts.js";
import { CPU_RANK, type MachineProfile } from "./machine-profile.js";
import type { ModelDescription } from "./model-description.js";
import { checkPlan } from "./plan-check.js";
import { throwProblems } from "./problems.js";
import { expertGroups } from "./rank-groups.js";
import { STYLES, type ShardStyle } from "./shard-rules.js";
import { autoPlan, type ShardingPlan } from "./sharding-plan.js";

/** A sharding plan with every choice made. */
export interface ResolvedPlan {
  worldSize: number;
  /** Ranks ascending; each run of `tp` of them shares the heads. */
  attention: { tp: number; ranks: number[] };
  /** `assign[rank]`: the experts whose shards the rank holds, ascending. */
  experts: { ep: number; tp: number; assign: number[][] };
  /** Auto: by the size of each step. */
  tokens: "auto" | "replicated" | "sharded";
  /** Steps of at least so many tokens are sharded; null: none are. */
  shardedFromTokens: number | null;
  weights: number[];
  shard: Record<string, ShardStyle>;
  /** What was chosen because the plan left it open. */
  choices: PlanDecision[];
}

export interface PlanDecision {
  name: "layout" | "tokens";
  value: string;
  why: string;
}

/**
 * Fills in what a plan leaves open and checks it against the model and the ranks there are. Layout and token placement
 * are chosen by predicted cost.
 * @param profile of a rank; by default that of a CPU, its neighbours on the same host
 * @throws MoesaicError invalid_argument with every reason why the plan cannot be
 */
export function resolvePlan(
  plan: "auto" | ShardingPlan,
  model: ModelDescription,
  numRanks: number,
  profile: MachineProfile = CPU_RANK.shm,
): ResolvedPlan {
  const written = plan === "auto" ? autoPlan(numRanks) : plan;
  const problems = checkPlan(written, model);
  if (written.worldSize !== numRanks) {
    const expected = `expected ${numRanks}, the workers' ranks of one replica, got ${written.worldSize}; change one of them`;
    problems.unshift(`${written.placeOf(["worldSize"])}: worldSize: ${expected}`);
  }
  throwProblems(problems, "sharding plan");
  return withPlacement(fastestPlan(written, model, profile), model, profile);
}

/** A plan in one of its layouts, without token placement or choices. */
export function planInLayout(plan: ShardingPlan, model: ModelDescription, layout: Layout): ResolvedPlan {
  const { worldSize } = plan;
  const { ep, tp, attentionTp } = layout;
  const weights = plan.weights === "auto" ? Array.from({ length: worldSize }, () => 1) : [...plan.weights];
  const head = { worldSize, attention: { tp: attentionTp, ranks: attentionRanks(plan) }, weights };
  const assign = assignment(plan, model, expertGroups({ worldSize, experts: { ep, tp, assign: [] } }), weights);
  const { tokens } = plan;
  return { ...head, experts: { ep, tp, assign }, tokens, shardedFromTokens: null, shard: stylesOf(plan), choices: [] };
}

function fastestPlan(plan: ShardingPlan, model: ModelDescription, profile: MachineProfile): ResolvedPlan {
  const plans = layoutsOf(plan, model).map((layout) => planInLayout(plan, model, layout));
  const [only] = plans;
  assert(only !== undefined, "a plan without problems has a layout");
  if (plans.length === 1) return only;
  const rated = rateLayouts(model, plans, profile);
  const { name: value, plan: fastest } = rated[0] as RatedLayout;
  return { ...fastest, choices: [{ name: "layout", value, why: whyFirst(rated) }] };
}

function withPlacement(plan: ResolvedPlan, model: ModelDescription, profile: MachineProfile): ResolvedPlan {
  if (plan.worldSize === 1) return { ...plan, tokens: "replicated" };
  if (plan.tokens === "replicated") return plan;
  if (plan.tokens === "sharded") return { ...plan, shardedFromTokens: 1 };
  const decided = (from: number | null, value: string, why: string): ResolvedPlan => ({
    ...plan,
    tokens: from === 1 ? "sharded" : from === null ? "replicated" : "auto",
    shardedFromTokens: from,
    choices: [...plan.choices, { name: "tokens", value, why }],
  });
  const numExpertOnly = plan.worldSize - plan.attention.ranks.length;
  if (numExpertOnly > 0) {
    return decided(1, "sharded", `${numExpertOnly} of the ranks run experts only and hold no hidden states`);
  }
  const usual = { dequantize: false, precision: "exact", seqLen: USUAL_SEQ_LEN } as const;
  const from = shardedFromTokens(costOf(model, plan, profile, usual));
  if (from === null) return decided(null, "replicated", "predicted to be faster in steps of any size");
  if (from === 1) return decided(1, "sharded", "predicted to be faster in steps of any size");
  const why = "fewer rounds for few tokens, fewer bytes for many";
  return decided(from, `sharded in steps of ${from} tokens or more`, why);
}

/** Expert ids of each rank: as written, or consecutive runs of experts that follow the weights of the groups. */
function assignment(
  plan: ShardingPlan,
  model: ModelDescription,
  groups: readonly number[][],
  weights: readonly number[],
): number[][] {
  const { assign } = plan.experts;
  if (assign !== "auto") return weights.map((_, rank) => (assign[rank] ?? []).toSorted((a, b) => a - b));
  const groupWeights = groups.map((ranks) => ranks.reduce((sum, rank) => sum + (weights[rank] ?? 1), 0));
  return apportion(model.numExperts, groupWeights).flatMap(([begin, end], group) =>
    groups[group]!.map(() => Array.from({ length: end - begin }, (_, index) => begin + index)),
  );
}

/** Auto's styles and the plan's own, which come later, and so count, even under a name that auto has too. */
function stylesOf({ shard }: ShardingPlan): Record<string, ShardStyle> {
  const kept = Object.entries(STYLES).filter(([pattern]) => !Object.hasOwn(shard, pattern));
  return { ...Object.fromEntries(kept), ...shard };
}
