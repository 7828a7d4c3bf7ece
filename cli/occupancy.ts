import type { Coordinator } from "../coordinator/coordinator.js";
import { sum } from "./timed-run.js";

const SAMPLE_INTERVAL_MS = 10;
/** Points of a picture. */
const NUM_POINTS = 160;

/** Occupied slots after some steps since the begin: a clock would show what else the machine did. */
export type OccupancyPoint = readonly [step: number, slots: number];

/** How a run used its slots. */
export interface Occupancy {
  seconds: number;
  /** That a batch was computed in. */
  numSteps: number;
  /** Slots with a sequence whose tokens somebody wants, over the steps. */
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
  const numStepsBefore = schedulerOf(coordinator).num_steps ?? 0;
  const beginMs = performance.now();
  const look = (): void => {
    const { num_running: numRunning, num_steps: numSteps } = schedulerOf(coordinator);
    samples.push([(numSteps ?? 0) - numStepsBefore, Math.max(0, (numRunning ?? 0) - numPadding())]);
  };
  const timer = setInterval(look, SAMPLE_INTERVAL_MS);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  const seconds = (performance.now() - beginMs) / 1_000;
  const numSteps = (schedulerOf(coordinator).num_steps ?? 0) - numStepsBefore;
  return { seconds, numSteps, points: averaged(samples, numSteps) };
}

/** Means of equal stretches: what flickers from step to step becomes a line. */
function averaged(samples: readonly OccupancyPoint[], numSteps: number): OccupancyPoint[] {
  const width = numSteps / NUM_POINTS;
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
