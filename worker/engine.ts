import type { ProgramDescription } from "../native/binding.js";
import type { RankProgram } from "../plans/rank-program.js";
import type { v1 } from "../proto/messages.js";
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

/** What a rank is to load, from its Assignment. */
export interface EngineSetup {
  modelDir: string;
  /** Random weights from this seed instead of the checkpoint's. */
  dummySeed: number | null;
  /** Names of kernel packages in order of preference. */
  kernelPackages: string[];
}

export interface LoadOutcome {
  engine: Engine;
  bytesRead: number;
  loadMs: number;
}

/** Makes engines of one kind. */
export interface EngineFactory {
  device(): v1.Device.$Properties;
  /** What the program would take; allocates nothing. @throws MoesaicError when it cannot run here */
  describe(program: RankProgram, setup: EngineSetup): ProgramDescription;
  /** Allocates and loads. Aborting the signal stops the load with `cancelled`. */
  load(
    program: RankProgram,
    setup: EngineSetup,
    onProgress: (bytesDone: number, bytesPlanned: number) => void,
    signal: AbortSignal,
  ): Promise<LoadOutcome>;
}
