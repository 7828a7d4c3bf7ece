import type { Logger } from "../../proto/log.js";
import type { TokenPlacement } from "../../proto/step.js";

export interface PlacementOptions {
  /** Those that the plan has; with one there is nothing to choose. */
  placements: readonly TokenPlacement[];
  /** Predicted time of a step, milliseconds: what is believed until steps were measured. */
  predictMs(placement: TokenPlacement, numTokens: number): number;
}

/** What is known of one size of step, for `status`. */
export interface PlacementRecord {
  /** Steps of more than half as many tokens, up to this. */
  numTokensMax: number;
  placement: TokenPlacement;
  /** Means, milliseconds; 0 while nothing was measured. */
  replicatedMs: number;
  shardedMs: number;
}

/** Steps of each placement, for each size, before the measurements decide. */
const TRIALS = 3;
/** The first step of a placement in a size touches memory for the first time, and says nothing of the others. */
const WARM_UP_STEPS = 1;
/** A placement that lost is measured again after so many steps of the size: loads and batches change. */
const STEPS_BETWEEN_RETRIALS = 256;
/** Weight of the newest step in a mean. */
const NEWEST_WEIGHT = 1 / 8;
/** How much faster the other must be: closer ones would only take turns. */
const SWITCH_FACTOR = 0.97;

/**
 * Chooses which ranks hold a step's hidden states. Few tokens want fewer rounds (replicated), many want fewer bytes
 * (sharded); where the border lies is measured, for each power of two of tokens, and begins where the plan predicts it.
 */
export class PlacementPolicy {
  readonly #options: PlacementOptions;
  readonly #log: Logger;
  /** By the exponent of numTokensMax. */
  readonly #buckets = new Map<number, Bucket>();

  constructor(options: PlacementOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  choose(numTokens: number): TokenPlacement {
    const [only, ...others] = this.#options.placements;
    if (only === undefined) return "replicated";
    if (others.length === 0) return only;
    return this.#bucketOf(numTokens).next();
  }

  /** The step that `choose` was asked for took so long. */
  measured(numTokens: number, placement: TokenPlacement, stepMs: number): void {
    if (this.#options.placements.length < 2) return;
    const bucket = this.#bucketOf(numTokens);
    const before = bucket.preferred;
    bucket.add(placement, stepMs);
    if (bucket.preferred === before) return;
    const { numTokensMax, placement: now, replicatedMs, shardedMs } = bucket.record();
    this.#log.info({ numTokensMax, placement: now, replicatedMs, shardedMs }, "token placement switched");
  }

  records(): PlacementRecord[] {
    return [...this.#buckets.entries()].toSorted(([a], [b]) => a - b).map(([, bucket]) => bucket.record());
  }

  #bucketOf(numTokens: number): Bucket {
    const exponent = Math.ceil(Math.log2(Math.max(1, numTokens)));
    const known = this.#buckets.get(exponent);
    if (known !== undefined) return known;
    const size = 2 ** exponent;
    const isSharded = this.#options.predictMs("sharded", size) < this.#options.predictMs("replicated", size);
    const bucket = new Bucket(size, isSharded ? "sharded" : "replicated");
    this.#buckets.set(exponent, bucket);
    return bucket;
  }
}

class Bucket {
  preferred: TokenPlacement;
  readonly #numTokensMax: number;
  readonly #means = { replicated: new Mean(), sharded: new Mean() };
  #numStepsOfPreferred = 0;

  constructor(numTokensMax: number, predicted: TokenPlacement) {
    this.#numTokensMax = numTokensMax;
    this.preferred = predicted;
  }

  next(): TokenPlacement {
    const other = otherThan(this.preferred);
    if (!this.#means[this.preferred].isTried) return this.preferred;
    if (!this.#means[other].isTried) return other;
    return this.#numStepsOfPreferred >= STEPS_BETWEEN_RETRIALS ? other : this.preferred;
  }

  add(placement: TokenPlacement, stepMs: number): void {
    this.#means[placement].add(stepMs);
    this.#numStepsOfPreferred = placement === this.preferred ? this.#numStepsOfPreferred + 1 : 0;
    const other = otherThan(this.preferred);
    const { [this.preferred]: own, [other]: rival } = this.#means;
    if (!own.isTried || !rival.isTried || rival.ms >= own.ms * SWITCH_FACTOR) return;
    this.preferred = other;
    this.#numStepsOfPreferred = 0;
  }

  record(): PlacementRecord {
    const { replicated, sharded } = this.#means;
    return {
      numTokensMax: this.#numTokensMax,
      placement: this.preferred,
      replicatedMs: replicated.ms,
      shardedMs: sharded.ms,
    };
  }
}

/** The plain mean of the trials, then one that forgets. */
class Mean {
  ms = 0;
  #numSteps = 0;

  get isTried(): boolean {
    return this.#numSteps >= WARM_UP_STEPS + TRIALS;
  }

  add(stepMs: number): void {
    this.#numSteps += 1;
    const numCounted = this.#numSteps - WARM_UP_STEPS;
    if (numCounted <= 0) return;
    this.ms += (stepMs - this.ms) * Math.max(1 / numCounted, NEWEST_WEIGHT);
  }
}

function otherThan(placement: TokenPlacement): TokenPlacement {
  return placement === "replicated" ? "sharded" : "replicated";
}
