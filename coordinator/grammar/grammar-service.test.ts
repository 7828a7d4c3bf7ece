import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { ManualClock } from "../../proto/clock.js";
import { MASK_BITS, type TokenMask } from "../../proto/step.js";
import { loadDemoTokenizer } from "../api/text/demo-model.js";
import type { Tokenizer } from "../api/text/tokenizer.js";
import type { TokenMasker } from "../scheduler/token-masker.js";
import { GrammarThread } from "./grammar-link.js";
import { GrammarService } from "./grammar-service.js";
import type { GrammarSpec } from "./grammar-spec.js";
import { vocabularyTable } from "./vocabulary-table.js";

describe("GrammarService", () => {
  let tokenizer: Tokenizer;
  let stopId: number;
  let service: GrammarService;
  let threads: GrammarThread[];
  const clock = new ManualClock();
  before(async () => {
    tokenizer = await loadDemoTokenizer();
    stopId = tokenizer.specialId("<|return|>")!;
    threads = [];
    service = new GrammarService(() => {
      const thread = new GrammarThread(vocabularyTable(tokenizer, tokenizer.vocabSize, [stopId]), clock);
      threads.push(thread);
      return thread;
    });
  });

  const regexOf = (pattern: string): GrammarSpec => ({
    content: { kind: "regex", pattern, place: "constraint.regex" },
    chat: null,
    stopIds: [stopId],
  });

  it("masks an output token by token, and again from the tokens alone", async () => {
    const grammar = await service.compile(regexOf("(yes|no), [a-z]+"));
    const output = [...tokenizer.encodeOrdinary("no, never"), stopId];
    const first = await masksOf(grammar.masker(), output);
    for (const [index, mask] of first.entries()) assert.ok(allows(mask, output[index]!), `token ${index}`);
    assert.ok(!allows(first[0]!, tokenizer.encodeOrdinary("maybe")[0]!));
    // A sequence that was preempted, or goes on at another replica, has a masker that was asked nothing yet.
    const again = grammar.masker();
    for (let length = output.length; length >= 1; length--) {
      const mask = await maskAfter(grammar.masker(), output.slice(0, length - 1));
      assert.equal(mask, first[length - 1], "the same mask is the same object");
    }
    assert.equal(await maskAfter(again, output.slice(0, 4)), first[4]);
    grammar.release();
  });

  it("needs no answer for what it was told before, or what stays as it is", async () => {
    const grammar = await service.compile(regexOf("[a-z ]*"));
    const masker = grammar.masker();
    const output: number[] = [];
    for (const tokenId of tokenizer.encodeOrdinary("some words which may go on and on")) {
      output.push(tokenId);
      await maskAfter(masker, output);
    }
    const known = grammar.masker();
    for (let length = 0; length <= output.length; length++) assert.ok(known.maskAfter(output.slice(0, length)));
    grammar.release();
  });

  it("compiles equal constraints once, and tells what is wrong with others", async () => {
    const [a, b] = [await service.compile(regexOf("a+")), await service.compile(regexOf("a+"))];
    assert.equal(a, b);
    a.release();
    b.release();
    const refusal = { code: "invalid_argument", place: "constraint.regex", message: /group is not closed/ };
    await assert.rejects(service.compile(regexOf("(a")), refusal);
    assert.equal(threads.length, 1);
  });

  it("ends an output that the constraint cannot follow, and only that one", async () => {
    const grammar = await service.compile(regexOf("abc"));
    const lost = grammar.masker();
    await assert.rejects(maskAfter(lost, tokenizer.encodeOrdinary("x")), { code: "internal" });
    assert.throws(() => lost.maskAfter([]), { code: "internal" });
    assert.ok(grammar.masker().maskAfter([]));
    grammar.release();
  });

  it("goes on with another thread when one is lost; what the lost one knew ends with an error", async () => {
    const grammar = await service.compile(regexOf("[0-9]{3}"));
    const digit = tokenizer.encodeOrdinary("7");
    const lost = grammar.masker();
    assert.equal(lost.maskAfter(digit), null);
    // The answer has no time to come: a message needs a turn of the event loop.
    clock.advance(20_000);
    const loss = { code: "internal", message: /did not answer within 20000 ms/ };
    assert.throws(() => lost.maskAfter(digit), loss);
    await assert.rejects(maskAfter(grammar.masker(), digit), loss);
    grammar.release();
    const next = await service.compile(regexOf("[0-9]{3}"));
    assert.notEqual(next, grammar);
    assert.ok(await maskAfter(next.masker(), digit));
    assert.equal(threads.length, 2);
    next.release();
  });
});

/** As a scheduler asks: again when it is told that there is an answer. */
async function maskAfter(masker: TokenMasker, output: readonly number[]): Promise<TokenMask> {
  for (;;) {
    const known = new Promise<void>((resolve) => (masker.onKnown = resolve));
    const mask = masker.maskAfter(output);
    if (mask !== null) return mask;
    await known;
  }
}

async function masksOf(masker: TokenMasker, output: readonly number[]): Promise<TokenMask[]> {
  const masks: TokenMask[] = [];
  for (let length = 0; length < output.length; length++) masks.push(await maskAfter(masker, output.slice(0, length)));
  return masks;
}

function allows({ form, words }: TokenMask, tokenId: number): boolean {
  return form === MASK_BITS ? ((words[tokenId >>> 5]! >>> (tokenId & 31)) & 1) === 1 : words.includes(tokenId);
}
