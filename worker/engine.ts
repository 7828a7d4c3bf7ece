import type { StepPlan, StepResult } from "../proto/step.js";

/** What a worker needs of an engine; the native one and the fake one implement it. */
export interface Engine {
  /** Runs one step; steps run in the order of the calls. */
  step(plan: StepPlan): Promise<StepResult>;
  /** A counter that moves while work is done and the op it is at: what the stall detector reads. */
  progress(): { counter: number; stepId: number; op: string };
  /** Ends the engine; a running step is finished first. */
  close(): void;
}
