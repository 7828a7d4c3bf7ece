import type { Sequence } from "./sequence.js";

/**
 * How many further steps the ranks may run by themselves after one in which all of these sequences sample: nobody grows past
 * its length, and free blocks suffice without a preemption.
 * @param most of them
 */
export function numStepsThatFit(sequences: readonly Sequence[], most: number, numFreeBlocks: number): number {
  const numLeft = sequences.map(({ maxSeqLen, numTokens }) => maxSeqLen - numTokens - 1);
  let numSteps = Math.max(0, Math.min(most, ...numLeft));
  while (numSteps > 0 && numBlocksMissing(sequences, numSteps) > numFreeBlocks) numSteps--;
  return numSteps;
}

/** Blocks to be taken for so many tokens of each sequence, beyond what it has scheduled. */
export function numBlocksMissing(sequences: readonly Sequence[], numTokens: number): number {
  return sequences.reduce((sum, { kv, numComputedTokens, numScheduledTokens }) => {
    return sum + kv.numBlocksMissing(numComputedTokens + numScheduledTokens + numTokens);
  }, 0);
}

/** Makes room for so many tokens of each sequence, beyond what it has scheduled. */
export function takeBlocks(sequences: readonly Sequence[], numTokens: number): void {
  for (const sequence of sequences) {
    sequence.growKv(sequence.numComputedTokens + sequence.numScheduledTokens + numTokens);
  }
}
