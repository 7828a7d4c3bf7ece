import { drawLength, normal, type Lengths } from "./lengths.js";
import { Random } from "./random.js";
import type { Trace, TraceRequest } from "./trace.js";

export interface SyntheticTrace {
  numRequests: number;
  /** Mean requests a second; Infinity: all at once. */
  rate: number;
  /** Shape of the gamma distribution of the times between requests: 1 is Poisson, below comes in bursts, above is regular. */
  burstiness: number;
  promptLen: Lengths;
  outputLen: Lengths;
}

/** Requests at random times with random lengths: the same for the same seed, and of the same lengths at every rate. */
export function synthesize(
  { numRequests, rate, burstiness, promptLen, outputLen }: SyntheticTrace,
  seed: number,
): Trace {
  const [times, prompts, outputs] = [new Random(3 * seed + 1), new Random(3 * seed + 2), new Random(3 * seed + 3)];
  let atMs = 0;
  return Array.from({ length: numRequests }, (_, index): TraceRequest => {
    if (index > 0 && rate !== Infinity) atMs += (1_000 * gamma(burstiness, times)) / (burstiness * rate);
    const numPromptTokens = drawLength(promptLen, prompts);
    return { atMs, numPromptTokens, numOutputTokens: drawLength(outputLen, outputs), prefixIds: [] };
  });
}

/** Of the shape, with scale 1: its mean is the shape (Marsaglia and Tsang, with their boost below 1). */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.fraction()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.fraction()) < x * x * 0.5 + d - d * v + d * Math.log(v)) return d * v;
  }
}
