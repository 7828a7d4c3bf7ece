/**
 * Hash of a block of tokens behind a prefix: an int32 of the prefix's hash and the block's token ids. It says where to look
 * and decides nothing: whoever finds something compares the token ids, so that a collision costs time and no more.
 */
export type BlockHash = (parentHash: number, tokenIds: ArrayLike<number>) => number;

/**
 * HalfSipHash-1-3, made for hash tables that strangers fill: without the key nobody can prepare prompts that all fall into
 * one bucket. Source: J.-P. Aumasson and D. J. Bernstein, SipHash; the variant of 32-bit words, with 64 bits of key.
 * @param key two int32; the same key, the same hashes
 */
export function keyedBlockHash(key: readonly [number, number]): BlockHash {
  const [key0, key1] = key;
  return (parentHash, tokenIds) => {
    let v0 = key0;
    let v1 = key1;
    let v2 = key0 ^ 0x6c796765;
    let v3 = key1 ^ 0x74656462;
    const numWords = tokenIds.length + 1;
    const lengthWord = (numWords * 4) << 24;
    // The words, the word of the length, and three rounds more; one loop, because a call per round would cost the most.
    for (let i = 0; i < numWords + 4; i++) {
      let word = 0;
      if (i === 0) word = parentHash;
      else if (i < numWords) word = tokenIds[i - 1]!;
      else if (i === numWords) word = lengthWord;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
      if (i === numWords) v2 ^= 0xff;
    }
    return v1 ^ v3;
  };
}
