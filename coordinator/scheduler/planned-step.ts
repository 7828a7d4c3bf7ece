import { OUTPUT_SAMPLE } from "../../proto/step.js";
import type { Sequence } from "./sequence.js";

/** A step that has no result yet. */
export interface PlannedStep {
  stepId: number;
  /** By the grant of a plan before it: it is not run when the run ends early. */
  isGranted: boolean;
  /** It is run whatever comes of those before it. */
  isCertain: boolean;
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
  /** Entries of the sequence's tables that the ranks know from the plan on. */
  numToldBlocks: number;
}

/** What a sequence has scheduled is on its way: it goes on from there. */
export function send(sequence: Sequence): PlannedPart {
  const { row, kv, numComputedTokens: position, numScheduledTokens: numTokens, scheduledOutput: output } = sequence;
  sequence.numComputedTokens += numTokens;
  sequence.numScheduledTokens = 0;
  sequence.numStepsInFlight += 1;
  if (output === OUTPUT_SAMPLE) sequence.numUnknownTokens += 1;
  return { sequence, row, position, numTokens, output, numToldBlocks: kv.numToldBlocks };
}

/** The step is no longer in flight: it has a result, or was not run. */
export function arrive({ sequence, output }: PlannedPart): void {
  sequence.numStepsInFlight -= 1;
  if (output === OUTPUT_SAMPLE) sequence.numUnknownTokens -= 1;
}

/** This was the last step to run: what was sent after it did not happen. */
export function returnTo({ sequence, row, position, numTokens, numToldBlocks }: PlannedPart): void {
  if (sequence.row !== row) return;
  sequence.numComputedTokens = position + numTokens;
  sequence.kv.untell(numToldBlocks);
}
