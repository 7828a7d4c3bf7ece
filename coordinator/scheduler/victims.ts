import type { Sequence } from "./sequence.js";
import type { TenantAccount } from "./tenant-account.js";

/** What running sequences share. */
export interface Sharing {
  numRows: number;
  /** KV blocks of the pool. */
  numBlocks: number;
}

/** What a sequence that is to be admitted takes, and what of it is not free. */
export interface Shortage {
  numBlocksNeeded: number;
  numBlocksShort: number;
  numRowsShort: number;
}

/**
 * Who is to be preempted so that `sequence`, which runs, can grow: the youngest of the tenant that then still holds the
 * largest part of rows or blocks by weight, or of the sequence's own tenant if no other holds more than it does. The
 * first of all that run is never taken for another, and may take from anybody: it always comes to its end.
 *
 * Measured before the machine of `test/sim/serving.ts`, a minute of a tenant of 3 requests/s beside one of 60 (prompts of 100
 * to 500 tokens, outputs of 200 to 2,000), three seeds; with 6,000 blocks | with 2,000:
 *
 *     who is preempted                 preemptions     recomputed tokens       requests that ended
 *     the youngest of all              2808 | 2805     1,071,000 | 1,198,000   2730 | 1680
 *     who holds most blocks             880 |  750       791,000 |   790,000   2797 | 1715
 *     who holds fewest blocks          2366 | 2421       840,000 |   950,000   2795 | 1718
 *     the youngest of who was served   1908 | 1805       725,000 |   800,000   2824 | 1744
 *     the youngest of who holds most   1908 | 1805       725,000 |   800,000   2824 | 1744
 *
 * By tokens served or by what is held comes to the same there; what is held is what is short, and it also protects who was
 * served much and now has little. All leave out the first of all.
 * @param running in order of service, at least two
 * @returns `sequence` itself when it is the youngest of its tenant and nobody holds more
 */
export function victimToGrow(running: readonly Sequence[], sequence: Sequence, sharing: Sharing): Sequence {
  const holdings = new Holdings(running, sharing);
  const mayTakeFromAll = sequence === running[0];
  const own = holdings.of(sequence.account);
  const candidates = holdings.takeable().filter((holding) => {
    return holding === own || mayTakeFromAll || holding.partWithoutYoungest() >= own.part();
  });
  return largestOf(candidates).youngest()!;
}

/**
 * Who is to be preempted so that a tenant that holds less than others can be admitted: the youngest of the tenant with the
 * largest part, again and again, as long as that tenant still holds no less than the candidate's will. So it could not take
 * the same back. (The larger part of rows and blocks by weight, as in dominant resource fairness, Ghodsi et al., NSDI 2011.)
 * @returns none when that would not make room enough
 */
export function victimsToAdmit(
  running: readonly Sequence[],
  account: TenantAccount,
  shortage: Shortage,
  sharing: Sharing,
): Sequence[] {
  const holdings = new Holdings(running, sharing);
  const own = holdings.of(account);
  own.gain(shortage.numBlocksNeeded);
  const victims: Sequence[] = [];
  let { numBlocksShort, numRowsShort } = shortage;
  while (numBlocksShort > 0 || numRowsShort > 0) {
    const others = holdings.takeable().filter((holding) => holding !== own);
    if (others.length === 0) return [];
    const largest = largestOf(others);
    if (largest.partWithoutYoungest() < own.part()) return [];
    const victim = largest.loseYoungest();
    victims.push(victim);
    numBlocksShort -= victim.kv.numBlocksAlone;
    numRowsShort -= 1;
  }
  return victims;
}

/** What each tenant's running sequences hold. */
class Holdings {
  readonly #ofAccount = new Map<TenantAccount, Holding>();
  readonly #sharing: Sharing;

  constructor(running: readonly Sequence[], sharing: Sharing) {
    this.#sharing = sharing;
    const first = running[0];
    for (const sequence of running) this.of(sequence.account).add(sequence, sequence !== first);
  }

  of(account: TenantAccount): Holding {
    let holding = this.#ofAccount.get(account);
    if (holding === undefined) this.#ofAccount.set(account, (holding = new Holding(account.weight, this.#sharing)));
    return holding;
  }

  /** Those of tenants that have somebody who may be taken. */
  takeable(): Holding[] {
    return [...this.#ofAccount.values()].filter((holding) => holding.youngest() !== undefined);
  }
}

/** Who holds most after a loss; of equals the one whose youngest came last. */
function largestOf(holdings: readonly Holding[]): Holding {
  return holdings.reduce((a, b) => {
    const difference = b.partWithoutYoungest() - a.partWithoutYoungest();
    return difference > 0 || (difference === 0 && b.isYoungerThan(a)) ? b : a;
  });
}

class Holding {
  readonly #weight: number;
  readonly #sharing: Sharing;
  #numRows = 0;
  #numBlocks = 0;
  /** Those that may be taken, the youngest last. */
  readonly #takeable: Sequence[] = [];

  constructor(weight: number, sharing: Sharing) {
    this.#weight = weight;
    this.#sharing = sharing;
  }

  add(sequence: Sequence, isTakeable: boolean): void {
    this.gain(sequence.kv.numBlocksHeld);
    if (isTakeable) this.#takeable.push(sequence);
  }

  gain(numBlocks: number): void {
    this.#numRows++;
    this.#numBlocks += numBlocks;
  }

  youngest(): Sequence | undefined {
    return this.#takeable.at(-1);
  }

  isYoungerThan(other: Holding): boolean {
    return this.youngest()!.arrivalOrder > other.youngest()!.arrivalOrder;
  }

  loseYoungest(): Sequence {
    const sequence = this.#takeable.pop()!;
    this.#numRows--;
    this.#numBlocks -= sequence.kv.numBlocksHeld;
    return sequence;
  }

  /** Of what there is, over weight. */
  part(): number {
    return this.#partOf(this.#numRows, this.#numBlocks);
  }

  partWithoutYoungest(): number {
    return this.#partOf(this.#numRows - 1, this.#numBlocks - (this.youngest()?.kv.numBlocksHeld ?? 0));
  }

  #partOf(numRows: number, numBlocks: number): number {
    return Math.max(numRows / this.#sharing.numRows, numBlocks / this.#sharing.numBlocks) / this.#weight;
  }
}
