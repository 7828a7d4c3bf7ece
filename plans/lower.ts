import { assert } from "../proto/errors.js";
import { sizeOf } from "./apportion.js";
import { kvGroupsOf } from "./kv-groups.js";
import { buffersOf } from "./lower-buffers.js";
import { replicatedOps } from "./lower-replicated.js";
import { shardedOps } from "./lower-sharded.js";
import { lowerWeights } from "./lower-weights.js";
import type { ModelDescription } from "./model-description.js";
import { attentionGroupOf, range, rankGroups } from "./rank-groups.js";
import type { Precision, ProgramDims, ProgramLimits, RankProgram } from "./rank-program.js";
import { sharesOf } from "./rank-share.js";
import type { ResolvedPlan } from "./resolved-plan.js";
import type { RankView } from "./rank-view.js";

export interface LowerOptions {
  limits: ProgramLimits;
  precision: Precision;
  /** Store MXFP4 experts as bf16. */
  dequantize: boolean;
}

/**
 * The program of one rank: a pure function of its arguments. Where some ranks run experts only, nobody could hold every
 * token's hidden states, and `ops` is empty.
 */
export function lower(model: ModelDescription, plan: ResolvedPlan, rank: number, options: LowerOptions): RankProgram {
  assert(rank >= 0 && rank < plan.worldSize, `rank ${rank} of ${plan.worldSize}`);
  const view = viewOf(model, plan, rank);
  const isReplicated = plan.attention.ranks.length === plan.worldSize;
  return {
    rank,
    worldSize: plan.worldSize,
    precision: options.precision,
    dims: dimsOf(model, plan, rank),
    limits: options.limits,
    rope: model.rope,
    kvGroups: view.kvGroups,
    weights: lowerWeights(model, view.share, options),
    buffers: buffersOf(view, { isReplicated, isSharded: plan.worldSize > 1 }),
    ops: isReplicated ? replicatedOps(view) : [],
    shardedOps: plan.worldSize > 1 ? shardedOps(view) : null,
    groups: rankGroups(plan).groups,
    tokenOwners: plan.attention.ranks,
  };
}

function viewOf(model: ModelDescription, plan: ResolvedPlan, rank: number): RankView {
  const share = sharesOf(model, plan)[rank]!;
  const groups = rankGroups(plan);
  const addsUp = plan.attention.tp > 1 && share.runsAttention;
  return {
    model,
    share,
    kvGroups: kvGroupsOf(model),
    worldSize: plan.worldSize,
    owners: groups.owners,
    headGroup: addsUp ? attentionGroupOf(plan, groups, rank) : null,
  };
}

function dimsOf(model: ModelDescription, plan: ResolvedPlan, rank: number): ProgramDims {
  const shares = sharesOf(model, plan);
  const share = shares[rank]!;
  const expertRanks = range(model.numExperts).map((): number[] => []);
  plan.experts.assign.forEach((experts, holder) => experts.forEach((expert) => expertRanks[expert]?.push(holder)));
  return {
    hiddenSize: model.hiddenSize,
    vocabSize: sizeOf(share.vocab),
    headDim: model.headDim,
    numHeads: sizeOf(share.heads),
    numKvHeads: sizeOf(share.kvHeads),
    numExperts: share.experts.length,
    expertsPerToken: model.expertsPerToken,
    intermediateSize: sizeOf(share.intermediate),
    numGlobalExperts: model.numExperts,
    localExperts: share.experts,
    expertRanks,
    rankHeads: shares.map(({ heads }) => sizeOf(heads)),
    rankIntermediateSizes: shares.map(({ intermediate }) => sizeOf(intermediate)),
    globalVocabSize: model.vocabSize,
    vocabBegin: share.vocab[0],
  };
}
