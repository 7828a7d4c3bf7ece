import { sizeOf } from "./apportion.js";
import type { CollectiveCost, Placement, StepCollectives } from "./collectives.js";
import { bytesRead, costOf, placementsOf, predictStep, type PlanCost } from "./cost.js";
import { renderReplica } from "./explain-replica-text.js";
import { layoutName } from "./layout-choice.js";
import { FIGURES, type MachineProfile, type SourcedProfile } from "./machine-profile.js";
import type { ModelDescription } from "./model-description.js";
import type { Precision } from "./rank-program.js";
import type { PlanDecision, ResolvedPlan } from "./resolved-plan.js";
import { recommend, strategiesOf } from "./strategies.js";
import type { TensorClass } from "./tensor-class.js";

export interface ReplicaInput {
  /** As it is to be called. */
  modelName: string;
  model: ModelDescription;
  plan: ResolvedPlan;
  profile: MachineProfile;
  /** Of each figure of the profile, where it comes from. */
  sources: SourcedProfile["sources"];
  dequantize: boolean;
  precision: Precision;
  /** Tokens of each sequence in the steps that are predicted. */
  seqLen: number;
}

/** Field names are those of the JSON result. Bytes are stored bytes before packing, unless they say. */
export interface ReplicaExplanation {
  model: string;
  world_size: number;
  layout: { name: string; ep: number; tp: number; attention_tp: number; attention_ranks: number[] };
  tokens: { placement: ResolvedPlan["tokens"]; sharded_from_tokens: number | null };
  ranks: RankExplanation[];
  weights_bytes: { all_ranks: number; one_copy: number };
  collectives: CollectiveExplanation[];
  profile: {
    read_bytes_per_second: number;
    flops_per_second: number;
    attention_flops_per_second: number;
    link_latency_us: number;
    link_bytes_per_second: number;
    op_us: number;
    op_row_us: number;
    step_us: number;
    sample_us: number;
    request_us: number;
    /** shm or tcp. */
    transport: string;
    /** Where each figure comes from. */
    sources: Record<string, string>;
  };
  seq_len: number;
  steps: StepExplanation[];
  strategies: { kind: string; name: string; step_ms: number[]; rank_weights_bytes: number; is_plan: boolean }[];
  /** One for each of `STEP_SIZES`. */
  recommendations: { num_tokens: number; text: string }[];
  choices: PlanDecision[];
}

export interface RankExplanation {
  rank: number;
  num_heads: number;
  num_kv_heads: number;
  num_experts: number;
  intermediate_size: number;
  vocab_rows: number;
  bytes: Record<TensorClass, number>;
  weights_bytes: number;
  /** Of its slices in the checkpoint: what it reads at load. Rows that ranks share are read by turns that follow it. */
  checkpoint_bytes: number;
  /** Keys and values of one token in all layers. */
  kv_bytes_per_token: number;
  /** Expected in a step of one token, KV included. */
  read_bytes: number;
}

export interface CollectiveExplanation {
  placement: Placement;
  op: string;
  num_ranks: number;
  per_layer: number;
  per_step: number;
  /** Expected of the busiest rank in one of them, for each of `STEP_SIZES`. */
  sent_bytes: number[];
  /** The same, of all ranks together. */
  all_sent_bytes: number[];
}

export interface StepExplanation {
  num_tokens: number;
  placement: Placement;
  attention_ms: number;
  experts_ms: number;
  head_ms: number;
  collectives_ms: number;
  overhead_ms: number;
  total_ms: number;
}

/** Steps that are looked at: one conversation, and many. */
export const STEP_SIZES = [1, 64] as const;

/** What a plan makes of a replica's ranks, for a person (`text`) and for a program (`json`). Nothing is measured here. */
export function explainReplica(input: ReplicaInput): { json: ReplicaExplanation; text: string } {
  const { modelName, model, plan, profile, sources, dequantize, precision, seqLen } = input;
  const json = explanationOf(modelName, costOf(model, plan, profile, { dequantize, precision, seqLen }), sources);
  return { json, text: renderReplica(json) };
}

function explanationOf(modelName: string, cost: PlanCost, sources: SourcedProfile["sources"]): ReplicaExplanation {
  const { plan, options } = cost;
  const { attention, experts, worldSize } = plan;
  const layout = { ep: experts.ep, tp: experts.tp, attentionTp: attention.tp };
  const strategies = strategiesOf(cost, STEP_SIZES);
  const ranks = cost.ranks.map((_, rank) => rankExplanation(cost, rank));
  const oneCopy = strategies.find(({ kind }) => kind === "replicas")?.rankWeightsBytes;
  return {
    model: modelName,
    world_size: worldSize,
    layout: {
      name: layoutName(layout),
      ep: layout.ep,
      tp: layout.tp,
      attention_tp: attention.tp,
      attention_ranks: attention.ranks,
    },
    tokens: { placement: plan.tokens, sharded_from_tokens: plan.shardedFromTokens },
    ranks,
    weights_bytes: weightsBytes(ranks, oneCopy),
    collectives: placementsThere(plan).flatMap((placement) => collectiveExplanations(cost, placement)),
    profile: profileExplanation(cost.profile, sources),
    seq_len: options.seqLen,
    steps: STEP_SIZES.flatMap((numTokens) =>
      placementsThere(plan).map((placement) => stepExplanation(cost, placement, numTokens)),
    ),
    strategies: strategies.map(({ kind, name, stepMs, rankWeightsBytes, isPlan }) => {
      return { kind, name, step_ms: stepMs, rank_weights_bytes: rankWeightsBytes, is_plan: isPlan };
    }),
    recommendations:
      worldSize === 1
        ? []
        : STEP_SIZES.map((numTokens, index) => {
            return { num_tokens: numTokens, text: recommend(strategies, numTokens, index) };
          }),
    choices: plan.choices,
  };
}

function profileExplanation(
  profile: MachineProfile,
  sources: SourcedProfile["sources"],
): ReplicaExplanation["profile"] {
  return {
    read_bytes_per_second: profile.readBytesPerSecond,
    flops_per_second: profile.flopsPerSecond,
    attention_flops_per_second: profile.attentionFlopsPerSecond,
    link_latency_us: profile.linkLatencyUs,
    link_bytes_per_second: profile.linkBytesPerSecond,
    op_us: profile.opUs,
    op_row_us: profile.opRowUs,
    step_us: profile.stepUs,
    sample_us: profile.sampleUs,
    request_us: profile.requestUs,
    transport: profile.transport,
    sources: Object.fromEntries(FIGURES.map((figure) => [snakeCased(figure), sources[figure]])),
  };
}

function snakeCased(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Both placements where both can be, whichever the plan takes: what the other would cost is the question. */
function placementsThere(plan: ResolvedPlan): Placement[] {
  return placementsOf({ ...plan, tokens: "auto" });
}

function weightsBytes(
  ranks: readonly RankExplanation[],
  oneCopy: number | undefined,
): ReplicaExplanation["weights_bytes"] {
  const all = ranks.reduce((sum, rank) => sum + rank.weights_bytes, 0);
  return { all_ranks: all, one_copy: oneCopy ?? all };
}

function rankExplanation(cost: PlanCost, rank: number): RankExplanation {
  const { share, bytes, weightsBytes, checkpointBytes, kvBytesPerLayer } = cost.ranks[rank]!;
  const read = bytesRead(cost, rank, 1);
  return {
    rank,
    num_heads: sizeOf(share.heads),
    num_kv_heads: sizeOf(share.kvHeads),
    num_experts: share.experts.length,
    intermediate_size: sizeOf(share.intermediate),
    vocab_rows: sizeOf(share.vocab),
    bytes,
    weights_bytes: weightsBytes,
    checkpoint_bytes: checkpointBytes,
    kv_bytes_per_token: kvBytesPerLayer * cost.model.layerKinds.length,
    read_bytes: Math.round(read.weightsBytes + read.kvBytes),
  };
}

function collectiveExplanations(cost: PlanCost, placement: Placement): CollectiveExplanation[] {
  const [first, ...others] = STEP_SIZES.map((numTokens) => predictStep(cost, placement, numTokens).collectives);
  const numLayers = cost.model.layerKinds.length;
  const rows = (key: keyof StepCollectives, perLayer: number, perStep: number): CollectiveExplanation[] =>
    (first?.[key] ?? []).map(({ op, numRanks, bytes, allBytes }: CollectiveCost, index) => ({
      placement,
      op,
      num_ranks: numRanks,
      per_layer: perLayer,
      per_step: perStep,
      sent_bytes: [bytes, ...others.map((other) => other[key][index]!.bytes)].map(Math.round),
      all_sent_bytes: [allBytes, ...others.map((other) => other[key][index]!.allBytes)].map(Math.round),
    }));
  return [...rows("perLayer", 1, numLayers), ...rows("perStep", 0, 1)];
}

function stepExplanation(cost: PlanCost, placement: Placement, numTokens: number): StepExplanation {
  const step = predictStep(cost, placement, numTokens);
  return {
    num_tokens: numTokens,
    placement,
    attention_ms: step.attentionMs,
    experts_ms: step.expertsMs,
    head_ms: step.headMs,
    collectives_ms: step.collectivesMs,
    overhead_ms: step.overheadMs,
    total_ms: step.totalMs,
  };
}
