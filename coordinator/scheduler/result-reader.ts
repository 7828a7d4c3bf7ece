import { OUTPUT_LOGITS, OUTPUT_SAMPLE, type StepResult } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import type { Sequence } from "./sequence.js";
import type { SequenceLogits, TokenLogprob } from "./sequence-output.js";
import { outputOf } from "./step-draft.js";

/** One sequence's sampled token, where it ends the sequence (a FINISH_* value), and what was asked about it. */
export interface Sample {
  tokenId: number;
  finish: number;
  /** null: not asked for. */
  logprob: number | null;
  topLogprobs: TokenLogprob[] | null;
}

/**
 * Reads a StepResult beside its plan: `sample` or `logits` once per sequence that has some, in the plan's order, before
 * the sequence's counters move on.
 */
export class ResultReader {
  readonly #result: StepResult;
  readonly #vocabSize: number;
  #sampleIndex = 0;
  #logitsRow = 0;

  constructor(result: StepResult, vocabSize: number) {
    this.#result = result;
    this.#vocabSize = vocabSize;
  }

  /** The sequence's sampled token; null when it sampled none. */
  sample(sequence: Sequence): Sample | null {
    if (outputOf(sequence) !== OUTPUT_SAMPLE) return null;
    const { seqRows, tokenIds, finishes } = this.#result;
    const index = this.#sampleIndex++;
    assert(seqRows[index] === sequence.row, `sample ${index} is of row ${seqRows[index]}, not row ${sequence.row}`);
    const tokenId = tokenIds[index]!;
    assert(tokenId >= 0 && tokenId < this.#vocabSize, `sampled token id ${tokenId} is not in the vocabulary`);
    const { numTopLogprobs } = sequence.sampling;
    const logprob = numTopLogprobs < 0 ? null : this.#result.logprobs[index]!;
    const topLogprobs = numTopLogprobs <= 0 ? null : this.#topLogprobs(index, numTopLogprobs);
    return { tokenId, finish: finishes[index]!, logprob, topLogprobs };
  }

  /** Logits of the sequence's scheduled tokens; null when it returned none. */
  logits(sequence: Sequence): SequenceLogits | null {
    if (outputOf(sequence) !== OUTPUT_LOGITS) return null;
    const { numScheduledTokens: numTokens, numComputedTokens: position } = sequence;
    const begin = this.#logitsRow * this.#vocabSize;
    this.#logitsRow += numTokens;
    const end = this.#logitsRow * this.#vocabSize;
    assert(end <= this.#result.logits.length, `logits of ${this.#logitsRow} tokens wanted, the result has fewer`);
    return { position, numTokens, values: this.#result.logits.subarray(begin, end) };
  }

  /** Asserts that nothing is left to read. */
  close(): void {
    const { seqRows, logits } = this.#result;
    assert(seqRows.length === this.#sampleIndex, `${seqRows.length} samples for ${this.#sampleIndex} sequences`);
    assert(logits.length === this.#logitsRow * this.#vocabSize, `logits for more than ${this.#logitsRow} tokens`);
  }

  #topLogprobs(index: number, count: number): TokenLogprob[] {
    const { numTopLogprobs: width, topTokenIds, topLogprobs } = this.#result;
    assert(count <= width, `${count} alternatives wanted, the result has ${width}`);
    const alternatives: TokenLogprob[] = [];
    for (let i = index * width; i < index * width + count && topTokenIds[i]! >= 0; i++) {
      alternatives.push({ tokenId: topTokenIds[i]!, logprob: topLogprobs[i]! });
    }
    return alternatives;
  }
}
