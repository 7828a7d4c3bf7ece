import { assert, MoesaicError } from "../../proto/errors.js";
import { DEFAULT_TENANT } from "../../proto/tenant.js";
import type { PlannedPart } from "./planned-step.js";
import { orderOf, type Policy, type SequenceOrder } from "./policy.js";
import type { Sequence } from "./sequence.js";
import { TenantAccount } from "./tenant-account.js";

/** Bounds what is kept per tenant, and the scan for who is served next: 256 take a microsecond. */
export const NUM_TENANTS_MAX = 256;
const RETRY_AFTER_MS = 1000;

/**
 * Waiting sequences in order of service. Under `fair` each tenant has a counter of the tokens it was served, divided by
 * its weight, and the backlogged tenant with the least is served next (the virtual token counter of Sheng et al., Fairness
 * in Serving Large Language Models, OSDI 2024). Tokens count when they are planned, prefill and decode alike, and once: what
 * is computed again after a preemption was paid for. A tenant that comes to wait starts at most `credit`
 * below those who wait already, or who waited last: idleness is worth a prompt, not an hour's tokens. Under the other
 * policies all share one account.
 *
 * What is promised: of two tenants that both wait without a pause, in any span of time neither gets more than 2 x (credit + U)
 * tokens over weight ahead of the other, U = maxSequences x (most tokens of a sequence) / (the smaller weight). For let V be
 * the highest that the least counter of those who wait has been. Nobody waits below V - credit. Who is admitted has a
 * counter of at most V, and grows by at most U, what it has running, until it is admitted again. So two counters differ by
 * at most credit + U, at both ends of the span.
 */
export class WaitingQueue {
  readonly #policy: Policy;
  readonly #weights: Readonly<Record<string, number>>;
  readonly #order: SequenceOrder;
  /** In tokens over weight. */
  readonly #credit: number;
  readonly #accounts = new Map<string, TenantAccount>();
  /** Those with something waiting. */
  readonly #backlogged = new Set<TenantAccount>();
  /** Whose last waiting sequence left the queue last. */
  #lastServed: TenantAccount | null = null;
  /** Highest that the least counter of those who wait has been. */
  #floor = 0;

  constructor(policy: Policy, weights: Readonly<Record<string, number>>, credit: number) {
    this.#policy = policy;
    this.#credit = credit;
    this.#weights = weights;
    this.#order = orderOf(policy);
  }

  /** The account that a tenant's sequences go to. @throws MoesaicError resource_exhausted: too many tenants have some */
  accountOf(tenant: string): TenantAccount {
    const name = this.#policy === "fair" ? tenant : DEFAULT_TENANT;
    const known = this.#accounts.get(name);
    if (known !== undefined) return known;
    if (this.#accounts.size >= NUM_TENANTS_MAX) this.#forgetIdle();
    const account = new TenantAccount(name, this.#policy === "fair" ? this.#weightOf(name) : 1, this.#order);
    this.#accounts.set(name, account);
    return account;
  }

  push(sequence: Sequence): void {
    const { account } = sequence;
    if (account.numWaiting === 0) this.#enter(account);
    account.push(sequence);
  }

  first(): Sequence | undefined {
    return this.#firstAccount()?.first();
  }

  /** Takes out a sequence that was the first; others may have come to wait since. */
  take(sequence: Sequence): void {
    this.#raiseFloor();
    sequence.account.take(sequence);
    this.#leaveIfEmpty(sequence.account);
  }

  /** A waiting sequence has ended. */
  drop({ account }: Sequence): void {
    account.leaveWaiting();
    this.#leaveIfEmpty(account);
  }

  /** Charges a sequence's tenant for what a step computes of it for the first time. */
  planned(part: Pick<PlannedPart, "sequence" | "position" | "numTokens">): void {
    const { account, numPendingTokens } = part.sequence;
    if (numPendingTokens > 0) account.setPending(part.sequence, Math.max(0, numPendingTokens - part.numTokens));
    this.ran(part);
  }

  /**
   * The same of a decode that was not certain to be run when it was planned. The sequence may have been preempted meanwhile:
   * then it waits with all of its tokens.
   */
  ran({ sequence, position, numTokens }: Pick<PlannedPart, "sequence" | "position" | "numTokens">): void {
    const { account, numChargedTokens } = sequence;
    const end = position + numTokens;
    if (end <= numChargedTokens) return;
    account.virtualTokens += (end - Math.max(numChargedTokens, position)) / account.weight;
    sequence.numChargedTokens = end;
  }

  /** The order of service at this moment, over sequences that wait or run. */
  isServedBefore(a: Sequence, b: Sequence): boolean {
    const difference = a.account.virtualTokens - b.account.virtualTokens;
    return a.account === b.account || difference === 0 ? this.#order(a, b) : difference < 0;
  }

  /**
   * Tokens that are to be computed before the last of `numTokens` more of an account: its own of the same or a smaller
   * priority, and of each other account what brings its counter up to where this one's will be then.
   */
  numTokensAhead(account: TenantAccount, priority: number, numTokens: number): number {
    const numOwn = account.numPendingBefore(this.#policy === "fifo" ? Infinity : priority);
    const until = this.#counterOf(account) + (numOwn + numTokens) / account.weight;
    let numAhead = numOwn;
    for (const other of this.#accounts.values()) {
      if (other === account || other.numLive === 0) continue;
      numAhead += Math.min(other.numPending, Math.max(0, (until - other.virtualTokens) * other.weight));
    }
    return numAhead;
  }

  /** In no order. O(n). */
  members(): Sequence[] {
    return [...this.#accounts.values()].flatMap((account) => account.members());
  }

  /** Recounts every account. O(live sequences). @throws MoesaicError internal */
  check(live: readonly Sequence[]): void {
    const byAccount = new Map<TenantAccount, Sequence[]>([...this.#accounts.values()].map((account) => [account, []]));
    for (const sequence of live) byAccount.get(sequence.account)!.push(sequence);
    for (const [account, own] of byAccount) {
      account.check(own);
      const { tenant, numWaiting, virtualTokens } = account;
      assert(this.#backlogged.has(account) === numWaiting > 0, `${tenant} is not where its ${numWaiting} waiting are`);
      assert(numWaiting === 0 || virtualTokens >= this.#floor - this.#credit, `${tenant} waits below its credit`);
    }
  }

  #weightOf(tenant: string): number {
    return Object.hasOwn(this.#weights, tenant) ? this.#weights[tenant]! : 1;
  }

  #firstAccount(): TenantAccount | undefined {
    let first: TenantAccount | undefined;
    for (const account of this.#backlogged) {
      if (first === undefined || this.#isAccountBefore(account, first)) first = account;
    }
    return first;
  }

  #isAccountBefore(a: TenantAccount, b: TenantAccount): boolean {
    if (a.virtualTokens !== b.virtualTokens) return a.virtualTokens < b.virtualTokens;
    return this.#order(a.first()!, b.first()!);
  }

  #enter(account: TenantAccount): void {
    account.virtualTokens = this.#counterOf(account);
    this.#backlogged.add(account);
  }

  /** The account's counter if it came to wait now. */
  #counterOf(account: TenantAccount): number {
    this.#raiseFloor();
    return Math.max(account.virtualTokens, this.#floor - this.#credit);
  }

  #raiseFloor(): void {
    const least = this.#firstAccount() ?? this.#lastServed;
    if (least !== null) this.#floor = Math.max(this.#floor, least.virtualTokens);
  }

  #leaveIfEmpty(account: TenantAccount): void {
    if (account.numWaiting > 0) return;
    this.#backlogged.delete(account);
    this.#lastServed = account;
  }

  /** What tenants without sequences were served too much is forgiven. */
  #forgetIdle(): void {
    for (const account of this.#accounts.values()) if (account.numLive === 0) this.#accounts.delete(account.tenant);
    if (this.#accounts.size < NUM_TENANTS_MAX) return;
    const text = `tenants: ${NUM_TENANTS_MAX} may have sequences at a time, and as many do; try again later`;
    throw new MoesaicError("resource_exhausted", text, { retryAfterMs: RETRY_AFTER_MS });
  }
}
