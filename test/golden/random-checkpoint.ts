import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { safetensors } from "../hostile-checkpoint.js";
import { Random } from "../../sim/random.js";

/** Sizes of a gpt-oss model. */
export interface ModelShape {
  hidden: number;
  intermediate: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  experts: number;
  expertsPerToken: number;
  vocab: number;
  /** One letter a layer: `s` slides, `f` is full. */
  layers: string;
  window: number;
  /** Whether the head uses the embedding's weights. */
  isTied: boolean;
  hasAttentionBias: boolean;
}

/**
 * Writes a model folder laid out as the published checkpoints are, with random weights: experts in MXFP4 of every code,
 * the rest in bf16. The same shape and seed, the same bytes. Weights are scaled so that hidden states neither die nor
 * explode, biases and sinks are not zero.
 */
export function writeRandomCheckpoint(folder: string, shape: ModelShape, seed: number): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(configOf(shape), null, 1));
  writeFileSync(join(folder, "model.safetensors"), fileOf(tensorsOf(shape, new Random(seed))));
}

interface Tensor {
  name: string;
  dtype: "BF16" | "U8";
  shape: number[];
  bytes: Buffer;
}

function tensorsOf(shape: ModelShape, random: Random): Tensor[] {
  const { hidden, vocab, isTied } = shape;
  return [
    bf16(random, "model.embed_tokens.weight", [vocab, hidden], 1),
    ...shape.layers.split("").flatMap((_, layer) => layerTensors(shape, `model.layers.${layer}`, random)),
    norm(random, "model.norm.weight", hidden),
    ...(isTied ? [] : [bf16(random, "lm_head.weight", [vocab, hidden], 1 / Math.sqrt(hidden))]),
  ];
}

function layerTensors(shape: ModelShape, layer: string, random: Random): Tensor[] {
  return [
    norm(random, `${layer}.input_layernorm.weight`, shape.hidden),
    ...attentionTensors(shape, `${layer}.self_attn`, random),
    norm(random, `${layer}.post_attention_layernorm.weight`, shape.hidden),
    ...expertTensors(shape, `${layer}.mlp`, random),
  ];
}

function attentionTensors(shape: ModelShape, at: string, random: Random): Tensor[] {
  const { hidden, heads, kvHeads, headDim } = shape;
  const linear = (name: string, rows: number, cols: number): Tensor[] => [
    bf16(random, `${at}.${name}.weight`, [rows, cols], 1 / Math.sqrt(cols)),
    ...(shape.hasAttentionBias ? [bf16(random, `${at}.${name}.bias`, [rows], 0.1)] : []),
  ];
  return [
    ...linear("q_proj", heads * headDim, hidden),
    ...linear("k_proj", kvHeads * headDim, hidden),
    ...linear("v_proj", kvHeads * headDim, hidden),
    ...linear("o_proj", hidden, heads * headDim),
    bf16(random, `${at}.sinks`, [heads], 1),
  ];
}

function expertTensors(shape: ModelShape, at: string, random: Random): Tensor[] {
  const { hidden, intermediate, experts } = shape;
  return [
    bf16(random, `${at}.router.weight`, [experts, hidden], 2 / Math.sqrt(hidden)),
    bf16(random, `${at}.router.bias`, [experts], 0.3),
    ...mxfp4(random, `${at}.experts.gate_up_proj`, [experts, 2 * intermediate, hidden]),
    bf16(random, `${at}.experts.gate_up_proj_bias`, [experts, 2 * intermediate], 0.3),
    ...mxfp4(random, `${at}.experts.down_proj`, [experts, hidden, intermediate]),
    bf16(random, `${at}.experts.down_proj_bias`, [experts, hidden], 0.3),
  ];
}

function norm(random: Random, name: string, size: number): Tensor {
  return bf16(random, name, [size], 0.2, 1);
}

/** Uniform around `mean`, of the standard deviation `deviation`. */
function bf16(random: Random, name: string, shape: number[], deviation: number, mean = 0): Tensor {
  const values = Float32Array.from({ length: product(shape) }, () => {
    return mean + deviation * Math.sqrt(12) * (random.fraction() - 0.5);
  });
  // The upper half of a float32 is a bf16, rounded towards zero, which is as random as any.
  const upper = new Uint16Array(values.buffer).filter((_, index) => index % 2 === 1);
  return { name, dtype: "BF16", shape, bytes: Buffer.from(upper.buffer) };
}

/** Root of the mean square of the values that the 16 codes stand for. */
const CODE_DEVIATION = 2.93;

/** Blocks of 32 columns and their scales: 2^(scale - 127). */
function mxfp4(random: Random, name: string, [experts, rows, cols]: [number, number, number]): Tensor[] {
  const numBlocks = experts * rows * (cols / 32);
  const exponent = 127 - Math.round(Math.log2(CODE_DEVIATION * Math.sqrt(cols)));
  const codes = Buffer.from(Uint8Array.from({ length: numBlocks * 16 }, () => random.integer(0, 255)));
  const scales = Buffer.from(Uint8Array.from({ length: numBlocks }, () => exponent + random.integer(-1, 1)));
  return [
    { name: `${name}_blocks`, dtype: "U8", shape: [experts, rows, cols / 32, 16], bytes: codes },
    { name: `${name}_scales`, dtype: "U8", shape: [experts, rows, cols / 32], bytes: scales },
  ];
}

function fileOf(tensors: readonly Tensor[]): Buffer {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(({ name, dtype, shape, bytes }) => {
      const begin = end;
      end += bytes.length;
      return [name, { dtype, shape, data_offsets: [begin, end] }];
    }),
  );
  return Buffer.concat([safetensors(header), ...tensors.map(({ bytes }) => bytes)]);
}

function configOf(shape: ModelShape): object {
  const layers = shape.layers.split("");
  return {
    architectures: ["GptOssForCausalLM"],
    model_type: "gpt_oss",
    hidden_size: shape.hidden,
    intermediate_size: shape.intermediate,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    num_local_experts: shape.experts,
    num_experts_per_tok: shape.expertsPerToken,
    vocab_size: shape.vocab,
    num_hidden_layers: layers.length,
    layer_types: layers.map((kind) => (kind === "s" ? "sliding_attention" : "full_attention")),
    sliding_window: shape.window,
    tie_word_embeddings: shape.isTied,
    attention_bias: shape.hasAttentionBias,
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    swiglu_limit: 7,
    hidden_act: "silu",
    rope_theta: 150_000,
    rope_scaling: {
      rope_type: "yarn",
      factor: 32,
      beta_fast: 32,
      beta_slow: 1,
      original_max_position_embeddings: 4096,
      truncate: false,
    },
    quantization_config: { quant_method: "mxfp4" },
    eos_token_id: shape.vocab - 1,
  };
}

function product(shape: readonly number[]): number {
  return shape.reduce((size, axis) => size * axis, 1);
}
