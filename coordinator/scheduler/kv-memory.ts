import { assert } from "../../proto/errors.js";
import { DEFAULT_TENANT } from "../../proto/tenant.js";
import { BlockPool } from "./block-pool.js";
import { kvBlocksMax, KvTables, type KvShape } from "./kv-tables.js";
import { PrefixCache, type PrefixCacheObserver } from "./prefix-cache.js";
import { PrefixChain, type PrefixHit, type TokenList } from "./prefix-chain.js";
import { broken } from "./sequence-errors.js";
import type { SchedulerConfig } from "./scheduler-config.js";
import type { PrefixCacheStats } from "./scheduler-stats.js";
import { Sequence, type SequenceSpec } from "./sequence.js";
import type { TenantAccount } from "./tenant-account.js";

/** The KV blocks of a replica: who has them, and which prefixes they hold. */
export class KvMemory {
  readonly shape: KvShape;
  readonly pool: BlockPool;
  readonly #config: SchedulerConfig;
  /** null: switched off. */
  readonly #cache: PrefixCache | null;
  readonly #first = { numTokens: 0, numHitTokens: 0 };
  readonly #replay = { numTokens: 0, numHitTokens: 0 };

  constructor(config: SchedulerConfig, cacheObserver?: PrefixCacheObserver) {
    const { numBlocks, blockSize, blockHash, kvGroups } = config;
    this.#config = config;
    this.shape = { blockSize, windows: kvGroups.map(({ window }) => window) };
    this.#cache = blockHash === undefined ? null : new PrefixCache(numBlocks, blockSize, blockHash, cacheObserver);
    this.pool = new BlockPool(numBlocks, this.#cache ?? undefined);
  }

  /** What is released and found from now on is at this time. */
  set nowMs(nowMs: number) {
    if (this.#cache !== null) this.#cache.nowMs = nowMs;
  }

  /** A new sequence, which has no blocks yet. */
  sequenceOf(spec: SequenceSpec, account: TenantAccount, arrivalMs: number, arrivalOrder: number): Sequence {
    return this.#sequenceOf(spec, account, { arrivalMs, arrivalOrder, blockHashes: [...(spec.blockHashes ?? [])] });
  }

  /** How many tokens of a sequence would not be computed, were it admitted now. */
  numCachedTokens(spec: SequenceSpec, account: TenantAccount): number {
    if (this.#cache === null) return 0;
    const { blockHashes = [] } = spec;
    return this.tokensOf(this.#sequenceOf(spec, account, { arrivalMs: 0, arrivalOrder: 0, blockHashes }).findPrefix());
  }

  #sequenceOf(
    spec: SequenceSpec,
    account: TenantAccount,
    { arrivalMs, arrivalOrder, blockHashes }: { arrivalMs: number; arrivalOrder: number; blockHashes: number[] },
  ): Sequence {
    const { pool, shape } = this;
    const cache = this.#cache;
    const salt = spec.tenant ?? DEFAULT_TENANT;
    const prefixOf = (tokens: TokenList) => cache && new PrefixChain(cache, pool, shape, tokens, salt, blockHashes);
    return new Sequence(spec, new KvTables(pool, shape), account, arrivalMs, arrivalOrder, prefixOf);
  }

  tokensOf({ numBlocks }: PrefixHit): number {
    return numBlocks * this.shape.blockSize;
  }

  /** Blocks that must be free for a sequence that begins behind a prefix to compute all of its known tokens undisturbed. */
  numBlocksNeeded({ numTokens }: Sequence, { numBlocks, blockIds }: PrefixHit): number {
    const numFree = blockIds.map((ids) => ids.filter((blockId) => this.pool.refCount(blockId) === 0).length);
    const chunk = Math.min(numTokens, this.#config.maxBatchedTokens);
    return kvBlocksMax(this.shape, numTokens, chunk, { numBlocks, numFree });
  }

  /** Blocks that a running sequence has still to take before all of its known tokens are computed. */
  numBlocksPromised({ kv, numTokens, numRemainingTokens, numScheduledTokens }: Sequence): number {
    const numLeft = numRemainingTokens - numScheduledTokens;
    return numLeft <= 0 ? 0 : kv.blocksPromised(numTokens, Math.min(numLeft, this.#config.maxBatchedTokens));
  }

  /** A sequence that is admitted begins behind a prefix. */
  begin(sequence: Sequence, hit: PrefixHit): void {
    if (sequence.prefix === null) return;
    const numHitTokens = this.tokensOf(hit);
    const use = sequence.scheduledMs === null ? this.#first : this.#replay;
    use.numTokens += sequence.numTokens;
    use.numHitTokens += numHitTokens;
    sequence.beginWith(hit, numHitTokens);
  }

  /**
   * A sequence leaves the step being planned. Who was admitted behind blocks that it was to fill in it is younger and of the
   * same tenant, so it went before.
   */
  retract(sequence: Sequence): void {
    for (const blockId of sequence.retractPrefix()) {
      if (this.pool.refCount(blockId) !== 1) throw broken(sequence, "left, and others share what it has not filled");
    }
  }

  /** What the blocks held is gone. */
  clear(): void {
    this.#cache?.clear();
  }

  cacheStats(): PrefixCacheStats {
    return { numBlocks: this.#cache?.numBlocks ?? 0, first: this.#first, replay: this.#replay };
  }

  /** Recounts every block and reference. O(tokens of live sequences + blocks). @throws MoesaicError internal */
  check(live: Iterable<Sequence>): void {
    const references = new Int32Array(this.pool.numBlocks);
    for (const { kv, prefix, state } of live) {
      kv.recount(references);
      if (state === "running") prefix?.check(kv);
      else assert(kv.numTokensMax === 0, "a sequence that waits has blocks");
    }
    this.pool.check(references);
    this.#cache?.check();
  }
}
