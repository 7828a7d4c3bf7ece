import type { SchedulerConfig } from "./scheduler-config.js";
import type { Sequence } from "./sequence.js";

/** A look at the scheduler. Counters count from the start of the process. */
export interface SchedulerStats {
  numRunning: number;
  numWaiting: number;
  /** Blocks owned by all groups of a kind together; one that several sequences use counts once. */
  numBlocksUsed: { full: number; sliding: number };
  numBlocksTotal: number;
  numBlocksFree: number;
  /** Counter. */
  numPreemptions: number;
  /** Counter, replays included. */
  numScheduledTokens: number;
  prefixCache: PrefixCacheStats;
}

/** What the prefix cache holds and was good for. */
export interface PrefixCacheStats {
  /** Blocks that are known, in use or free. */
  numBlocks: number;
  first: PrefixCacheUse;
  /** Of sequences that were preempted or lost, when they were admitted again. */
  replay: PrefixCacheUse;
}

/** Counters: tokens of the sequences that were admitted, and those of them that were there. */
export interface PrefixCacheUse {
  numTokens: number;
  numHitTokens: number;
}

/** Blocks that sequences own, by kind of group. */
export function numBlocksUsed(
  running: readonly Sequence[],
  kvGroups: SchedulerConfig["kvGroups"],
): SchedulerStats["numBlocksUsed"] {
  const numUsed = { full: 0, sliding: 0 };
  for (const { kv } of running) {
    for (const [index, { kind }] of kvGroups.entries()) numUsed[kind] += kv.shareOfBlocks(index);
  }
  return { full: Math.round(numUsed.full), sliding: Math.round(numUsed.sliding) };
}
