import { MoesaicError } from "../../proto/errors.js";
import type { Sequence } from "./sequence.js";

/** Sequences with a masker that have not ended. */
export class MaskedSequences {
  readonly #sequences = new Set<Sequence>();

  add(sequence: Sequence): void {
    if (sequence.masker !== null) this.#sequences.add(sequence);
  }

  delete(sequence: Sequence): void {
    this.#sequences.delete(sequence);
  }

  /**
   * Asks for the masks of the step to be planned. One that is not known yet keeps its own sequence out of the step, and
   * nobody else's. What follows a token that is not known cannot be known either: a constrained sequence is in one step
   * at a time, whatever runAhead is.
   * @param onLost there will never be a mask
   */
  ask(onLost: (sequence: Sequence, error: MoesaicError) => void): void {
    for (const sequence of this.#sequences) {
      try {
        sequence.mask = sequence.numUnknownTokens > 0 ? null : sequence.masker!.maskAfter(sequence.outputTokenIds);
      } catch (caught) {
        onLost(sequence, MoesaicError.from(caught));
      }
    }
  }
}
