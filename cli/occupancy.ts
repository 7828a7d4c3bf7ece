import type { Coordinator } from "../coordinator/coordinator.js";
import { sum } from "./timed-run.js";

const SAMPLE_INTERVAL_MS = 10;
/** Points of a picture. */
const NUM_POINTS = 160;

/** Occupied slots at a time since the begin. */
export type OccupancyPoint = readonly [seconds: number, slots: number];

/** How a run used its slots. */
export interface Occupancy {
  seconds: number;
  /** That a batch was computed in. */
  numSteps: number;
  /** Slots with a sequence whose tokens somebody wants, over time. */
  points: OccupancyPoint[];
}

/**
 * Watches the scheduler of a coordinator in this process while `run` works.
 * @param numPadding slots that are taken now and make tokens that nobody wants
 */
export async function watchOccupancy(
  coordinator: Coordinator,
  run: () => Promise<void>,
  numPadding = () => 0,
): Promise<Occupancy> {
  const samples: OccupancyPoint[] = [];
  const before = schedulerOf(coordinator).num_steps ?? 0;
  const beginMs = performance.now();
  const look = (): void => {
    const numUseful = (schedulerOf(coordinator).num_running ?? 0) - numPadding();
    samples.push([(performance.now() - beginMs) / 1_000, Math.max(0, numUseful)]);
  };
  const timer = setInterval(look, SAMPLE_INTERVAL_MS);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  const seconds = (performance.now() - beginMs) / 1_000;
  const numSteps = (schedulerOf(coordinator).num_steps ?? 0) - before;
  return { seconds, numSteps, points: averaged(samples, seconds) };
}

/** Means of equal stretches of time: what flickers from step to step becomes a line. */
export function averaged(samples: readonly OccupancyPoint[], seconds: number): OccupancyPoint[] {
  const width = seconds / NUM_POINTS;
  return Array.from({ length: NUM_POINTS }, (_, index) => {
    const within = samples.filter(([at]) => at >= index * width && at < (index + 1) * width);
    return { at: (index + 0.5) * width, within };
  })
    .filter(({ within }) => within.length > 0)
    .map(({ at, within }) => [at, sum(within.map(([, slots]) => slots)) / within.length]);
}

function schedulerOf(coordinator: Coordinator) {
  return coordinator.status().replicas?.[0]?.scheduler ?? {};
}
