import type { Tokenizer } from "../api/text/tokenizer.js";
import type { VocabularyTable } from "./vocabulary.js";

/**
 * A tokenizer's tokens for the grammar thread.
 * @param vocabSize logits of a step; ids that the tokenizer does not know are never allowed
 * @param controlIds control tokens that a grammar may name
 */
export function vocabularyTable(
  tokenizer: Tokenizer,
  vocabSize: number,
  controlIds: readonly number[],
): VocabularyTable {
  const offsets = new Uint32Array(vocabSize + 1);
  for (let tokenId = 0; tokenId < vocabSize; tokenId++) {
    const numBytes = tokenizer.isSpecial(tokenId) ? 0 : tokenizer.tokenBytes(tokenId).length;
    offsets[tokenId + 1] = offsets[tokenId]! + numBytes;
  }
  const bytes = new Uint8Array(offsets[vocabSize]!);
  for (let tokenId = 0; tokenId < vocabSize; tokenId++) {
    if (!tokenizer.isSpecial(tokenId)) bytes.set(tokenizer.tokenBytes(tokenId), offsets[tokenId]);
  }
  return { vocabSize, bytes, offsets, controlIds };
}
