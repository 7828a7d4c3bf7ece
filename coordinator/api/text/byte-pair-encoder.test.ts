import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { BytePairEncoder } from "./byte-pair-encoder.js";

describe("BytePairEncoder", () => {
  // The oracle joins one pair at a time and looks at all of them each time. Few letters make many ties and overlaps.
  it("joins the lowest rank first, the leftmost of equals, as the plain algorithm does", () => {
    const merge = fc.tuple(fc.stringMatching(/^[abc]{1,3}$/), fc.stringMatching(/^[abc]{1,3}$/));
    const merges = fc.uniqueArray(merge, { maxLength: 12, selector: (pair) => pair.join(" ") });
    fc.assert(
      fc.property(merges, fc.stringMatching(/^[abc]{1,80}$/), (merges, word) => {
        const vocab = vocabOf(merges);
        const encoder = new BytePairEncoder(vocab, merges, { ignoreMerges: false });
        const expected = plainEncode(merges, word).map((entry) => vocab.get(entry));
        assert.deepEqual(encoder.encode(word), expected);
        assert.deepEqual(encoder.encode(word), expected);
      }),
      { seed: 5, numRuns: 1000 },
    );
  });

  it("takes a whole entry before any merge only when merges are ignored", () => {
    const vocab = new Map(["a", "b", "ab", "aab"].map((entry, tokenId) => [entry, tokenId]));
    const encode = (ignoreMerges: boolean): readonly number[] =>
      new BytePairEncoder(vocab, [["a", "b"]], { ignoreMerges }).encode("aab");
    assert.deepEqual(encode(false), [0, 2]);
    assert.deepEqual(encode(true), [3]);
  });

  it("encodes nothing to nothing, and refuses a character outside the alphabet", () => {
    const encoder = new BytePairEncoder(new Map([["a", 0]]), [], { ignoreMerges: false });
    assert.deepEqual(encoder.encode(""), []);
    assert.throws(() => encoder.encode("a▁"), { code: "invalid_argument", message: /▁/ });
  });
});

function vocabOf(merges: [string, string][]): Map<string, number> {
  const entries = new Set(["a", "b", "c", ...merges.map((pair) => pair.join(""))]);
  return new Map([...entries].map((entry, tokenId) => [entry, tokenId]));
}

function plainEncode(merges: [string, string][], word: string): string[] {
  const parts = word.split("");
  for (;;) {
    const found = merges.find(([left, right]) => indexOfPair(parts, left, right) >= 0);
    if (found === undefined) return parts;
    parts.splice(indexOfPair(parts, found[0], found[1]), 2, found[0] + found[1]);
  }
}

function indexOfPair(parts: string[], left: string, right: string): number {
  return parts.findIndex((part, index) => part === left && parts[index + 1] === right);
}
