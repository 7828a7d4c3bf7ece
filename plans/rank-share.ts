import { apportion, scaled, type Range } from "./apportion.js";
import type { ModelDescription } from "./model-description.js";
import { attentionGroups, expertGroups } from "./rank-groups.js";
import type { ResolvedPlan } from "./resolved-plan.js";
import { styleReader } from "./shard-rules.js";

/** What one rank holds of each axis along which a model can be cut. */
export interface RankShare {
  /** Whether it runs attention, and so owns tokens; else it runs experts and its rows of the head only. */
  runsAttention: boolean;
  /** Whole heads, and the KV heads that they read: head h of the share reads KV head h / (heads / kvHeads) of it. */
  heads: Range;
  kvHeads: Range;
  /** Ids, ascending. */
  experts: number[];
  /** Units of every expert; borders are multiples of 32, the MXFP4 block. */
  intermediate: Range;
  /** Rows of the head. */
  vocab: Range;
  /** Biases of outputs that several ranks add up belong to the first of them. */
  hasOutputBias: boolean;
  hasDownBias: boolean;
}

/** The shares of all ranks. */
export function sharesOf(model: ModelDescription, plan: ResolvedPlan): RankShare[] {
  const vocabs = vocabCuts(model, plan);
  const shares = vocabs.map((vocab, rank) => ({
    ...expertOnlyShare(),
    experts: plan.experts.assign[rank] ?? [],
    vocab,
  }));
  for (const ranks of attentionGroups(plan)) {
    headCuts(model, weightsOf(plan, ranks)).forEach((cut, index) => {
      Object.assign(shares[ranks[index]!]!, cut, { runsAttention: true, hasOutputBias: index === 0 });
    });
  }
  for (const ranks of expertGroups(plan)) {
    intermediateCuts(model, weightsOf(plan, ranks)).forEach((intermediate, index) => {
      Object.assign(shares[ranks[index]!]!, { intermediate, hasDownBias: index === 0 });
    });
  }
  return shares;
}

function expertOnlyShare(): RankShare {
  return {
    runsAttention: false,
    heads: [0, 0],
    kvHeads: [0, 0],
    experts: [],
    intermediate: [0, 0],
    vocab: [0, 0],
    hasOutputBias: false,
    hasDownBias: false,
  };
}

function weightsOf({ weights }: ResolvedPlan, ranks: readonly number[]): number[] {
  return ranks.map((rank) => weights[rank] ?? 1);
}

type HeadCut = Pick<RankShare, "heads" | "kvHeads">;

/**
 * Up to as many ranks as KV heads are cut between KV heads, each with all the heads that read it. More ranks share KV
 * heads: each has one, and some of the heads that read it.
 */
function headCuts({ numHeads, numKvHeads }: ModelDescription, weights: readonly number[]): HeadCut[] {
  const perKvHead = numHeads / numKvHeads;
  if (weights.length <= numKvHeads) {
    return apportion(numKvHeads, weights).map((kvHeads) => ({ heads: scaled(kvHeads, perKvHead), kvHeads }));
  }
  const sharers = apportion(
    weights.length,
    Array.from({ length: numKvHeads }, () => 1),
  );
  return sharers.flatMap(([first, end], kvHead) =>
    apportion(perKvHead, weights.slice(first, end)).map(([begin, stop]): HeadCut => ({
      heads: [kvHead * perKvHead + begin, kvHead * perKvHead + stop],
      kvHeads: [kvHead, kvHead + 1],
    })),
  );
}

const MXFP4_BLOCK = 32;

function intermediateCuts({ intermediateSize }: ModelDescription, weights: readonly number[]): Range[] {
  return apportion(intermediateSize / MXFP4_BLOCK, weights).map((blocks) => scaled(blocks, MXFP4_BLOCK));
}

/** Rows that kernels like to take at once; smaller vocabularies are cut anywhere. */
const VOCAB_GRANULE = 16;

function vocabCuts({ vocabSize }: ModelDescription, plan: ResolvedPlan): Range[] {
  if (styleReader(plan.shard)("lm_head") === "replicate") return plan.weights.map(() => [0, vocabSize]);
  const granule = vocabSize >= VOCAB_GRANULE * plan.worldSize ? VOCAB_GRANULE : 1;
  const cuts = apportion(Math.ceil(vocabSize / granule), plan.weights);
  return cuts.map(([begin, end]) => [begin * granule, Math.min(end * granule, vocabSize)]);
}
