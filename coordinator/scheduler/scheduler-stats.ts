import type { SchedulerConfig } from "./scheduler-config.js";
import type { Sequence } from "./sequence.js";

/** A look at the scheduler. Counters count from the start of the process. */
export interface SchedulerStats {
  numRunning: number;
  numWaiting: number;
  /** Blocks owned by all groups of a kind together. */
  numBlocksUsed: { full: number; sliding: number };
  numBlocksTotal: number;
  numBlocksFree: number;
  /** Counter. */
  numPreemptions: number;
  /** Counter, replays included. */
  numScheduledTokens: number;
}

/** Blocks that sequences own, by kind of group. */
export function numBlocksUsed(
  running: readonly Sequence[],
  kvGroups: SchedulerConfig["kvGroups"],
): SchedulerStats["numBlocksUsed"] {
  const numUsed = { full: 0, sliding: 0 };
  for (const { kv } of running) {
    for (const [index, { kind }] of kvGroups.entries()) numUsed[kind] += kv.numBlocks(index);
  }
  return numUsed;
}
