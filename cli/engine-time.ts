import type { Coordinator } from "../coordinator/coordinator.js";

/** Steps since the start, and the time inside the engine that they took together. */
export interface EngineTime {
  numSteps: number;
  seconds: number;
}

/** From the coordinator's own metrics, of its first replica. */
export async function engineTime(coordinator: Coordinator, signal: AbortSignal): Promise<EngineTime> {
  const response = await fetch(`http://${coordinator.httpAddress}/metrics`, { signal });
  const text = await response.text();
  const read = (suffix: string): number =>
    Number(new RegExp(`^moesaic_engine_step_seconds_${suffix}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1] ?? NaN);
  return { numSteps: read("count"), seconds: read("sum") };
}
