import type { StepShape } from "./cost.js";
import type { ModelDescription } from "./model-description.js";

/** A step in which `numSeqs` sequences of `seqLen` tokens decode one more. */
export function decodeShapeAt(model: ModelDescription, numSeqs: number, seqLen: number): StepShape {
  const keys = { full: numSeqs * seqLen, sliding: numSeqs * Math.min(model.slidingWindow, seqLen) };
  return { numTokens: numSeqs, numSampled: numSeqs, keysRead: keys, pairs: keys };
}

/** A step that computes tokens `begin` to `end` of one sequence and samples the next. */
export function chunkShape(model: ModelDescription, begin: number, end: number): StepShape {
  const shape = emptyShape();
  addChunk(shape, model, begin, end, true);
  return shape;
}

export function emptyShape(): StepShape {
  return { numTokens: 0, numSampled: 0, keysRead: { full: 0, sliding: 0 }, pairs: { full: 0, sliding: 0 } };
}

/** Adds tokens `begin` to `end` of one more sequence to a step. */
export function addChunk(
  shape: StepShape,
  model: ModelDescription,
  begin: number,
  end: number,
  isSampled: boolean,
): void {
  shape.numTokens += end - begin;
  shape.numSampled += isSampled ? 1 : 0;
  for (const kind of ["full", "sliding"] as const) {
    const window = kind === "full" ? Infinity : model.slidingWindow;
    shape.keysRead[kind] += end - Math.max(0, begin + 1 - window);
    shape.pairs[kind] += pairsWithin(window, end) - pairsWithin(window, begin);
  }
}

/** Pairs of query and key of the first `length` tokens; each sees itself and what is before it, within the window. */
function pairsWithin(window: number, length: number): number {
  const whole = Math.min(window, length);
  return (whole * (whole + 1)) / 2 + Math.max(0, length - whole) * whole;
}
