import { assert } from "../proto/errors.js";
import type { ResolvedPlan } from "./resolved-plan.js";

/** The sets of ranks that a plan's collectives run over; the same on every rank, so that an index means the same to all. */
export interface RankGroups {
  /** As RankProgram has them: 0 is the world, each set once. */
  groups: number[][];
  /** Index of the ranks that run attention. */
  owners: number;
}

/** Index of the world. */
export const WORLD = 0;

export function rankGroups(plan: ResolvedPlan): RankGroups {
  const groups = [range(plan.worldSize)];
  const indexOf = (ranks: number[]): number => {
    const index = groups.findIndex((group) => isSame(group, ranks));
    return index >= 0 ? index : groups.push(ranks) - 1;
  };
  const owners = indexOf(plan.attention.ranks);
  if (plan.attention.tp > 1) attentionGroups(plan).forEach(indexOf);
  return { groups, owners };
}

/** Runs of `tp` attention ranks: each run holds all heads between its ranks. */
export function attentionGroups({ attention }: ResolvedPlan): number[][] {
  return runsOf(attention.ranks, attention.tp);
}

/** Runs of `tp` ranks of the world: each run holds the same experts, cut between its ranks. */
export function expertGroups({ experts, worldSize }: Pick<ResolvedPlan, "experts" | "worldSize">): number[][] {
  return runsOf(range(worldSize), experts.tp);
}

/** The group with which a rank adds up the outputs of its heads. */
export function attentionGroupOf(plan: ResolvedPlan, { groups }: RankGroups, rank: number): number {
  const own = attentionGroups(plan).find((ranks) => ranks.includes(rank));
  const index = own === undefined ? -1 : groups.findIndex((group) => isSame(group, own));
  assert(index >= 0, `rank ${rank} is in no attention group`);
  return index;
}

function runsOf(ranks: readonly number[], length: number): number[][] {
  return Array.from({ length: ranks.length / length }, (_, run) => ranks.slice(run * length, (run + 1) * length));
}

export function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((rank, index) => rank === right[index]);
}
