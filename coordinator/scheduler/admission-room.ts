import type { KvMemory } from "./kv-memory.js";
import type { PrefixHit } from "./prefix-chain.js";
import type { RowPool } from "./row-pool.js";
import type { SchedulerConfig } from "./scheduler-config.js";
import type { Sequence } from "./sequence.js";
import type { Shortage } from "./victims.js";

/** Whether there is room for one more sequence, beside what those that run were promised and the margin for their decodes. */
export class AdmissionRoom {
  readonly #config: SchedulerConfig;
  readonly #memory: KvMemory;
  readonly #rows: RowPool;
  readonly #running: readonly Sequence[];
  /** Who was looked at last, and the blocks that it needed. */
  #last: { sequence: Sequence; numBlocksNeeded: number } | null = null;

  /** @param running those that run, at any time */
  constructor(config: SchedulerConfig, memory: KvMemory, rows: RowPool, running: readonly Sequence[]) {
    this.#config = config;
    this.#memory = memory;
    this.#rows = rows;
    this.#running = running;
  }

  /** Blocks that running prefills have still to take. */
  get numBlocksPromised(): number {
    let sum = 0;
    for (const sequence of this.#running) sum += this.#memory.numBlocksPromised(sequence);
    return sum;
  }

  /** What is missing for a sequence to be admitted behind a prefix; null: nothing. */
  shortageOf(sequence: Sequence, hit: PrefixHit, numPromised: number): Shortage | null {
    if (this.#running.length === 0) return null;
    const numBlocksNeeded = this.#memory.numBlocksNeeded(sequence, hit);
    const numBlocksShort = numBlocksNeeded + numPromised - this.#numFreeBlocks;
    const numRowsShort = 1 - this.#rows.numFree;
    this.#last = { sequence, numBlocksNeeded };
    return numBlocksShort > 0 || numRowsShort > 0 ? { numBlocksNeeded, numBlocksShort, numRowsShort } : null;
  }

  /**
   * What was found of its prefix when it did not fit last decides, until more of it is there: to search for all of it in
   * every step would cost time. Where something can be taken from other tenants it is looked at anew.
   */
  isStillShort(sequence: Sequence, numPromised: number): boolean {
    if (this.#running.length === 0 || sequence.account.numRunning < this.#running.length) return false;
    if (this.#rows.numFree === 0) return true;
    if (this.#last?.sequence !== sequence || sequence.prefix?.hasGrown === true) return false;
    return this.#last.numBlocksNeeded + numPromised > this.#numFreeBlocks;
  }

  /** Beside the margin. */
  get #numFreeBlocks(): number {
    const { admissionMargin = 0.01 } = this.#config;
    const { numFree, numTotal } = this.#memory.pool;
    return numFree - Math.max(Math.ceil(admissionMargin * numTotal), this.#running.length);
  }
}
