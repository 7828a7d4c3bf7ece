import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import { thrownBy } from "../test/thrown.js";
import { describeDummy, describeModel } from "./model-description.js";

/** A valid config with some keys replaced; undefined takes a key out. */
function config(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify({
      model_type: "gpt_oss",
      num_hidden_layers: 4,
      num_local_experts: 8,
      num_experts_per_tok: 2,
      hidden_size: 96,
      intermediate_size: 64,
      head_dim: 16,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      sliding_window: 32,
      max_position_embeddings: 4_096,
      rope_theta: 150_000,
      rope_scaling: { rope_type: "yarn", factor: 32, original_max_position_embeddings: 128, truncate: false },
      vocab_size: 1_000,
      ...changes,
    }),
  ) as Record<string, unknown>;
}

describe("describeModel", () => {
  it("reads the demo model", () => {
    const model = describeModel(JSON.parse(readFileSync("models/moesaic-demo/config.json", "utf8")), "config.json");
    const { rope, layerKinds, ...sizes } = model;
    assert.deepEqual(sizes, {
      family: "gpt_oss",
      hiddenSize: 192,
      vocabSize: 2_048,
      headDim: 64,
      numHeads: 8,
      numKvHeads: 4,
      numExperts: 16,
      expertsPerToken: 4,
      intermediateSize: 256,
      slidingWindow: 64,
      maxModelLen: 131_072,
      rmsNormEps: 1e-5,
      swigluAlpha: 1.702,
      swigluLimit: 7,
      attentionBias: true,
      tieWordEmbeddings: false,
      eosTokenIds: [2_020],
    });
    assert.deepEqual(layerKinds, ["sliding", "full", "sliding", "full", "sliding", "full"]);
    assert.ok(Math.abs((rope.invFreq[17] ?? 0) / 1.2931870125e-4 - 1) < 1e-9);
  });

  it("reads the rotary parameters in transformers 5's form too", () => {
    const scaling = config()["rope_scaling"] as object;
    const renamed = config({
      rope_scaling: undefined,
      rope_theta: undefined,
      rope_parameters: { ...scaling, rope_theta: 150_000 },
    });
    assert.deepEqual(describeModel(renamed, "f").rope, describeModel(config(), "f").rope);
  });

  it("takes a missing truncate as true, as the general YaRN code does", () => {
    const rope = { rope_type: "yarn", factor: 32, original_max_position_embeddings: 128 };
    const missing = describeModel(config({ rope_scaling: rope }), "f").rope;
    assert.deepEqual(missing, describeModel(config({ rope_scaling: { ...rope, truncate: true } }), "f").rope);
    assert.notDeepEqual(missing, describeModel(config(), "f").rope);
  });

  it("rotates without scaling when there is no rope_scaling", () => {
    const { invFreq, attentionScaling } = describeModel(config({ rope_scaling: null }), "f").rope;
    assert.equal(attentionScaling, 1);
    assert.ok(Math.abs((invFreq[4] ?? 0) - 150_000 ** -0.5) < 1e-15);
  });

  it("lets even layers slide when layer_types is missing", () => {
    assert.deepEqual(describeModel(config(), "f").layerKinds, ["sliding", "full", "sliding", "full"]);
  });

  it("lets no layer slide when layer_types is missing and sliding_window is null", () => {
    const model = describeModel(config({ sliding_window: null }), "f");
    assert.deepEqual(model.layerKinds, ["full", "full", "full", "full"]);
    assert.equal(model.slidingWindow, 0);
  });

  it("takes experts_per_token where num_experts_per_tok is missing", () => {
    const model = describeModel(config({ num_experts_per_tok: undefined, experts_per_token: 3 }), "f");
    assert.equal(model.expertsPerToken, 3);
  });

  it("takes a list of end ids", () => {
    assert.deepEqual(describeModel(config({ eos_token_id: [7, 8] }), "f").eosTokenIds, [7, 8]);
  });

  const yarn = { rope_type: "yarn", factor: 32, original_max_position_embeddings: 128 };
  const bad: [what: string, changes: Record<string, unknown>, wanted: RegExp][] = [
    ["a missing size", { hidden_size: undefined }, /hidden_size: expected a whole number .*, it is missing/],
    ["a null size", { vocab_size: null }, /vocab_size: expected a whole number .*, got null/],
    ["a size of zero", { num_local_experts: 0 }, /num_local_experts: .*got 0/],
    ["a negative size", { head_dim: -64 }, /head_dim: .*got -64/],
    ["a fraction", { num_attention_heads: 4.5 }, /num_attention_heads: .*got 4\.5/],
    ["a size as text", { intermediate_size: "64" }, /intermediate_size: .*got "64"/],
    ["a size beyond all bounds", { vocab_size: 2 ** 40 }, /vocab_size: expected a whole number from 1 to 16777216/],
    ["a hidden size off the blocks", { hidden_size: 100 }, /hidden_size: expected a multiple of 32/],
    ["an intermediate size off the blocks", { intermediate_size: 80 }, /intermediate_size: expected a multiple of 32/],
    ["an odd head dim", { head_dim: 15 }, /head_dim: expected an even number/],
    [
      "heads that KV heads do not divide",
      { num_key_value_heads: 3 },
      /num_attention_heads: expected a multiple of .*\(3\)/,
    ],
    [
      "more experts a token than experts",
      { num_experts_per_tok: 9 },
      /num_local_experts: expected at least .*\(9\), got 8/,
    ],
    [
      "two opinions on experts a token",
      { experts_per_token: 3 },
      /experts_per_token: expected the same as .*\(2\), got 3/,
    ],
    [
      "too few layer types",
      { layer_types: ["full_attention"] },
      /layer_types: expected a list of .*\(4\) entries, got a list of 1/,
    ],
    [
      "an unknown layer type",
      { layer_types: ["full_attention", "linear", "full_attention", "full_attention"] },
      /layer_types\[1\]: expected sliding_attention or full_attention, got "linear"/,
    ],
    [
      "sliding layers without a window",
      { layer_types: Array(4).fill("sliding_attention"), sliding_window: null },
      /sliding_window: expected a whole number .*got null/,
    ],
    ["another activation", { hidden_act: "gelu" }, /hidden_act: expected silu, got "gelu"/],
    [
      "another quantisation",
      { quantization_config: { quant_method: "gptq" } },
      /quant_method: expected mxfp4, got "gptq"/,
    ],
    ["a base that is none", { rope_theta: 0 }, /rope_theta: expected a number above 1, got 0/],
    ["no base", { rope_theta: undefined }, /rope_theta: expected a number above 1, it is missing/],
    [
      "another rope type",
      { rope_scaling: { ...yarn, rope_type: "longrope" } },
      /rope_scaling\.rope_type: expected default or yarn/,
    ],
    [
      "yarn without a factor",
      { rope_scaling: { ...yarn, factor: undefined } },
      /rope_scaling\.factor: .*it is missing/,
    ],
    ["mscale", { rope_scaling: { ...yarn, mscale: 1 } }, /rope_scaling\.mscale: expected none/],
    [
      "crossed betas",
      { rope_scaling: { ...yarn, beta_fast: 1 } },
      /rope_scaling\.beta_fast: expected more than beta_slow \(1\)/,
    ],
    [
      "truncate that is no flag",
      { rope_scaling: { ...yarn, truncate: "no" } },
      /rope_scaling\.truncate: expected true or false/,
    ],
    ["rope_scaling that is a list", { rope_scaling: [] }, /rope_scaling: expected a mapping, got \[\]/],
    ["an epsilon of zero", { rms_norm_eps: 0 }, /rms_norm_eps: expected a number above 0 and below 1, got 0/],
    ["a limit that is text", { swiglu_limit: "7" }, /swiglu_limit: expected a number above 0, got "7"/],
    ["biases that are no flag", { attention_bias: 1 }, /attention_bias: expected true or false, got 1/],
    ["an end id that is text", { eos_token_id: "eos" }, /eos_token_id: expected a token id/],
    [
      "sizes whose product is beyond all bounds",
      { hidden_size: 2 ** 20, intermediate_size: 2 ** 20, num_local_experts: 65_536 },
      /the sizes make .* weights: expected at most/,
    ],
  ];
  for (const [what, changes, wanted] of bad) {
    it(`refuses ${what}`, () => {
      const error = thrownBy(() => describeModel(config(changes), "config.json"));
      assert.equal(error.code, "invalid_argument");
      assert.match(error.message, wanted);
      assert.match(error.message, /^config\.json: 1 problem:/);
    });
  }

  it("reports all problems at once", () => {
    const error = thrownBy(() =>
      describeModel(config({ hidden_size: 0, vocab_size: -1, rope_theta: "x" }), "config.json"),
    );
    assert.match(
      error.message,
      /^config\.json: 3 problems:\n {2}hidden_size: .*\n {2}vocab_size: .*\n {2}rope_theta: /,
    );
  });

  it("says which family it knows when the model is of another", () => {
    const error = thrownBy(() => describeModel({ model_type: "mixtral" }, "config.json"));
    assert.equal(error.code, "unimplemented");
    assert.match(error.describe(), /config\.json: model_type: supported is gpt_oss, there is "mixtral"/);
  });

  it("refuses what is no object", () => {
    for (const value of [null, 1, "x", []]) {
      assert.equal(thrownBy(() => describeModel(value, "config.json")).code, "invalid_argument");
    }
  });
});

describe("describeDummy", () => {
  it("knows the two published shapes, and parts of them", () => {
    assert.equal(describeDummy("gpt-oss-20b").layerKinds.length, 24);
    assert.equal(describeDummy("gpt-oss-120b").numExperts, 128);
    assert.deepEqual(describeDummy("gpt-oss-20b").eosTokenIds, [200_002, 199_999, 200_012]);
    assert.deepEqual(describeDummy("gpt-oss-20b:3").layerKinds, ["sliding", "full", "sliding"]);
  });

  it("refuses other names and layer counts, with what would do", () => {
    const wanted: [name: string, message: RegExp][] = [
      ["gpt-oss-20", /expected gpt-oss-20b or gpt-oss-120b, .*did you mean gpt-oss-20b\?/],
      ["constructor", /expected gpt-oss-20b/],
      ["gpt-oss-20b:0", /expected 1 to 24 layers/],
      ["gpt-oss-20b:25", /expected 1 to 24 layers/],
      ["gpt-oss-20b:", /expected 1 to 24 layers/],
      ["gpt-oss-20b:2:2", /expected gpt-oss-20b/],
    ];
    for (const [name, message] of wanted) {
      assert.match(thrownBy(() => describeDummy(name)).message, message);
    }
  });
});
