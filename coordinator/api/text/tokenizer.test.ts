import assert from "node:assert/strict";
import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import * as fc from "fast-check";
import { MoesaicError } from "../../../proto/errors.js";
import { BYTE_CHARS } from "./byte-level.js";
import { checkpointDir, loadDemoTokenizer, loadGoldens } from "./demo-model.js";
import { type Tokenizer, loadTokenizer } from "./tokenizer.js";

describe("Tokenizer", () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = await loadDemoTokenizer();
  });

  it("encodes the golden prompts to the reference's ids and decodes the answers to its text", async () => {
    const goldens = await loadGoldens();
    assert.equal(goldens.length, 72);
    for (const golden of goldens) {
      assert.deepEqual(tokenizer.encodeWithSpecials(golden.promptText), golden.promptTokenIds);
      assert.equal(tokenizer.decode(golden.generatedTokenIds, { skipSpecial: false }), golden.generatedText);
    }
  });

  it("knows the control tokens, the stop ids and the size of the vocabulary", () => {
    assert.equal(tokenizer.specialId("<|end|>"), 2025);
    assert.equal(tokenizer.specialId("the"), undefined);
    assert.ok(tokenizer.isSpecial(2025) && !tokenizer.isSpecial(300));
    assert.deepEqual(tokenizer.eosTokenIds, [2020, 2017, 2030]);
    assert.equal(tokenizer.vocabSize, 2048);
  });

  it("turns the spelling of a control token in ordinary text into ordinary tokens", () => {
    assert.deepEqual(tokenizer.encodeWithSpecials("<|end|>"), [2025]);
    const tokenIds = tokenizer.encodeOrdinary("<|end|>");
    assert.ok(tokenIds.length > 1 && tokenIds.every((tokenId) => !tokenizer.isSpecial(tokenId)));
    assert.equal(tokenizer.decode(tokenIds, { skipSpecial: true }), "<|end|>");
  });

  // Any text, control spellings and lone surrogates among it: nothing special comes out, and the text comes back.
  it("round-trips any text without a special id", () => {
    const piece = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.string({ unit: "binary" }),
      fc.constantFrom("<|start|>", "<|", "\ud800"),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join("");
        const tokenIds = tokenizer.encodeOrdinary(text);
        assert.ok(tokenIds.every((tokenId) => !tokenizer.isSpecial(tokenId)));
        assert.equal(tokenizer.decode(tokenIds, { skipSpecial: false }), Buffer.from(text).toString());
      }),
      { seed: 1 },
    );
  });

  it("gives raw bytes for part of a character, the spelling for a special, nothing for an unknown id", () => {
    const bytes = Buffer.concat(tokenizer.encodeOrdinary("漢").map((tokenId) => tokenizer.tokenBytes(tokenId)));
    assert.deepEqual([...bytes], [0xe6, 0xbc, 0xa2]);
    assert.equal(Buffer.from(tokenizer.tokenBytes(2025)).toString(), "<|end|>");
    for (const tokenId of [-1, 2048, 1.5, Number.NaN]) assert.equal(tokenizer.tokenBytes(tokenId).length, 0);
  });

  // One word without a break is the worst case of BPE. Eightfold length costs 64 times as much when it is quadratic.
  it("encodes a long word in time that is not quadratic", () => {
    const shortMs = encodeMs(tokenizer, 32_768);
    const longMs = encodeMs(tokenizer, 262_144);
    assert.ok(longMs < 30 * Math.max(shortMs, 5), `${longMs} ms for 8 times what took ${shortMs} ms`);
  });
});

describe("loadTokenizer", () => {
  it("gives null for a checkpoint without tokenizer.json", async () => {
    assert.equal(await loadTokenizer(await checkpointDir({ "config.json": {} })), null);
  });

  it("reads a tokenizer of 256 bytes and one merge, in both spellings of merges", async () => {
    for (const merges of [["a b"], [["a", "b"]]]) {
      const tokenizer = await loadTiny((json) => {
        json.model.merges = merges;
      });
      assert.deepEqual(tokenizer.encodeOrdinary("abb"), [256, 98]);
    }
  });

  it("joins the stop ids of generation_config.json and config.json", async () => {
    const tokenizer = await loadTiny(() => {}, {
      "generation_config.json": { eos_token_id: [7, 8] },
      "config.json": { eos_token_id: 9 },
    });
    assert.deepEqual(tokenizer.eosTokenIds, [7, 8, 9]);
  });

  it("takes white space into added tokens that ask for it", async () => {
    const tokenizer = await loadTiny((json) => {
      json.added_tokens = [{ id: 257, content: "<m>", special: true, lstrip: true, rstrip: true }];
    });
    assert.deepEqual(tokenizer.encodeWithSpecials("a <m> b"), [97, 257, 98]);
  });

  // With ignore_merges a word that is in the vocabulary becomes one token at once: a way for text to inject a special.
  it("keeps a special out of ordinary text when the vocabulary has it and merges are ignored", async () => {
    const tokenizer = await loadTiny((json) => {
      json.model.ignore_merges = true;
      json.model.vocab["!!"] = 257;
      json.added_tokens = [{ id: 257, content: "!!", special: true }];
    });
    assert.deepEqual(tokenizer.encodeOrdinary("!!"), [33, 33]);
    assert.deepEqual(tokenizer.encodeWithSpecials("!!"), [257]);
  });

  it("counts a token as special that special_tokens_map.json names", async () => {
    const spoil = (json: TinyJson): void => {
      json.added_tokens = [{ id: 257, content: "<s>", special: false }];
    };
    assert.equal((await loadTiny(spoil)).specialId("<s>"), undefined);
    const files = { "special_tokens_map.json": { bos_token: { content: "<s>" } } };
    assert.equal((await loadTiny(spoil, files)).specialId("<s>"), 257);
  });

  const broken: [string, (json: TinyJson) => unknown, RegExp][] = [
    ["no model", (json) => (json.model = null as never), /model/],
    ["a vocabulary that is a list", (json) => (json.model.vocab = [] as never), /model\.vocab: expected an object/],
    ["an id that is no integer", (json) => (json.model.vocab.x = 1.5), /expected a token id/],
    ["an id beyond all bounds", (json) => (json.model.vocab.x = 1e9), /expected a token id/],
    ["one id for two entries", (json) => (json.model.vocab.ab = 97), /token id 97 is given to both/],
    ["merges that are text", (json) => (json.model.merges = "ab"), /model\.merges: expected an array/],
    ["a merge of three", (json) => (json.model.merges = [["a", "b", "c"]]), /merges\[0\]: expected a pair/],
    ["a merge to nowhere", (json) => (json.model.merges = [["x", "y"]]), /"xy" is not in the vocabulary/],
    ["a missing byte", (json) => delete json.model.vocab.a, /none for byte 97/],
    ["an added token without text", (json) => (json.added_tokens = [{ id: 300, content: "" }]), /added_tokens/],
    ["an unknown pre-tokenizer", (json) => json.pre_tokenizer.pretokenizers.push({ type: "Magic" }), /Magic/],
    ["a pattern that does not compile", (json) => json.pre_tokenizer.pretokenizers.push(split("(")), /./],
  ];
  for (const [what, spoil, message] of broken) {
    it(`refuses ${what} with the file's name`, async () => {
      await assert.rejects(loadTiny(spoil), refusal("invalid_argument", message));
    });
  }

  it("refuses what is not JSON, and a file of more than 64 MiB before reading it", async () => {
    const dir = await checkpointDir({ "tokenizer.json": "{" });
    await assert.rejects(loadTokenizer(dir), refusal("invalid_argument", /expected JSON/));
    await truncate(join(dir, "tokenizer.json"), 64 * 1024 * 1024 + 1);
    await assert.rejects(loadTokenizer(dir), refusal("invalid_argument", /expected at most 67108864 bytes/));
  });

  it("names the decoder, model or pre-tokenizer it does not know", async () => {
    const other = (change: object) => loadTiny((json) => Object.assign(json, change));
    await assert.rejects(other({ decoder: { type: "Metaspace" } }), refusal("unimplemented", /Metaspace/));
    await assert.rejects(other({ model: { type: "Unigram" } }), refusal("unimplemented", /Unigram/));
    const suffixed = { type: "BPE", end_of_word_suffix: "</w>" };
    await assert.rejects(other({ model: suffixed }), refusal("unimplemented", /end_of_word_suffix/));
    await assert.rejects(other({ pre_tokenizer: { type: "Whitespace" } }), refusal("unimplemented", /pre_tokenizer/));
  });
});

interface TinyJson {
  added_tokens: object[];
  normalizer: null;
  pre_tokenizer: { type: "Sequence"; pretokenizers: object[] };
  decoder: { type: string };
  model: { type: string; vocab: Record<string, number>; merges: unknown; ignore_merges: boolean };
}

/** Loads a tokenizer whose tokens are the 256 bytes and `ab`, after `spoil` has changed its file. */
async function loadTiny(spoil: (json: TinyJson) => unknown, files: Record<string, unknown> = {}): Promise<Tokenizer> {
  const vocab = Object.fromEntries([...BYTE_CHARS, "ab"].map((entry, tokenId) => [entry, tokenId]));
  const json: TinyJson = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [{ type: "ByteLevel", add_prefix_space: false, use_regex: false }],
    },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab, merges: [["a", "b"]], ignore_merges: false },
  };
  spoil(json);
  const tokenizer = await loadTokenizer(await checkpointDir({ "tokenizer.json": json, ...files }));
  assert.ok(tokenizer);
  return tokenizer;
}

function split(pattern: string): object {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}

function refusal(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MoesaicError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.match(error.place ?? "", /tokenizer\.json$/);
    return true;
  };
}

function encodeMs(tokenizer: Tokenizer, numChars: number): number {
  const text = "ab".repeat(numChars / 2);
  const before = process.cpuUsage();
  assert.ok(tokenizer.encodeOrdinary(text).length > 0);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
