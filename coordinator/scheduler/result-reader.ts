import { OUTPUT_LOGITS, OUTPUT_SAMPLE, type StepResult } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import type { PlannedPart } from "./planned-step.js";
import type { SequenceLogits, TokenLogprob } from "./sequence-output.js";

/** One sequence's sampled token, where it ends the sequence (a FINISH_* value), and what was asked about it. */
export interface Sample {
  tokenId: number;
  finish: number;
  /** null: not asked for. */
  logprob: number | null;
  topLogprobs: TokenLogprob[] | null;
}

/** Reads a StepResult beside what was planned: `sample` or `logits` once per part that has some, in the plan's order. */
export class ResultReader {
  readonly #result: StepResult;
  readonly #vocabSize: number;
  #sampleIndex = 0;
  #logitsRow = 0;

  constructor(result: StepResult, vocabSize: number) {
    this.#result = result;
    this.#vocabSize = vocabSize;
  }

  /** The sampled token; null when it sampled none. */
  sample({ sequence, row, output }: PlannedPart): Sample | null {
    if (output !== OUTPUT_SAMPLE) return null;
    const { seqRows, tokenIds, finishes } = this.#result;
    const index = this.#sampleIndex++;
    assert(seqRows[index] === row, () => `sample ${index} is of row ${seqRows[index]}, not row ${row}`);
    const tokenId = tokenIds[index]!;
    assert(tokenId >= 0 && tokenId < this.#vocabSize, () => `sampled token id ${tokenId} is not in the vocabulary`);
    const { numTopLogprobs } = sequence.sampling;
    const logprob = numTopLogprobs < 0 ? null : this.#result.logprobs[index]!;
    const topLogprobs = numTopLogprobs <= 0 ? null : this.#topLogprobs(index, numTopLogprobs);
    return { tokenId, finish: finishes[index]!, logprob, topLogprobs };
  }

  /** Logits of the planned tokens; null when it returned none. */
  logits({ position, numTokens, output }: PlannedPart): SequenceLogits | null {
    if (output !== OUTPUT_LOGITS) return null;
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
