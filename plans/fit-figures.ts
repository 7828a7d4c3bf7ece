import type { MeasuredStep } from "./calibration.js";
import { predictFastestShape, type PlanCost } from "./cost.js";
import type { Figures, MachineProfile } from "./machine-profile.js";

/** Of a step that was measured, what the fit looks at. */
export type StepSample = Omit<MeasuredStep, "fittedMs">;

/** Figures that the fit may move; it begins at these overheads, and at the profile's speeds. */
const FIRST_GUESS = { opUs: 5, opRowUs: 0.1, stepUs: 300, sampleUs: 20, requestUs: 1_000 };
const MOVED = [
  "readBytesPerSecond",
  "flopsPerSecond",
  "attentionFlopsPerSecond",
  "opUs",
  "opRowUs",
  "sampleUs",
  "requestUs",
] as const;
/** Weight of a figure's distance from where it began beside one sample's error: it decides only what samples leave open. */
const PRIOR_WEIGHT = 0.0005;
/** Less is no reason to go on. */
const LEAST_GAIN = 1e-8;
/** Of the logarithms that the search moves: it begins with a factor of e and ends at half a percent. */
const [FIRST_STEP, LAST_STEP] = [1, 0.005];

/**
 * The figures with which the cost model explains measured steps best: least squares of the logarithms of predicted over measured.
 * `stepUs` is what passes outside the engine of a step that samples nothing, where that was told apart.
 * Deterministic; at least one sample.
 */
export function fitFigures(cost: PlanCost, samples: readonly StepSample[]): Figures {
  const begin: MachineProfile = { ...cost.profile, ...FIRST_GUESS, ...stepOutside(samples) };
  const fitted = search(cost, samples, begin);
  const kept = [...MOVED, "stepUs"] as const;
  return Object.fromEntries(kept.map((figure) => [figure, fitted[figure]]));
}

/** Milliseconds of a sample by a profile's figures. */
export function fittedMs(
  cost: PlanCost,
  profile: MachineProfile,
  sample: Pick<StepSample, "shape" | "isRequest">,
): number {
  const { totalMs } = predictFastestShape({ ...cost, profile }, sample.shape);
  return totalMs + (sample.isRequest ? profile.requestUs / 1_000 : 0);
}

/**
 * A pattern search over logarithms (Hooke and Jeeves): one figure after the other is moved up or down, all of them once more the same
 * way when that was for the better, in steps that shrink.
 */
function search(cost: PlanCost, samples: readonly StepSample[], begin: MachineProfile): MachineProfile {
  let best = begin;
  let least = lossOf(cost, samples, best, begin);
  const take = (tried: MachineProfile): boolean => {
    const loss = lossOf(cost, samples, tried, begin);
    if (loss >= least - LEAST_GAIN) return false;
    [best, least] = [tried, loss];
    return true;
  };
  for (let step = FIRST_STEP; step >= LAST_STEP; step /= 2) {
    for (let from = best; ; from = best) {
      for (const figure of MOVED) {
        const moved = (by: number): MachineProfile => ({ ...best, [figure]: best[figure] * Math.exp(by) });
        if (!take(moved(step))) take(moved(-step));
      }
      if (best === from) break;
      while (take(extrapolated(from, best)));
    }
  }
  return best;
}

/** Once more by as much as from the one to the other. */
function extrapolated(from: MachineProfile, to: MachineProfile): MachineProfile {
  return { ...to, ...Object.fromEntries(MOVED.map((figure) => [figure, (to[figure] * to[figure]) / from[figure]])) };
}

function lossOf(
  cost: PlanCost,
  samples: readonly StepSample[],
  profile: MachineProfile,
  begin: MachineProfile,
): number {
  const errors = samples.map((sample) => Math.log(fittedMs(cost, profile, sample) / sample.ms) ** 2);
  const moves = MOVED.map((figure) => PRIOR_WEIGHT * Math.log(profile[figure] / begin[figure]) ** 2);
  return [...errors, ...moves].reduce((sum, term) => sum + term, 0);
}

/** Where a line through what steps take outside the engine, over the tokens that they sample, begins; nothing where that is unknown. */
function stepOutside(samples: readonly StepSample[]): Pick<MachineProfile, "stepUs"> | null {
  const points = samples.flatMap(({ shape, outsideMs }) =>
    outsideMs === null ? [] : [{ x: shape.numSampled, y: Math.max(0, 1_000 * outsideMs) }],
  );
  if (points.length < 2) return null;
  const mean = (of: (point: { x: number; y: number }) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [meanX, meanY] = [mean(({ x }) => x), mean(({ y }) => y)];
  const spread = mean(({ x }) => (x - meanX) ** 2);
  const slope = spread === 0 ? 0 : Math.max(0, mean(({ x, y }) => (x - meanX) * (y - meanY)) / spread);
  return { stepUs: Math.max(0, meanY - slope * meanX) };
}
