import type { SchedulerSpec } from "../../plans/cluster-spec.js";
import { assert } from "../../proto/errors.js";
import type { BlockHash } from "./block-hash.js";
import type { Policy } from "./policy.js";
import type { StepCostLine } from "./step-times.js";

/** Who is served when, and who is not: what an operator decides. */
export interface SchedulingPolicies {
  /** Default fair. */
  policy: Policy;
  /** Of tenants by name, above 0; default 1. */
  tenantWeights: Readonly<Record<string, number>>;
  /** What a step with decodes is to take at most; default null: whatever `maxBatchedTokens` take. */
  targetStepMs: number | null;
  /** Who is likely to wait longer for its first token is refused; default null: nobody but for its deadline. */
  targetTtftMs: number | null;
  /**
   * Part of the pool that admissions leave free; default 0.01. At least one block per running sequence stays free too:
   * while it decodes, a sequence takes at most one block more than it gives back per blockSize tokens, so whoever is
   * admitted lets everyone else decode for a block's length before somebody must be preempted. A larger part trades
   * fewer preemptions for fewer sequences at a time. It does not hold when nothing runs: nobody would be protected.
   */
  admissionMargin: number;
}

/** Limits of one replica, as `chooseLimits` found them and the ranks confirmed them. */
export interface SchedulerConfig extends Partial<SchedulingPolicies> {
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
  /** Most sequences waiting; under policy `fair` of each tenant, so that none can fill the queue for the others. */
  maxWaiting: number;
  /** Most steps planned beyond the one that runs; default 0. */
  runAhead?: number;
  /** What steps are expected to take until some have been measured. */
  stepCost?: StepCostLine;
  /** Hashes full blocks for the prefix cache; without it there is none. Answers and plans do not depend on the values. */
  blockHash?: BlockHash;
}

/** What a cluster spec says of it. */
export function schedulingPoliciesOf({ tenants, ...scheduler }: SchedulerSpec): SchedulingPolicies {
  const { policy, targetStepMs, targetTtftMs, admissionMargin } = scheduler;
  const tenantWeights = Object.fromEntries(tenants.map(({ name, weight }) => [name, weight]));
  return { policy, tenantWeights, targetStepMs, targetTtftMs, admissionMargin };
}

/** Asserts that a config makes sense: whoever read it from a person has already refused what does not. */
export function checkSchedulerConfig(config: SchedulerConfig): void {
  const { kvGroups, admissionMargin = 0, numBlocks, runAhead = 0, tenantWeights = {} } = config;
  for (const field of POSITIVE_FIELDS) {
    assert(Number.isSafeInteger(config[field]) && config[field] > 0, `${field} must be positive, got ${config[field]}`);
  }
  assert(kvGroups[0]?.kind === "full", "KV group 0 must be a full one");
  for (const { kind, window } of kvGroups) assert(kind === "sliding" ? window > 0 : window === 0, `window ${window}`);
  assert(numBlocks > kvGroups.length, `${numBlocks} blocks do not hold a token of every KV group`);
  assert(Number.isSafeInteger(runAhead) && runAhead >= 0, `runAhead ${runAhead}`);
  assert(admissionMargin >= 0 && admissionMargin < 1, `admissionMargin ${admissionMargin}`);
  for (const [tenant, weight] of Object.entries(tenantWeights)) assert(weight > 0, `${tenant} has weight ${weight}`);
  for (const field of ["targetStepMs", "targetTtftMs"] as const)
    assert((config[field] ?? 1) > 0, `${field} ${config[field]}`);
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
