/** Tokens of a request's prompt and of its answer. */
export interface BatchLengths {
  promptLen: number;
  outputLen: number;
}

/** A lognormal distribution, cut off at both ends. */
interface Spread {
  median: number;
  /** Of the logarithm. */
  sigma: number;
  min: number;
  max: number;
}

/**
 * Lengths as word problems of school mathematics have them, GSM8K among them: questions of about 45 words, and worked answers
 * of a few sentences of which some are several times as long as others. Made up, with no data set behind them; what matters
 * for batching is how much the answers differ.
 */
const PROMPTS: Spread = { median: 60, sigma: 0.4, min: 20, max: 200 };
const ANSWERS: Spread = { median: 120, sigma: 0.6, min: 16, max: 512 };

/** The same for the same seed. */
export function batchLengths(numRequests: number, seed: number): BatchLengths[] {
  const random = randomOf(seed);
  return Array.from({ length: numRequests }, () => ({
    promptLen: drawn(PROMPTS, random),
    outputLen: drawn(ANSWERS, random),
  }));
}

function drawn({ median, sigma, min, max }: Spread, random: () => number): number {
  // Box and Muller's normal deviate; the logarithm must not see zero.
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.min(max, Math.max(min, Math.round(median * Math.exp(sigma * normal))));
}

/** Numbers from 0 to below 1: a linear congruential generator, whose upper bits are good enough for lengths. */
function randomOf(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
