import { assert } from "../../proto/errors.js";
import type { SequenceOrder } from "./policy.js";
import type { Sequence } from "./sequence.js";
import { SequenceHeap } from "./sequence-heap.js";

/** Priorities from here to as far above 0 are told apart in forecasts; what is beyond counts as the last. */
const PRIORITY_CLASS_MIN = -8;
const NUM_PRIORITY_CLASSES = 1 - 2 * PRIORITY_CLASS_MIN;

/** What one tenant has waiting, and what it has been served. Under the policies without tenants there is one for all. */
export class TenantAccount {
  readonly tenant: string;
  /** Above 0; twice the weight, twice the tokens. */
  readonly weight: number;
  /**
   * Tokens served over weight: who has least is served next. Only differences between tenants mean something, and it
   * never falls.
   */
  virtualTokens = 0;
  numWaiting = 0;
  numRunning = 0;
  /** Since when its running sequences leave the steps to another tenant; null: they do not. */
  pausedMs: number | null = null;
  /** Sequences that have not ended. */
  numLive = 0;
  readonly #waiting: SequenceHeap;
  /** By priority class: tokens that are known, not scheduled yet, and not decodes. */
  readonly #numPendingTokens = new Float64Array(NUM_PRIORITY_CLASSES);

  constructor(tenant: string, weight: number, isServedBefore: SequenceOrder) {
    this.tenant = tenant;
    this.weight = weight;
    this.#waiting = new SequenceHeap(isServedBefore, ({ state }) => state === "waiting");
  }

  push(sequence: Sequence): void {
    this.#waiting.push(sequence);
    this.numWaiting++;
    this.setPending(sequence, sequence.numTokens);
  }

  first(): Sequence | undefined {
    return this.#waiting.first();
  }

  /** Takes the first out, which is `sequence`. */
  take(sequence: Sequence): void {
    assert(this.#waiting.shift() === sequence, `sequence ${sequence.seqId} is not the first that waits`);
    this.numWaiting--;
  }

  /** A waiting sequence has ended; the heap finds out when it comes up. */
  leaveWaiting(): void {
    this.numWaiting--;
  }

  /** In no order. O(n). */
  members(): Sequence[] {
    return this.#waiting.members();
  }

  /** Notes how many tokens of the sequence have still to be computed before it decodes. */
  setPending(sequence: Sequence, numTokens: number): void {
    if (sequence.numPendingTokens === numTokens) return;
    this.#numPendingTokens[classOf(sequence.priority)]! += numTokens - sequence.numPendingTokens;
    sequence.numPendingTokens = numTokens;
  }

  /** Pending tokens of sequences whose priority is at most `priority`: what the account has before a new one of it. */
  numPendingBefore(priority: number): number {
    let sum = 0;
    for (let index = classOf(priority); index >= 0; index--) sum += this.#numPendingTokens[index]!;
    return sum;
  }

  /** Compares the counts with the account's live sequences. @throws MoesaicError internal */
  check(live: readonly Sequence[]): void {
    const count = (state: Sequence["state"]): number => live.filter((sequence) => sequence.state === state).length;
    const counts = [this.numLive, this.numWaiting, this.numRunning];
    const recounted = [live.length, count("waiting"), count("running")];
    assert(
      String(counts) === String(recounted),
      `${this.tenant} counts ${counts.join()}, there are ${recounted.join()}`,
    );
    const numPending = live.reduce((sum, sequence) => sum + sequence.numPendingTokens, 0);
    assert(this.numPending === numPending, `${this.tenant} counts ${this.numPending} pending tokens of ${numPending}`);
    for (const { seqId, state, numPendingTokens, numTokens } of live) {
      assert(state === "running" || numPendingTokens === numTokens, `sequence ${seqId} waits and is not all pending`);
    }
  }

  get numPending(): number {
    return this.numPendingBefore(Infinity);
  }
}

function classOf(priority: number): number {
  return Math.min(Math.max(priority - PRIORITY_CLASS_MIN, 0), NUM_PRIORITY_CLASSES - 1);
}
