import type { TokenMasker } from "../../coordinator/scheduler/token-masker.js";
import { MASK_BITS, MASK_IDS, type TokenMask } from "../../proto/step.js";

/**
 * A masker without a grammar: what may follow is a function of the output tokens alone. Some answers take a few
 * questions, so that the sequence sits out.
 */
export class FakeMasker implements TokenMasker {
  onKnown = (): void => {};
  readonly #masks: TokenMask[];
  #numKnown = 0;
  #questionsLeft: number;

  /** @param patience questions that an answer takes at most, 0: none is late */
  constructor(vocabSize: number, patience: number) {
    this.#masks = [idsMask(vocabSize, 3), bitsMask(vocabSize, 2), bitsMask(vocabSize, 5)];
    this.#questionsLeft = patience;
  }

  /** Token ids that may follow these outputs. */
  allowedAfter(outputTokenIds: readonly number[]): number[] {
    return idsOf(this.#maskOf(outputTokenIds));
  }

  maskAfter(outputTokenIds: readonly number[]): TokenMask | null {
    if (outputTokenIds.length >= this.#numKnown && this.#questionsLeft > 0) {
      this.#questionsLeft -= 1;
      setImmediate(() => this.onKnown());
      return null;
    }
    if (outputTokenIds.length >= this.#numKnown) this.#questionsLeft = outputTokenIds.length % 3;
    this.#numKnown = Math.max(this.#numKnown, outputTokenIds.length + 1);
    return this.#maskOf(outputTokenIds);
  }

  #maskOf(outputTokenIds: readonly number[]): TokenMask {
    return this.#masks[(outputTokenIds.length + (outputTokenIds.at(-1) ?? 0)) % this.#masks.length]!;
  }
}

function idsMask(vocabSize: number, step: number): TokenMask {
  return {
    form: MASK_IDS,
    words: Int32Array.from({ length: Math.ceil(vocabSize / step) }, (_, index) => index * step),
  };
}

function bitsMask(vocabSize: number, step: number): TokenMask {
  const words = new Int32Array(Math.ceil(vocabSize / 32));
  for (let tokenId = 1; tokenId < vocabSize; tokenId += step) words[tokenId >>> 5]! |= 1 << (tokenId & 31);
  return { form: MASK_BITS, words };
}

function idsOf({ form, words }: TokenMask): number[] {
  if (form === MASK_IDS) return [...words];
  return Array.from({ length: words.length * 32 }, (_, id) => id).filter((id) => (words[id >>> 5]! >>> (id & 31)) & 1);
}
