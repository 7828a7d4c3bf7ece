import type { Sequence } from "./sequence.js";

/** A step that has no result yet. */
export interface PlannedStep {
  stepId: number;
  /** In the plan's order. */
  parts: PlannedPart[];
  size: StepSize;
}

/** What its time is measured for. */
export interface StepSize {
  numTokens: number;
  /** Of these. */
  numDecodes: number;
  /** It left sequences waiting. */
  isBacklogged: boolean;
  plannedMs: number;
}

/**
 * What a step asked of one sequence. The sequence may have moved on by the time that the result is read: it may have been
 * preempted, or have ended, and its row may be another's.
 */
export interface PlannedPart {
  sequence: Sequence;
  row: number;
  /** Of the first token. */
  position: number;
  numTokens: number;
  /** An OUTPUT_* value. */
  output: number;
}
