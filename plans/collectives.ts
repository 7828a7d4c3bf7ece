import type { ModelDescription } from "./model-description.js";
import type { CollectiveOp } from "./rank-program.js";
import type { RankShare } from "./rank-share.js";
import type { ResolvedPlan } from "./resolved-plan.js";

export type Placement = "replicated" | "sharded";

/** One kind of collective of a layer, or of the step around the layers. */
export interface CollectiveCost {
  op: CollectiveOp["op"];
  numRanks: number;
  /** In which ranks wait for each other: two where sums are made in parts and then gathered, none of a rank alone. */
  numRounds: number;
  /** Expected bytes that the busiest rank sends to others. */
  bytes: number;
}

export interface StepCollectives {
  perLayer: CollectiveCost[];
  perStep: CollectiveCost[];
}

/** Activations travel as they are computed, in float32. */
const BYTES_PER_VALUE = 4;
/** Up to here a sum is cheaper when every rank gets all and adds up itself. */
const MAX_BYTES_OF_ONE_ROUND = 64 * 1_024;

/**
 * The collectives of a step of `numTokens` tokens, of which `numLogitRows` are wanted as logits. Experts are taken to be
 * chosen at random. Of a plan with expert-only ranks there is no replicated placement.
 */
export function collectivesOf(
  model: ModelDescription,
  plan: ResolvedPlan,
  shares: readonly RankShare[],
  placement: Placement,
  numTokens: number,
  numLogitRows: number,
): StepCollectives {
  if (plan.worldSize === 1) return { perLayer: [], perStep: [] };
  const step = { model, plan, shares, numTokens, rowBytes: model.hiddenSize * BYTES_PER_VALUE };
  if (placement === "replicated") return { perLayer: [...allReduce(step), exchangeSlots(step)], perStep: [] };
  const perLayer = [...allGather(step), ...reduceScatter(step), dispatch(step), collect(step)];
  return { perLayer, perStep: [gatherLogitsRows(step, numLogitRows)] };
}

interface Step {
  model: ModelDescription;
  plan: ResolvedPlan;
  shares: readonly RankShare[];
  numTokens: number;
  /** Of one token's hidden state. */
  rowBytes: number;
}

function allReduce({ plan, numTokens, rowBytes }: Step): CollectiveCost[] {
  const numRanks = plan.attention.tp;
  if (numRanks === 1) return [];
  const bytes = numTokens * rowBytes;
  const isOneRound = bytes <= MAX_BYTES_OF_ONE_ROUND;
  const sent = isOneRound ? (numRanks - 1) * bytes : (2 * (numRanks - 1) * bytes) / numRanks;
  return [{ op: "all_reduce", numRanks, numRounds: isOneRound ? 1 : 2, bytes: sent }];
}

/** Every rank sends what its experts made of a token to every other. */
function exchangeSlots({ model, plan, shares, numTokens, rowBytes }: Step): CollectiveCost {
  const slots = Math.max(...shares.map((share) => slotsPerToken(model, share)));
  const bytes = numTokens * slots * rowBytes * (plan.worldSize - 1);
  return { op: "exchange_slots", numRanks: plan.worldSize, numRounds: 1, bytes };
}

function allGather({ plan, numTokens, rowBytes }: Step): CollectiveCost[] {
  const numRanks = plan.attention.ranks.length;
  const bytes = ownRows(plan, numTokens) * rowBytes * (numRanks - 1);
  return [{ op: "all_gather", numRanks, numRounds: numRanks === 1 ? 0 : 1, bytes }];
}

/** A rank sends the rows of those with which it shares the heads. */
function reduceScatter({ plan, numTokens, rowBytes }: Step): CollectiveCost[] {
  const numRanks = plan.attention.tp;
  if (numRanks === 1) return [];
  const bytes = ownRows(plan, numTokens) * (numRanks - 1) * rowBytes;
  return [{ op: "reduce_scatter", numRanks, numRounds: 1, bytes }];
}

/** Rows with their expert ids, once to each other rank that has one of the experts; the owner with fewest sends most. */
function dispatch({ model, plan, shares, numTokens, rowBytes }: Step): CollectiveCost {
  const chances = shares.map((share) => chanceOfVisit(model, share));
  const all = chances.reduce((sum, chance) => sum + chance, 0);
  const others = Math.max(...plan.attention.ranks.map((rank) => all - chances[rank]!));
  const idBytes = model.expertsPerToken * BYTES_PER_VALUE;
  const bytes = ownRows(plan, numTokens) * others * (rowBytes + idBytes);
  return { op: "dispatch", numRanks: plan.worldSize, numRounds: 1, bytes };
}

/** A slot a row, back to the owners of the rows. */
function collect({ model, plan, shares, numTokens, rowBytes }: Step): CollectiveCost {
  const fewestOwn = Math.floor(numTokens / plan.attention.ranks.length);
  const bytes = shares.map((share) => {
    const foreignTokens = numTokens - (share.runsAttention ? fewestOwn : 0);
    return foreignTokens * slotsPerToken(model, share) * rowBytes;
  });
  return { op: "collect", numRanks: plan.worldSize, numRounds: 1, bytes: Math.max(...bytes) };
}

function gatherLogitsRows({ plan, rowBytes }: Step, numLogitRows: number): CollectiveCost {
  const bytes = ownRows(plan, numLogitRows) * rowBytes * (plan.worldSize - 1);
  return { op: "gather_logits_rows", numRanks: plan.worldSize, numRounds: 1, bytes };
}

/** Rows of the owner with most: the others wait for it. */
export function ownRows({ attention }: ResolvedPlan, numRows: number): number {
  return Math.ceil(numRows / attention.ranks.length);
}

/** Slots of a token that a rank is expected to compute, or a cut of them. */
function slotsPerToken({ expertsPerToken, numExperts }: ModelDescription, { experts }: RankShare): number {
  return (expertsPerToken * experts.length) / numExperts;
}

/** Chance that at least one of a token's experts is among a rank's: 1 - C(absent, k) / C(all, k). */
function chanceOfVisit({ expertsPerToken, numExperts }: ModelDescription, { experts }: RankShare): number {
  let missed = 1;
  for (let slot = 0; slot < expertsPerToken; slot++) {
    missed *= Math.max(0, numExperts - experts.length - slot) / (numExperts - slot);
  }
  return 1 - missed;
}
