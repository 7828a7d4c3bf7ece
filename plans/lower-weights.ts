import { scaled, sizeOf, type Range } from "./apportion.js";
import type { ModelDescription } from "./model-description.js";
import type { WeightSource, WeightTensor } from "./rank-program.js";
import type { RankShare } from "./rank-share.js";

/** The weights of one rank, assembled from slices of the checkpoint's tensors, which have the published names. */
export function lowerWeights(
  model: ModelDescription,
  share: RankShare,
  options: { dequantize: boolean },
): WeightTensor[] {
  const { hiddenSize, vocabSize } = model;
  const embedding = "model.embed_tokens.weight";
  const head = model.tieWordEmbeddings ? embedding : "lm_head.weight";
  const storedDtype = options.dequantize ? "bf16" : "mxfp4";
  const embed = matrix("embed", hiddenSize, [rowsOf(embedding, [vocabSize, hiddenSize], [0, vocabSize])]);
  return [
    ...(share.runsAttention ? [embed] : []),
    ...model.layerKinds.flatMap((_, layer) => [
      ...(share.runsAttention ? [...attentionWeights(model, share, layer), ...routerWeights(model, layer)] : []),
      ...(share.experts.length > 0 ? expertWeights(model, share, layer, storedDtype) : []),
    ]),
    vector("norm", [whole("model.norm.weight", hiddenSize)]),
    matrix("lm_head", hiddenSize, [rowsOf(head, [vocabSize, hiddenSize], share.vocab)]),
  ];
}

function attentionWeights(model: ModelDescription, share: RankShare, layer: number): WeightTensor[] {
  const [at, from] = [`layers.${layer}`, `model.layers.${layer}`];
  const { hiddenSize, headDim, numHeads, numKvHeads } = model;
  const queryRows = scaled(share.heads, headDim);
  const keyRows = scaled(share.kvHeads, headDim);
  const numQueryRows = numHeads * headDim;
  const parts = [
    { tensor: `${from}.self_attn.q_proj`, numRows: numQueryRows, rows: queryRows },
    { tensor: `${from}.self_attn.k_proj`, numRows: numKvHeads * headDim, rows: keyRows },
    { tensor: `${from}.self_attn.v_proj`, numRows: numKvHeads * headDim, rows: keyRows },
  ];
  const qkv = parts.map(({ tensor, numRows, rows }) => rowsOf(`${tensor}.weight`, [numRows, hiddenSize], rows));
  const qkvBias = parts.map(({ tensor, numRows, rows }) => rowsOf(`${tensor}.bias`, [numRows], rows));
  const o = rowsOf(`${from}.self_attn.o_proj.weight`, [hiddenSize, numQueryRows], [0, hiddenSize], queryRows);
  const outputBias = vector(`${at}.o_bias`, [whole(`${from}.self_attn.o_proj.bias`, hiddenSize)]);
  const biases = [vector(`${at}.qkv_bias`, qkvBias), ...(share.hasOutputBias ? [outputBias] : [])];
  return [
    vector(`${at}.attn_norm`, [whole(`${from}.input_layernorm.weight`, hiddenSize)]),
    matrix(`${at}.qkv`, hiddenSize, qkv),
    matrix(`${at}.o`, sizeOf(queryRows), [o]),
    ...(model.attentionBias ? biases : []),
    vector(`${at}.sinks`, [rowsOf(`${from}.self_attn.sinks`, [numHeads], share.heads)]),
  ];
}

function routerWeights(model: ModelDescription, layer: number): WeightTensor[] {
  const [at, from] = [`layers.${layer}`, `model.layers.${layer}`];
  const { hiddenSize, numExperts } = model;
  const router = rowsOf(`${from}.mlp.router.weight`, [numExperts, hiddenSize], [0, numExperts]);
  return [
    vector(`${at}.mlp_norm`, [whole(`${from}.post_attention_layernorm.weight`, hiddenSize)]),
    matrix(`${at}.router`, hiddenSize, [router]),
    vector(`${at}.router_bias`, [whole(`${from}.mlp.router.bias`, numExperts)]),
  ];
}

function expertWeights(
  model: ModelDescription,
  share: RankShare,
  layer: number,
  storedDtype: "bf16" | "mxfp4",
): WeightTensor[] {
  const [at, from] = [`layers.${layer}`, `model.layers.${layer}`];
  const { hiddenSize, numExperts, intermediateSize } = model;
  const { experts, intermediate } = share;
  // Rows 2j and 2j + 1 of gate_up are gate and up of unit j.
  const gateUpRows = scaled(intermediate, 2);
  const outputRows: Range = [0, hiddenSize];
  const gateUpShape = [numExperts, 2 * intermediateSize, hiddenSize];
  const downShape = [numExperts, hiddenSize, intermediateSize];
  const of = (name: string): string => `${from}.mlp.experts.${name}`;
  const downBias = vector(`${at}.down_bias`, [biasRows(of("down_proj_bias"), downShape, experts, outputRows)]);
  return [
    quantized(
      `${at}.gate_up`,
      storedDtype,
      expertRows(of("gate_up_proj"), gateUpShape, experts, gateUpRows, [0, hiddenSize]),
    ),
    vector(`${at}.gate_up_bias`, [biasRows(of("gate_up_proj_bias"), gateUpShape, experts, gateUpRows)]),
    quantized(`${at}.down`, storedDtype, expertRows(of("down_proj"), downShape, experts, outputRows, intermediate)),
    ...(share.hasDownBias ? [downBias] : []),
  ];
}

// ---- tensors and their sources -------------------------------------------------------------------------------------

/** Sources below each other in one bf16 matrix. */
function matrix(name: string, cols: number, sources: WeightSource[]): WeightTensor {
  const rows = stack(sources);
  return { name, role: "matrix", sourceDtype: "bf16", storedDtype: "bf16", numExperts: 1, rows, cols, sources };
}

/** Sources one after the other in one float32 vector; of expert biases one vector an expert. */
function vector(name: string, sources: WeightSource[]): WeightTensor {
  const rows = stack(sources);
  const numExperts = sources[0]?.experts.length ?? 1;
  return { name, role: "vector", sourceDtype: "bf16", storedDtype: "f32", numExperts, rows, cols: 1, sources };
}

function quantized(name: string, storedDtype: "bf16" | "mxfp4", source: WeightSource): WeightTensor {
  const [numExperts, rows, cols] = [source.experts.length, sizeOf(source.rows), sizeOf(source.cols)];
  return { name, role: "matrix", sourceDtype: "mxfp4", storedDtype, numExperts, rows, cols, sources: [source] };
}

/** Sets where each source begins; gives the rows of all. */
function stack(sources: WeightSource[]): number {
  let numRows = 0;
  for (const source of sources) {
    source.dstRow = numRows;
    numRows += sizeOf(source.rows);
  }
  return numRows;
}

/** Rows of a [rows, cols] or [rows] tensor. */
function rowsOf(tensor: string, shape: [number, number?], rows: Range, cols?: Range): WeightSource {
  const numCols = shape[1] ?? 1;
  return {
    tensor,
    scales: null,
    shape: shape.filter((size) => size !== undefined),
    experts: [0],
    rows,
    cols: cols ?? [0, numCols],
    dstRow: 0,
  };
}

function whole(tensor: string, numRows: number): WeightSource {
  return rowsOf(tensor, [numRows], [0, numRows]);
}

/** Rows and columns of some experts of an MXFP4 tensor, which is stored as two. */
function expertRows(tensor: string, shape: number[], experts: number[], rows: Range, cols: Range): WeightSource {
  return { tensor: `${tensor}_blocks`, scales: `${tensor}_scales`, shape, experts, rows, cols, dstRow: 0 };
}

function biasRows(tensor: string, weightShape: number[], experts: number[], rows: Range): WeightSource {
  return { tensor, scales: null, shape: weightShape.slice(0, 2), experts, rows, cols: [0, 1], dstRow: 0 };
}
