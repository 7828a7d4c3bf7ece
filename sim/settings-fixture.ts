import type { SchedulerSpec } from "../plans/cluster-spec.js";

/** For tests: first come, first served, and nothing in the way. */
export function plainScheduler(maxWaiting: number): SchedulerSpec {
  return {
    maxBatchedTokens: "auto",
    maxSequences: 256,
    maxWaiting,
    runAhead: 0,
    policy: "fifo",
    tenants: [],
    targetStepMs: null,
    targetTtftMs: null,
    admissionMargin: 0.01,
    prefixCache: false,
  };
}
