import { assert } from "../proto/errors.js";
import { costOf, predictFastestStep, USUAL_SEQ_LEN, type PlanCost } from "./cost.js";
import type { Layout } from "./layouts.js";
import type { MachineProfile } from "./machine-profile.js";
import type { ModelDescription } from "./model-description.js";
import type { ResolvedPlan } from "./resolved-plan.js";
import { ms } from "./text-table.js";

/** A layout with what steps of few and of many tokens are predicted to take. */
export interface RatedLayout {
  name: string;
  plan: ResolvedPlan;
  /** One token: the latency of a single conversation. */
  oneMs: number;
  /** MANY_TOKENS tokens: the throughput of many. */
  manyMs: number;
}

export const MANY_TOKENS = 64;

/** Layouts by predicted speed, the best compromise between one token and many first; equals in the order given. */
export function rateLayouts(
  model: ModelDescription,
  plans: readonly ResolvedPlan[],
  profile: MachineProfile,
): RatedLayout[] {
  const rated = plans.map((plan) =>
    ratedLayout(costOf(model, plan, profile, { dequantize: false, precision: "exact", seqLen: USUAL_SEQ_LEN })),
  );
  return rated.toSorted((a, b) => scoreOf(a) - scoreOf(b));
}

export function ratedLayout(cost: PlanCost): RatedLayout {
  const { attention, experts } = cost.plan;
  return {
    name: layoutName({ ep: experts.ep, tp: experts.tp, attentionTp: attention.tp }),
    plan: cost.plan,
    oneMs: predictFastestStep(cost, 1).totalMs,
    manyMs: predictFastestStep(cost, MANY_TOKENS).totalMs,
  };
}

/** Why the first of several rated layouts was taken. */
export function whyFirst(rated: readonly RatedLayout[]): string {
  const [first, second] = rated;
  assert(first !== undefined && second !== undefined, "a choice is between several");
  const times = ({ oneMs, manyMs }: RatedLayout): string => `${ms(oneMs)} and ${ms(manyMs)}`;
  return `predicted ${times(first)} for steps of 1 and ${MANY_TOKENS} tokens; next is ${second.name} with ${times(second)}`;
}

/** `ep 2 x tp 2, heads over 2`. */
export function layoutName({ ep, tp, attentionTp }: Layout): string {
  const experts = [...(ep > 1 ? [`ep ${ep}`] : []), ...(tp > 1 ? [`tp ${tp}`] : [])].join(" x ") || "whole";
  if (attentionTp === tp) return experts;
  return `${experts}, heads ${attentionTp === 1 ? "whole" : `over ${attentionTp}`}`;
}

/** The geometric mean: neither end counts for more because its times are longer. */
function scoreOf({ oneMs, manyMs }: RatedLayout): number {
  return Math.sqrt(oneMs * manyMs);
}
