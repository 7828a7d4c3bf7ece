import type { TokenMask } from "../../proto/step.js";

/**
 * Which tokens may follow in one constrained sequence. Its answers depend on the output tokens alone, so that a sequence
 * that is computed again, here or by another scheduler, is masked as it was the first time.
 */
export interface TokenMasker {
  /**
   * The mask of the token after these outputs, or null while it is not known yet: the sequence sits out until then.
   * Equal masks are the same object.
   * @param outputTokenIds those of the last call, or more
   * @throws MoesaicError when there will never be one: the sequence ends with it
   */
  maskAfter(outputTokenIds: readonly number[]): TokenMask | null;
  /** Called when a mask that was null is known; set by whoever schedules the sequence. */
  onKnown: () => void;
}
