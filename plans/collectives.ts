import type { ModelDescription } from "./model-description.js";
import { sizeOf } from "./apportion.js";
import { kvGroupsOf } from "./kv-groups.js";
import type { Transport } from "./machine-profile.js";
import type { CollectiveOp } from "./rank-program.js";
import type { RankShare } from "./rank-share.js";
import type { ResolvedPlan } from "./resolved-plan.js";

export type Placement = "replicated" | "sharded";

/** One kind of collective of a layer, or of the step around the layers. */
export interface CollectiveCost {
  /** `step_plan`: the lead tells the others what to do; `sample`: each says what is best in its part of the vocabulary. */
  op: CollectiveOp["op"] | "step_plan" | "sample";
  numRanks: number;
  /** In which ranks wait for each other: two where sums are made in parts and then gathered, none of a rank alone. */
  numRounds: number;
  /** Expected bytes that the busiest rank sends to others. */
  bytes: number;
  /** Expected bytes that all ranks send to others. */
  allBytes: number;
}

export interface StepCollectives {
  perLayer: CollectiveCost[];
  perStep: CollectiveCost[];
}

/** Activations travel as they are computed, in float32. */
const BYTES_PER_VALUE = 4;
/** From here on a sum may be cheaper in parts that are gathered then, with a round more: native/comm's borders. */
const BYTES_OF_TWO_ROUNDS = 64 * 1_024;
/** What a rank says about one row to be sampled greedily: the best token, its score, and sums over its part. */
const SAMPLE_SUMMARY_BYTES = 28;

/**
 * The collectives of a step that decodes `numTokens` sequences greedily, so that it has as many rows of logits. Experts are
 * taken to be chosen at random; what does not depend on that is exact. Of a plan with expert-only ranks there is no
 * replicated placement.
 */
export function collectivesOf(
  model: ModelDescription,
  plan: ResolvedPlan,
  shares: readonly RankShare[],
  placement: Placement,
  numTokens: number,
  transport: Transport,
): StepCollectives {
  if (plan.worldSize === 1) return { perLayer: [], perStep: [] };
  const own = ownCounts(numTokens, plan.attention.ranks.length);
  const step = { model, plan, shares, numTokens, own, transport, rowBytes: model.hiddenSize * BYTES_PER_VALUE };
  const around = [stepPlan(step), ...sample(step)];
  if (placement === "replicated") return { perLayer: [...allReduce(step), exchangeSlots(step)], perStep: around };
  const perLayer = [allGather(step), ...reduceScatter(step), dispatch(step), collect(step)];
  return { perLayer, perStep: [gatherLogitsRows(step), ...around] };
}

interface Step {
  model: ModelDescription;
  plan: ResolvedPlan;
  shares: readonly RankShare[];
  numTokens: number;
  /** Tokens of each rank that runs attention, where they are sharded. */
  own: readonly number[];
  transport: Transport;
  /** Of one token's hidden state. */
  rowBytes: number;
}

function allReduce({ plan, numTokens, rowBytes, transport }: Step): CollectiveCost[] {
  const { tp: numRanks, ranks } = plan.attention;
  if (numRanks === 1) return [];
  const bytes = numTokens * rowBytes;
  const numGroups = ranks.length / numRanks;
  if (!isReducedInParts(numRanks, bytes, transport)) {
    const sent = (numRanks - 1) * bytes;
    return [{ op: "all_reduce", numRanks, numRounds: 1, bytes: sent, allBytes: numGroups * numRanks * sent }];
  }
  // First the others' parts to them, then the sum of the own part to all others.
  const largest = Math.ceil(bytes / BYTES_PER_VALUE / numRanks) * BYTES_PER_VALUE;
  const sent = bytes + (numRanks - 2) * largest;
  return [{ op: "all_reduce", numRanks, numRounds: 2, bytes: sent, allBytes: numGroups * 2 * (numRanks - 1) * bytes }];
}

/** Where is_worth_scattering of the transport says so. */
function isReducedInParts(numRanks: number, bytes: number, transport: Transport): boolean {
  return transport === "shm"
    ? numRanks >= 4 && bytes >= BYTES_OF_TWO_ROUNDS
    : numRanks > 2 && bytes > BYTES_OF_TWO_ROUNDS;
}

/** Every rank sends what its experts made of a token to every other. */
function exchangeSlots({ model, plan, shares, numTokens, rowBytes }: Step): CollectiveCost {
  const sent = shares.map((share) => numTokens * slotsPerToken(model, share) * rowBytes * (plan.worldSize - 1));
  return { op: "exchange_slots", numRanks: plan.worldSize, numRounds: 1, ...sums(sent) };
}

function allGather({ plan, own, rowBytes }: Step): CollectiveCost {
  const numRanks = plan.attention.ranks.length;
  const sent = own.map((rows) => rows * rowBytes * (numRanks - 1));
  return { op: "all_gather", numRanks, numRounds: numRanks === 1 ? 0 : 1, ...sums(sent) };
}

/** A rank sends the rows of those with which it shares the heads. */
function reduceScatter({ plan, own, rowBytes }: Step): CollectiveCost[] {
  const numRanks = plan.attention.tp;
  if (numRanks === 1) return [];
  const sent = own.map((rows, index) => {
    const first = index - (index % numRanks);
    return (sumOf(own.slice(first, first + numRanks)) - rows) * rowBytes;
  });
  return [{ op: "reduce_scatter", numRanks, numRounds: 1, ...sums(sent) }];
}

/** Rows with their expert ids, once to each other rank that has one of the experts. */
function dispatch({ model, plan, shares, own, rowBytes }: Step): CollectiveCost {
  const chances = shares.map((share) => chanceOfVisit(model, share));
  const idBytes = model.expertsPerToken * BYTES_PER_VALUE;
  const sent = plan.attention.ranks.map(
    (rank, index) => own[index]! * (sumOf(chances) - chances[rank]!) * (rowBytes + idBytes),
  );
  return { op: "dispatch", numRanks: plan.worldSize, numRounds: 1, ...sums(sent) };
}

/** A slot a row, back to the owners of the rows. */
function collect({ model, plan, shares, numTokens, own, rowBytes }: Step): CollectiveCost {
  const sent = shares.map((share, rank) => {
    const ownRows = own[plan.attention.ranks.indexOf(rank)] ?? 0;
    return (numTokens - ownRows) * slotsPerToken(model, share) * rowBytes;
  });
  return { op: "collect", numRanks: plan.worldSize, numRounds: 1, ...sums(sent) };
}

function gatherLogitsRows({ plan, own, rowBytes }: Step): CollectiveCost {
  const sent = own.map((rows) => rows * rowBytes * (plan.worldSize - 1));
  return { op: "gather_logits_rows", numRanks: plan.worldSize, numRounds: 1, ...sums(sent) };
}

/** Rank 0 sends six numbers a sequence, and what frames them: native/plan_codec.cc. */
function stepPlan({ model, plan, numTokens }: Step): CollectiveCost {
  const bytes = (STEP_PLAN_FRAME_BYTES + 4 * kvGroupsOf(model).length + 24 * numTokens) * (plan.worldSize - 1);
  return { op: "step_plan", numRanks: plan.worldSize, numRounds: 1, bytes, allBytes: bytes };
}

/** Header, epoch, step id and placement; the counts of ten lists; the first of the query starts. */
const STEP_PLAN_FRAME_BYTES = 16 + 8 + 8 + 4 + 10 * 4 + 4;

/** Nothing where every rank has the whole head. */
function sample({ model, plan, shares, numTokens }: Step): CollectiveCost[] {
  if (shares.every(({ vocab }) => sizeOf(vocab) === model.vocabSize)) return [];
  const sent = shares.map(() => numTokens * SAMPLE_SUMMARY_BYTES * (plan.worldSize - 1));
  return [{ op: "sample", numRanks: plan.worldSize, numRounds: 1, ...sums(sent) }];
}

/** Rows of each owner in turn, as equal as can be. */
export function ownCounts(numRows: number, numOwners: number): number[] {
  const begin = (index: number): number => Math.floor((numRows * index) / numOwners);
  return Array.from({ length: numOwners }, (_, index) => begin(index + 1) - begin(index));
}

/** Rows of the owner with most: the others wait for it. */
export function ownRows({ attention }: ResolvedPlan, numRows: number): number {
  return Math.max(...ownCounts(numRows, attention.ranks.length));
}

/** Of the busiest rank, and of all. */
function sums(sent: readonly number[]): Pick<CollectiveCost, "bytes" | "allBytes"> {
  return { bytes: Math.max(...sent), allBytes: sumOf(sent) };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
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
