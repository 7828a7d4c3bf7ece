import { assert } from "../proto/errors.js";
import { costOf, predictFastestStep, type PlanCost } from "./cost.js";
import { expectedSlowest, hitFraction } from "./expected-experts.js";
import { layoutName } from "./layout-choice.js";
import { layoutsOf } from "./layouts.js";
import type { ModelDescription } from "./model-description.js";
import { planInLayout, type ResolvedPlan } from "./resolved-plan.js";
import { autoPlan } from "./sharding-plan.js";
import { bytes, count, ms } from "./text-table.js";

/** One way to use the same ranks. */
export interface Strategy {
  kind: "tp" | "ep" | "ep x tp" | "replicas";
  name: string;
  /** Predicted time of a step, for as many tokens as `timesOf` was asked; replicas share them. */
  stepMs: number[];
  /** Weights on the fullest rank, stored bytes. */
  rankWeightsBytes: number;
  /** Of a layout; a replica of one rank has nothing to send. */
  cost: PlanCost | null;
  /** Whether it is the plan that was asked about. */
  isPlan: boolean;
}

/** The plan itself, every other layout of its ranks and, where there are several, as many replicas of one rank. */
export function strategiesOf(cost: PlanCost, numTokens: readonly number[]): Strategy[] {
  const { model, plan, profile, options } = cost;
  const open = { ...autoPlan(plan.worldSize), weights: plan.weights };
  const layouts = layoutsOf(open, model).map((layout) => {
    const other = planInLayout(open, model, layout);
    return strategyOf(costOf(model, other, profile, options), numTokens, isSameLayout(other, plan));
  });
  const own = strategyOf(cost, numTokens, true);
  return [
    ...(layouts.some(({ isPlan }) => isPlan) ? [] : [{ ...own, name: `${own.name}, as written` }]),
    ...layouts,
    ...(plan.worldSize > 1 ? [replicas(cost, numTokens)] : []),
  ];
}

function strategyOf(cost: PlanCost, numTokens: readonly number[], isPlan: boolean): Strategy {
  const { attention, experts } = cost.plan;
  return {
    kind: experts.ep === 1 ? "tp" : experts.tp === 1 ? "ep" : "ep x tp",
    name: layoutName({ ep: experts.ep, tp: experts.tp, attentionTp: attention.tp }),
    stepMs: numTokens.map((tokens) => predictFastestStep(cost, tokens).totalMs),
    rankWeightsBytes: fullest(cost),
    cost,
    isPlan,
  };
}

function isSameLayout(left: ResolvedPlan, right: ResolvedPlan): boolean {
  const layout = ({ attention, experts }: ResolvedPlan): string => JSON.stringify([attention, experts]);
  return layout(left) === layout(right);
}

/** The first strategy in a step of `numTokens[index]` tokens, and what speaks for it. */
export function recommend(strategies: readonly Strategy[], numTokens: number, index: number): string {
  const best = (among: readonly Strategy[]): Strategy =>
    among.reduce((a, b) => (b.stepMs[index]! < a.stepMs[index]! ? b : a));
  const first = best(strategies);
  const others = (["tp", "ep", "ep x tp", "replicas"] as const)
    .map((kind) => strategies.filter((strategy) => strategy.kind === kind && kind !== first.kind))
    .filter((group) => group.length > 0)
    .map(best);
  const against = others.map(({ name, stepMs }) => `${name} ${ms(stepMs[index]!)}`).join(", ");
  const why = reasonFor(first, strategies, numTokens);
  const how = first.isPlan ? "" : `; to have it, ${howToHave(first)}`;
  return `${first.name} is fastest with ${ms(first.stepMs[index]!)} (${against}): ${why}${how}`;
}

function replicas({ model, plan, profile, options }: PlanCost, numTokens: readonly number[]): Strategy {
  const [layout] = layoutsOf(autoPlan(1), model);
  assert(layout !== undefined, "a rank can hold a model alone");
  const one = costOf(model, planInLayout(autoPlan(1), model, layout), profile, options);
  const stepMs = numTokens.map((tokens) => predictFastestStep(one, Math.ceil(tokens / plan.worldSize)).totalMs);
  const name = `${plan.worldSize} replicas`;
  return { kind: "replicas", name, stepMs, rankWeightsBytes: fullest(one), cost: null, isPlan: false };
}

function howToHave({ cost, rankWeightsBytes }: Strategy): string {
  if (cost === null)
    return `write replicas and as many ranks, each with room for ${bytes(rankWeightsBytes).join(" ")} of weights`;
  const { attention, experts } = cost.plan;
  return `write attention: { tp: ${attention.tp} }, experts: { ep: ${experts.ep}, tp: ${experts.tp} } into the plan`;
}

function fullest({ ranks }: PlanCost): number {
  return Math.max(...ranks.map(({ weightsBytes }) => weightsBytes));
}

function reasonFor({ kind, cost }: Strategy, strategies: readonly Strategy[], numTokens: number): string {
  if (cost === null) return "no rank waits for another, and each token's bytes stay where they are";
  const { model, plan } = cost;
  const { worldSize } = plan;
  if (kind === "tp") {
    const slowest = expectedInFullest(model, plan.worldSize, numTokens);
    const hit = model.numExperts * hitFraction(numTokens, model.expertsPerToken, model.numExperts);
    return (
      `each rank reads its part of the ${hit.toFixed(1)} experts that are hit, ` +
      `while of whole experts the fullest rank is expected to read ${slowest.toFixed(1)}`
    );
  }
  const tp = strategies.find((strategy) => strategy.kind === "tp" && strategy.cost?.plan.attention.tp === worldSize);
  const sent = sentPerLayer(cost, numTokens);
  const whole =
    kind === "ep" ? "an expert's output comes from one rank" : `from ${plan.experts.tp} ranks, not ${worldSize}`;
  const less = tp?.cost ? `, ${count(sentPerLayer(tp.cost, numTokens))} B with ${tp.name}` : "";
  return `${whole}: the busiest rank sends ${count(sent)} B a layer${less}`;
}

/** Experts that the fullest of as many groups as ranks is expected to read. */
function expectedInFullest(
  { expertsPerToken, numExperts }: ModelDescription,
  numGroups: number,
  numTokens: number,
): number {
  const places = Array.from({ length: numGroups }, () => ({
    numExperts: Math.ceil(numExperts / numGroups),
    timePerExpert: 1,
  }));
  return expectedSlowest(places, hitFraction(numTokens, expertsPerToken, numExperts));
}

function sentPerLayer(cost: PlanCost, numTokens: number): number {
  const { perLayer } = predictFastestStep(cost, numTokens).collectives;
  return Math.round(perLayer.reduce((sum, { bytes }) => sum + bytes, 0));
}
