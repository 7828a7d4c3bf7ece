import { assert } from "../../proto/errors.js";

/** Limits of one replica, as `chooseLimits` found them and the ranks confirmed them. */
export interface SchedulerConfig {
  vocabSize: number;
  /** Most tokens of one sequence, prompt and outputs together. */
  maxSeqLen: number;
  /** Tokens per KV block. */
  blockSize: number;
  /** Blocks of the device, the null block included. */
  numBlocks: number;
  /** One per KV group, in the program's order; group 0 is a full one. A window counts the query's own token; 0: all. */
  kvGroups: readonly { kind: "full" | "sliding"; window: number }[];
  /** Token budget of one step. */
  maxBatchedTokens: number;
  /** Most sequences running: rows on the ranks. */
  maxSequences: number;
  /** Most rows of logits in one step: one per sampling sequence, one per token of a sequence that wants logits. */
  maxLogitRows: number;
  /** Most sequences waiting. */
  maxWaiting: number;
  /** Most steps planned beyond the one that runs; default 0. */
  runAhead?: number;
  /**
   * Part of the pool that admissions leave free; default 0.01. At least one block per running sequence stays free too:
   * while it decodes, a sequence takes at most one block more than it gives back per blockSize tokens, so whoever is
   * admitted lets everyone else decode for a block's length before somebody must be preempted. A larger part trades
   * fewer preemptions for fewer sequences at a time. It does not hold when nothing runs: nobody would be protected.
   */
  admissionMargin?: number;
}

/** Asserts that a config makes sense: whoever read it from a person has already refused what does not. */
export function checkSchedulerConfig(config: SchedulerConfig): void {
  const { kvGroups, admissionMargin = 0, numBlocks, runAhead = 0 } = config;
  for (const field of POSITIVE_FIELDS) {
    assert(Number.isSafeInteger(config[field]) && config[field] > 0, `${field} must be positive, got ${config[field]}`);
  }
  assert(kvGroups[0]?.kind === "full", "KV group 0 must be a full one");
  for (const { kind, window } of kvGroups) assert(kind === "sliding" ? window > 0 : window === 0, `window ${window}`);
  assert(numBlocks > kvGroups.length, `${numBlocks} blocks do not hold a token of every KV group`);
  assert(Number.isSafeInteger(runAhead) && runAhead >= 0, `runAhead ${runAhead}`);
  assert(admissionMargin >= 0 && admissionMargin < 1, `admissionMargin ${admissionMargin}`);
}

const POSITIVE_FIELDS = [
  "vocabSize",
  "maxSeqLen",
  "blockSize",
  "numBlocks",
  "maxBatchedTokens",
  "maxSequences",
  "maxLogitRows",
  "maxWaiting",
] as const;
