import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import * as fc from "fast-check";
import { loadDemoTokenizer } from "./demo-model.js";
import { IncrementalDetokenizer } from "./detokenizer.js";
import type { Tokenizer } from "./tokenizer.js";

describe("IncrementalDetokenizer", () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = await loadDemoTokenizer();
  });

  it("holds a character back until its last byte", () => {
    const tokenIds = tokenizer.encodeOrdinary("漢");
    assert.equal(tokenIds.length, 3);
    const detokenizer = new IncrementalDetokenizer(tokenizer, { skipSpecial: true });
    assert.deepEqual(
      tokenIds.map((tokenId) => detokenizer.push([tokenId])),
      ["", "", "漢"],
    );
  });

  it("replaces a character that never ends, and begins anew after a flush", () => {
    const [first = -1] = tokenizer.encodeOrdinary("漢");
    const detokenizer = new IncrementalDetokenizer(tokenizer, { skipSpecial: true });
    assert.equal(detokenizer.push([first]), "");
    assert.equal(detokenizer.flush(), "\ufffd");
    assert.equal(detokenizer.push(tokenizer.encodeOrdinary("a")) + detokenizer.flush(), "a");
  });

  it("keeps a byte order mark", () => {
    const detokenizer = new IncrementalDetokenizer(tokenizer, { skipSpecial: true });
    assert.equal(detokenizer.push(tokenizer.encodeOrdinary("\ufeffa")), "\ufeffa");
  });

  it("spells special tokens or leaves them out, as asked", () => {
    const shown = new IncrementalDetokenizer(tokenizer, { skipSpecial: false });
    const skipped = new IncrementalDetokenizer(tokenizer, { skipSpecial: true });
    assert.equal(shown.push([2025]), "<|end|>");
    assert.equal(skipped.push([2025]), "");
  });

  // Random ids, most of them single bytes, so that broken and cut characters are frequent; every split is tried.
  it("gives the same text however the ids are split, and valid Unicode each time", () => {
    const bytesOf = new Map<number, number>();
    for (let tokenId = 0; tokenId < tokenizer.vocabSize; tokenId++) {
      const bytes = tokenizer.tokenBytes(tokenId);
      if (bytes.length === 1) bytesOf.set(bytes[0] ?? 0, tokenId);
    }
    const tokenId = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0x80, max: 0xff }).map((byte) => bytesOf.get(byte) ?? 0) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: tokenizer.vocabSize + 5 }) },
      { weight: 1, arbitrary: fc.constantFrom(...tokenizer.encodeOrdinary("漢字😀é\ufeff")) },
    );
    fc.assert(
      fc.property(
        fc.array(fc.array(tokenId, { maxLength: 6 }), { maxLength: 12 }),
        fc.boolean(),
        (parts, skipSpecial) => {
          const detokenizer = new IncrementalDetokenizer(tokenizer, { skipSpecial });
          const texts = [...parts.map((part) => detokenizer.push(part)), detokenizer.flush()];
          assert.equal(texts.join(""), tokenizer.decode(parts.flat(), { skipSpecial }));
          for (const text of texts) assert.equal(Buffer.from(text).toString(), text);
        },
      ),
      { seed: 2, numRuns: 500 },
    );
  });
});
