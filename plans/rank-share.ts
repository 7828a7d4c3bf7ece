import type { ModelDescription } from "./model-description.js";

/** [begin, end). */
export type Range = [number, number];

/** What one rank holds of each axis along which a model can be cut. */
export interface RankShare {
  heads: Range;
  kvHeads: Range;
  experts: Range;
  /** Units of every expert; borders are multiples of 32, the MXFP4 block. */
  intermediate: Range;
  /** Rows of the head. */
  vocab: Range;
}

/** The share of a rank that is alone. */
export function wholeShare(model: ModelDescription): RankShare {
  return {
    heads: [0, model.numHeads],
    kvHeads: [0, model.numKvHeads],
    experts: [0, model.numExperts],
    intermediate: [0, model.intermediateSize],
    vocab: [0, model.vocabSize],
  };
}

export function sizeOf([begin, end]: Range): number {
  return end - begin;
}

/** A range in larger units: heads as rows. */
export function scaled([begin, end]: Range, factor: number): Range {
  return [begin * factor, end * factor];
}
