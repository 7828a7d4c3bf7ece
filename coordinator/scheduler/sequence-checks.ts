import { OUTPUT_SAMPLE } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import type { PlannedPart } from "./planned-step.js";
import type { Sequence } from "./sequence.js";

/** Asserts that a running sequence has what it computes. */
export function checkRunning(sequence: Sequence): void {
  const { seqId, numComputedTokens, numScheduledTokens, numTokens, kv } = sequence;
  assert(sequence.state === "running", `sequence ${seqId} is ${sequence.state} and runs`);
  assert(numScheduledTokens === 0, `sequence ${seqId} was planned and not sent`);
  assert(numComputedTokens <= numTokens, `sequence ${seqId} computes tokens it does not have`);
  assert(numComputedTokens <= kv.numTokensMax, `sequence ${seqId} computes tokens it has no blocks for`);
}

/** Asserts that a sequence counts the steps that it is in. @param parts of all steps in flight, the oldest first */
export function checkInFlight(sequence: Sequence, parts: readonly PlannedPart[], runAhead: number): void {
  const { seqId, row, kv, numStepsInFlight, numUnknownTokens } = sequence;
  const own = parts.filter((part) => part.sequence === sequence);
  const numSampling = own.filter(({ output }) => output === OUTPUT_SAMPLE).length;
  assert(own.length === numStepsInFlight, `sequence ${seqId} is in ${own.length} steps, counted ${numStepsInFlight}`);
  assert(numSampling === numUnknownTokens, `sequence ${seqId} samples ${numSampling}, counted ${numUnknownTokens}`);
  const last = own.at(-1);
  // A run takes blocks ahead, and gives back those behind its window when it is over.
  if (last !== undefined && last.row === row && runAhead < 2) kv.checkBounds(last.numTokens);
}

/** Asserts that every live sequence is queued once, and that those who wait have no state on the ranks. */
export function checkQueues(
  waiting: readonly Sequence[],
  running: readonly Sequence[],
  live: ReadonlyMap<number, Sequence>,
): void {
  const queued = new Set([...waiting, ...running]);
  assert(queued.size === waiting.length + running.length, "a sequence is queued twice");
  assert(queued.size === live.size, () => `${queued.size} sequences queued, ${live.size} alive`);
  for (const sequence of queued) assert(live.get(sequence.seqId) === sequence, "a stranger is queued");
  for (const { seqId, row, numComputedTokens } of waiting) {
    assert(row === -1 && numComputedTokens === 0, () => `sequence ${seqId} waits with state`);
  }
}

/** Asserts that sequences are in order of service. */
export function checkOrder(running: readonly Sequence[], isBefore: (a: Sequence, b: Sequence) => boolean): void {
  for (let i = 1; i < running.length; i++) {
    assert(isBefore(running[i - 1]!, running[i]!), "running sequences are out of order");
  }
}
