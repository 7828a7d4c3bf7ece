import { OUTPUT_LOGITS, OUTPUT_SAMPLE, type StepResult } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import { broken } from "./sequence-errors.js";
import type { PlannedPart } from "./planned-step.js";
import type { SequenceLogits, SequenceOutput, TokenLogprob } from "./sequence-output.js";

/** Reads a StepResult beside what was planned: `sampleOf` or `logits` once per part that has some, in the plan's order. */
export class ResultReader {
  readonly #result: StepResult;
  readonly #vocabSize: number;
  #sampleIndex = 0;
  #logitsRow = 0;

  constructor(result: StepResult, vocabSize: number) {
    this.#result = result;
    this.#vocabSize = vocabSize;
  }

  /** Which of the result's samples is the part's; -1 when it sampled none. */
  sampleOf({ sequence, row, output }: PlannedPart): number {
    if (output !== OUTPUT_SAMPLE) return -1;
    const { seqRows } = this.#result;
    const index = this.#sampleIndex++;
    if (seqRows[index] !== row) throw broken(sequence, `was sampled as of row ${seqRows[index]}, not row ${row}`);
    const tokenId = this.tokenId(index);
    if (tokenId >= 0 && tokenId < this.#vocabSize) return index;
    throw broken(sequence, `has a sample whose token id ${tokenId} is not in the vocabulary`);
  }

  tokenId(sampleIndex: number): number {
    return this.#result.tokenIds[sampleIndex]!;
  }

  /** Where the token ends its sequence: a FINISH_* value. */
  finish(sampleIndex: number): number {
    return this.#result.finishes[sampleIndex]!;
  }

  /** What was asked about the token; `numTopLogprobs` is of RowSampling. */
  addLogprobs(output: SequenceOutput, sampleIndex: number, numTopLogprobs: number): void {
    if (numTopLogprobs < 0) return;
    output.logprob = this.#result.logprobs[sampleIndex]!;
    if (numTopLogprobs > 0) output.topLogprobs = this.#topLogprobs(sampleIndex, numTopLogprobs);
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
