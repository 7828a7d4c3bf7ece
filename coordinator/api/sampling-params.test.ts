import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { v1 } from "../../proto/messages.js";
import { parseSamplingParams, rowSampling } from "./sampling-params.js";

const LIMITS = { vocabSize: 100, modelStopTokenIds: [98, 99] };

const parse = (params: v1.SamplingParams.$Properties) => parseSamplingParams(params, LIMITS, 7);

describe("parseSamplingParams", () => {
  it("fills in the documented defaults", () => {
    const sampling = parse({});
    assert.deepEqual(sampling.row, {
      temperature: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      stopTokenIds: [98, 99],
      logitBias: [],
      numTopLogprobs: -1,
    });
    assert.equal(sampling.seed, 7);
    assert.equal(sampling.numChoices, 1);
    assert.equal(sampling.maxTokens, null);
  });

  it("leaves the model's stop tokens out when asked to ignore them, and keeps the request's", () => {
    assert.deepEqual(parse({ ignore_eos: true, stop_token_ids: [3] }).row.stopTokenIds, [3]);
  });

  it("tells logprobs of the chosen token alone from none", () => {
    assert.equal(parse({ logprobs: 0 }).row.numTopLogprobs, 0);
    assert.equal(parse({}).wantsLogprobs, false);
  });

  const bad: [string, v1.SamplingParams.$Properties, RegExp][] = [
    ["a negative temperature", { temperature: -1 }, /temperature: expected a number from 0 to 2, got -1/],
    ["a temperature that is not a number", { temperature: NaN }, /temperature: .* got NaN/],
    ["an infinite penalty", { presence_penalty: Infinity }, /presence_penalty/],
    ["top_p of zero", { top_p: 0 }, /top_p: expected a number over 0, at most 1, got 0/],
    ["top_p over one", { top_p: 1.5 }, /top_p/],
    ["top_k over the vocabulary", { top_k: 101 }, /top_k: expected an integer from 0 to 100/],
    ["min_p over one", { min_p: 2 }, /min_p/],
    ["a repetition penalty of zero", { repetition_penalty: 0 }, /repetition_penalty/],
    ["max_tokens of zero", { max_tokens: 0 }, /max_tokens: expected an integer from 1/],
    ["min_tokens over max_tokens", { min_tokens: 5, max_tokens: 4 }, /min_tokens/],
    ["too many choices", { n: 17 }, /n: expected an integer from 1 to 16/],
    ["too many logprobs", { logprobs: 21 }, /logprobs/],
    [
      "a stop token outside the vocabulary",
      { stop_token_ids: [100] },
      /stop_token_ids\[0\]: expected an integer from 0 to 99/,
    ],
    ["a bias for a token outside the vocabulary", { logit_bias: { 100: 1 } }, /logit_bias\[100\]/],
    ["a bias that is too strong", { logit_bias: { 5: 101 } }, /logit_bias\[5\]/],
    ["an empty stop string", { stop: [""] }, /stop\[0\]: expected 1 to 256 characters/],
    ["seventeen stop strings", { stop: Array.from({ length: 17 }, () => "x") }, /stop: expected at most 16/],
    ["a seed that is not exact", { seed: 2 ** 60 }, /seed/],
  ];
  for (const [what, params, message] of bad) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parse(params), { code: "invalid_argument", place: "sampling", message });
    });
  }

  it("reports every bad field at once", () => {
    assert.throws(() => parse({ temperature: 9, top_p: 9 }), /temperature.*top_p/);
  });
});

describe("rowSampling", () => {
  it("bounds the sequence by max_tokens and by the model's length", () => {
    assert.equal(rowSampling(parse({ max_tokens: 5 }), 0, 10, 1000).maxSeqLen, 15);
    assert.equal(rowSampling(parse({ max_tokens: 5 }), 0, 10, 12).maxSeqLen, 12);
    assert.equal(rowSampling(parse({}), 0, 10, 12).maxSeqLen, 12);
  });

  it("gives each choice a seed of its own and the first one the request's", () => {
    const sampling = parse({ seed: 5, n: 3 });
    const seeds = [0, 1, 2].map((choice) => rowSampling(sampling, choice, 1, 10).seed);
    assert.equal(seeds[0], 5);
    assert.equal(new Set(seeds).size, 3);
  });
});
