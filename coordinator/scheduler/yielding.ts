import type { Sequence } from "./sequence.js";
import type { TenantAccount } from "./tenant-account.js";

/** Decodes that are less than this part of a step's tokens are no burden to who prefills in it. */
const BURDEN_PART = 1 / 8;
/** A tenant's streams pause for at most so many target step times, or for one step. */
const PAUSE_STEPS_MAX = 4;

export interface YieldRules {
  /** Tokens over weight that a tenant has to be ahead by. */
  lead: number;
  targetStepMs: number;
}

/**
 * Tenants that leave the step to another, which is far behind them and prefills: their decodes would make each of the steps
 * it takes longer, and a tenant that asks for little should not notice one that asks for much. Only who is ahead by
 * `lead` yields: two tenants that both ask for much stay closer together, and decode in the same steps.
 * @param decodes sequences that decode   @param first who is served first of those that prefill or wait
 * @param numStepTokens tokens of a step with all decodes
 */
export function whoYields(
  decodes: readonly Sequence[],
  first: Sequence,
  numStepTokens: number,
  { lead, targetStepMs }: YieldRules,
  nowMs: number,
): Set<TenantAccount> {
  const yielding = new Set<TenantAccount>();
  let numDecodes = 0;
  for (const { account } of decodes) {
    if (account.virtualTokens - first.account.virtualTokens <= lead) continue;
    if (account.pausedMs !== null && nowMs - account.pausedMs >= PAUSE_STEPS_MAX * targetStepMs) continue;
    yielding.add(account);
    numDecodes++;
  }
  if (numDecodes < BURDEN_PART * numStepTokens) yielding.clear();
  return yielding;
}
