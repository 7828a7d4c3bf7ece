import { sizeOf } from "./apportion.js";
import { collectivesOf, ownRows, type CollectiveCost, type Placement, type StepCollectives } from "./collectives.js";
import { expectedSlowest, hitFraction } from "./expected-experts.js";
import { lower } from "./lower.js";
import { lowerWeights } from "./lower-weights.js";
import type { MachineProfile } from "./machine-profile.js";
import type { ModelDescription } from "./model-description.js";
import { expertGroups } from "./rank-groups.js";
import type { Precision } from "./rank-program.js";
import { sharesOf, type RankShare } from "./rank-share.js";
import type { ResolvedPlan } from "./resolved-plan.js";
import { checkpointBytes, classOf, storedBytes, TENSOR_CLASSES, type TensorClass } from "./tensor-class.js";

/** A usual length of a conversation, for choices that depend on it. */
export const USUAL_SEQ_LEN = 1_024;

export interface CostOptions {
  dequantize: boolean;
  /** Decides how keys and values are stored: in float32, or in bf16. */
  precision: Precision;
  /** Tokens whose KV each token of a step reads. */
  seqLen: number;
}

/** A plan on a machine: what a step costs follows from it. */
export interface PlanCost {
  model: ModelDescription;
  plan: ResolvedPlan;
  profile: MachineProfile;
  options: CostOptions;
  ranks: RankCost[];
  /** Ops of a rank that runs attention, in a step of each placement; 0 where the plan has it not. */
  numOps: Record<Placement, number>;
}

export interface RankCost {
  share: RankShare;
  /** Stored bytes of all layers. */
  bytes: Record<TensorClass, number>;
  weightsBytes: number;
  /** Of its slices in the checkpoint. */
  checkpointBytes: number;
  /** Of one token, in one layer: keys and values. */
  kvBytesPerLayer: number;
  /** Times as fast as the profile says; its weight over the mean of all. */
  speed: number;
}

type LayerKind = ModelDescription["layerKinds"][number];

/** What the time of a step depends on. */
export interface StepShape {
  /** That pass through the layers. */
  numTokens: number;
  /** Whose logits are wanted. */
  numSampled: number;
  /** Keys that one layer of each kind reads, those of each sequence once. */
  keysRead: Record<LayerKind, number>;
  /** Pairs of a query and a key that one layer of each kind multiplies. */
  pairs: Record<LayerKind, number>;
}

export interface StepCost {
  placement: Placement;
  numTokens: number;
  attentionMs: number;
  expertsMs: number;
  headMs: number;
  collectivesMs: number;
  /** Of ops, tokens and the step itself, beside all of these. */
  overheadMs: number;
  totalMs: number;
  collectives: StepCollectives;
}

export function costOf(
  model: ModelDescription,
  plan: ResolvedPlan,
  profile: MachineProfile,
  options: CostOptions,
): PlanCost {
  const meanWeight = plan.weights.reduce((sum, weight) => sum + weight, 0) / plan.worldSize;
  const ranks = sharesOf(model, plan).map((share, rank): RankCost => {
    const held = bytesOfShare(model, share, options);
    return {
      share,
      ...held,
      weightsBytes: TENSOR_CLASSES.reduce((sum, kind) => sum + held.bytes[kind], 0),
      kvBytesPerLayer: 2 * sizeOf(share.kvHeads) * model.headDim * (options.precision === "fast" ? 2 : 4),
      speed: (plan.weights[rank] ?? 1) / meanWeight,
    };
  });
  return { model, plan, profile, options, ranks, numOps: countOps(model, plan) };
}

/** Placements that a plan has. Without attention on every rank nobody could hold all hidden states. */
export function placementsOf({ attention, worldSize, tokens }: ResolvedPlan): Placement[] {
  if (worldSize === 1) return ["replicated"];
  if (attention.ranks.length < worldSize) return ["sharded"];
  return tokens === "auto" ? ["replicated", "sharded"] : [tokens];
}

/** A step that decodes `numTokens` sequences of the usual length. */
export function decodeShape({ model, options }: PlanCost, numTokens: number): StepShape {
  const keys = (kind: LayerKind): number => numTokens * keysSeen(model, kind, options.seqLen);
  const all = { full: keys("full"), sliding: keys("sliding") };
  return { numTokens, numSampled: numTokens, keysRead: all, pairs: all };
}

/** Predicted time of a step that decodes `numTokens` sequences. */
export function predictStep(cost: PlanCost, placement: Placement, numTokens: number): StepCost {
  return predictShape(cost, placement, decodeShape(cost, numTokens));
}

/**
 * Predicted time of a step. Ranks wait for each other in every layer, so a layer takes as long as its slowest rank, and a rank
 * as long as the larger of its reads and its arithmetic. The overheads of the profile come on top.
 */
export function predictShape(cost: PlanCost, placement: Placement, shape: StepShape): StepCost {
  const { model, plan, profile } = cost;
  const { numTokens } = shape;
  const numLayers = model.layerKinds.length;
  const shares = cost.ranks.map(({ share }) => share);
  const collectives = collectivesOf(model, plan, shares, placement, numTokens, profile.transport);
  const parts = {
    attentionMs: attentionMs(cost, placement, shape),
    expertsMs: numLayers * expertsMs(cost, numTokens),
    headMs: headMs(cost, shape.numSampled),
    collectivesMs:
      numLayers * sumOf(collectives.perLayer, (one) => collectiveMs(one, profile)) +
      sumOf(collectives.perStep, (one) => collectiveMs(one, profile)),
    overheadMs: overheadMs(cost, placement, shape),
  };
  const totalMs = parts.attentionMs + parts.expertsMs + parts.headMs + parts.collectivesMs + parts.overheadMs;
  return { placement, numTokens, ...parts, totalMs, collectives };
}

/** The faster of a plan's placements. */
export function predictFastestStep(cost: PlanCost, numTokens: number): StepCost {
  return predictFastestShape(cost, decodeShape(cost, numTokens));
}

export function predictFastestShape(cost: PlanCost, shape: StepShape): StepCost {
  const steps = placementsOf(cost.plan).map((placement) => predictShape(cost, placement, shape));
  return steps.reduce((best, step) => (step.totalMs < best.totalMs ? step : best));
}

/** No step has more tokens. */
const MOST_TOKENS = 8_192;

/** The size of step from which sharded tokens are predicted to be faster; null when they never are. */
export function shardedFromTokens(cost: PlanCost): number | null {
  const isFaster = (numTokens: number): boolean =>
    predictStep(cost, "sharded", numTokens).totalMs < predictStep(cost, "replicated", numTokens).totalMs;
  let high = 1;
  while (high <= MOST_TOKENS && !isFaster(high)) high *= 2;
  if (high > MOST_TOKENS) return null;
  let low = Math.floor(high / 2);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (isFaster(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Bytes that a rank is expected to read in a step: every weight but the experts that no token hits, and the KV. */
export function bytesRead(cost: PlanCost, rank: number, numTokens: number): { weightsBytes: number; kvBytes: number } {
  const { model, options } = cost;
  const { share, bytes, weightsBytes, kvBytesPerLayer } = cost.ranks[rank]!;
  const hit = hitFraction(numTokens, model.expertsPerToken, model.numExperts);
  const embedding = share.runsAttention ? (bytes.embedding * numTokens) / model.vocabSize : 0;
  const read = weightsBytes - bytes.embedding + embedding - (1 - hit) * bytes.experts;
  const keys = sumOf(model.layerKinds, (kind) => keysSeen(model, kind, options.seqLen));
  return { weightsBytes: read, kvBytes: numTokens * keys * kvBytesPerLayer };
}

// ---- what ranks hold -----------------------------------------------------------------------------------------------

function countOps(model: ModelDescription, plan: ResolvedPlan): PlanCost["numOps"] {
  const limits = { maxBatchedTokens: 1, maxSequences: 1, maxSeqLen: 1, blockSize: 1, numBlocks: 2 };
  const { ops, shardedOps } = lower(model, plan, plan.attention.ranks[0] ?? 0, {
    limits,
    precision: "exact",
    dequantize: false,
  });
  return { replicated: ops.length, sharded: shardedOps?.length ?? 0 };
}

/** All layers hold the same, so one is lowered and counted for all. */
function bytesOfShare(
  model: ModelDescription,
  share: RankShare,
  options: CostOptions,
): Pick<RankCost, "bytes" | "checkpointBytes"> {
  let fromCheckpoint = 0;
  const bytes = { embedding: 0, attention: 0, router: 0, experts: 0, norms: 0, lm_head: 0 };
  const oneLayer = { ...model, layerKinds: model.layerKinds.slice(0, 1) };
  for (const weight of lowerWeights(oneLayer, share, options)) {
    const times = weight.name.startsWith("layers.") ? model.layerKinds.length : 1;
    bytes[classOf(weight)] += times * storedBytes(weight);
    fromCheckpoint += times * checkpointBytes(weight);
  }
  return { bytes, checkpointBytes: fromCheckpoint };
}

function keysSeen(model: ModelDescription, kind: "full" | "sliding", seqLen: number): number {
  return kind === "full" ? seqLen : Math.min(model.slidingWindow, seqLen);
}

// ---- what takes how long -------------------------------------------------------------------------------------------

function rankMs({ profile }: PlanCost, { speed }: RankCost, bytes: number, flops: number): number {
  return (1_000 * Math.max(bytes / profile.readBytesPerSecond, flops / profile.flopsPerSecond)) / speed;
}

function attentionMs(cost: PlanCost, placement: Placement, shape: StepShape): number {
  const { model } = cost;
  const slowest = (kind: LayerKind): number => {
    const layer = (rank: RankCost): number => attentionLayerMs(cost, rank, placement, shape, kind);
    return Math.max(...cost.ranks.filter(({ share }) => share.runsAttention).map(layer));
  };
  const ms = { full: 0, sliding: 0 };
  for (const kind of new Set(model.layerKinds)) ms[kind] = slowest(kind);
  return sumOf(model.layerKinds, (kind) => ms[kind]);
}

/** Norms, q, k, v, attention, o and the router. With whole heads and sharded tokens, o and the router see own rows only. */
function attentionLayerMs(
  cost: PlanCost,
  rank: RankCost,
  placement: Placement,
  { numTokens, keysRead, pairs }: StepShape,
  kind: LayerKind,
): number {
  const { model, plan, profile } = cost;
  const { bytes, share, kvBytesPerLayer } = rank;
  const { hiddenSize, headDim, numExperts } = model;
  const layerBytes = (bytes.attention + bytes.router + bytes.norms) / model.layerKinds.length;
  const own = placement === "sharded" ? ownRows(plan, numTokens) : numTokens;
  const outputRows = plan.attention.tp === 1 ? own : numTokens;
  const queries = sizeOf(share.heads) * headDim;
  const projected = queries + 2 * sizeOf(share.kvHeads) * headDim;
  const linearFlops = 2 * hiddenSize * (numTokens * projected + outputRows * queries + own * numExperts);
  // As many of the kind that matrices take as take the same time.
  const pairFlops = (4 * queries * pairs[kind] * profile.flopsPerSecond) / profile.attentionFlopsPerSecond;
  return rankMs(cost, rank, layerBytes + keysRead[kind] * kvBytesPerLayer, linearFlops + pairFlops);
}

/** One layer: the slowest rank by expected reads, or by arithmetic where that takes longer. */
function expertsMs(cost: PlanCost, numTokens: number): number {
  const { model, ranks, plan } = cost;
  const { hiddenSize, expertsPerToken, numExperts } = model;
  const hit = hitFraction(numTokens, expertsPerToken, numExperts);
  const places = expertGroups(plan).map((group) => {
    const members = group.map((rank) => ranks[rank]!);
    const timePerExpert = Math.max(...members.map((rank) => rankMs(cost, rank, bytesPerExpert(cost, rank), 0)));
    return { numExperts: members[0]!.share.experts.length, timePerExpert };
  });
  const computing = ranks.map((rank) => {
    const slots = (numTokens * expertsPerToken * rank.share.experts.length) / numExperts;
    return rankMs(cost, rank, 0, slots * 6 * hiddenSize * sizeOf(rank.share.intermediate));
  });
  return Math.max(expectedSlowest(places, hit), ...computing);
}

function bytesPerExpert({ model }: PlanCost, { bytes, share }: RankCost): number {
  return share.experts.length === 0 ? 0 : bytes.experts / share.experts.length / model.layerKinds.length;
}

/** Of a step that samples nothing, which does not read the head. */
function headMs(cost: PlanCost, numRows: number): number {
  if (numRows === 0) return 0;
  const { hiddenSize } = cost.model;
  const times = cost.ranks.map((rank) =>
    rankMs(cost, rank, rank.bytes.lm_head, 2 * numRows * hiddenSize * sizeOf(rank.share.vocab)),
  );
  return Math.max(...times);
}

function overheadMs(cost: PlanCost, placement: Placement, { numTokens, numSampled }: StepShape): number {
  const { profile, numOps } = cost;
  const opsUs = numOps[placement] * (profile.opUs + numTokens * profile.opRowUs * largestPart(cost));
  return (opsUs + profile.stepUs + numSampled * profile.sampleUs) / 1_000;
}

/** The part of a layer's work that the busiest rank has: what kernels lose with each token is shared out as the work is. */
function largestPart({ model, ranks }: PlanCost): number {
  const parts = ranks.map(({ share }) => {
    const experts = (share.experts.length * sizeOf(share.intermediate)) / (model.numExperts * model.intermediateSize);
    return (sizeOf(share.heads) / model.numHeads + experts) / 2;
  });
  return Math.max(...parts);
}

function collectiveMs({ numRounds, bytes }: CollectiveCost, profile: MachineProfile): number {
  return (numRounds * profile.linkLatencyUs) / 1_000 + (1_000 * bytes) / profile.linkBytesPerSecond;
}

function sumOf<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((sum, value) => sum + of(value), 0);
}
