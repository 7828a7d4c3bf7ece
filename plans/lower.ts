import { assert, MoesaicError } from "../proto/errors.js";
import { kvGroupsOf } from "./kv-groups.js";
import { lowerWeights } from "./lower-weights.js";
import type { ModelDescription } from "./model-description.js";
import type { BufferSpec, KvGroup, Op, Precision, ProgramDims, ProgramLimits, RankProgram } from "./rank-program.js";
import { sizeOf, wholeShare, type RankShare } from "./rank-share.js";
import type { ResolvedPlan } from "./resolved-plan.js";

export interface LowerOptions {
  limits: ProgramLimits;
  precision: Precision;
  /** Store MXFP4 experts as bf16. */
  dequantize: boolean;
}

/**
 * The program of one rank: a pure function of its arguments.
 * @throws MoesaicError unimplemented for what no engine runs yet: several ranks, or precision fast
 */
export function lower(model: ModelDescription, plan: ResolvedPlan, rank: number, options: LowerOptions): RankProgram {
  assert(rank >= 0 && rank < plan.worldSize, `rank ${rank} of ${plan.worldSize}`);
  checkLowerable(plan, options);
  const share = wholeShare(model);
  const kvGroups = kvGroupsOf(model);
  return {
    rank,
    worldSize: plan.worldSize,
    precision: options.precision,
    dims: dimsOf(model, share),
    limits: options.limits,
    rope: model.rope,
    kvGroups,
    weights: lowerWeights(model, share, options),
    buffers: buffersOf(model, share),
    ops: opsOf(model, kvGroups),
  };
}

function checkLowerable(plan: ResolvedPlan, { precision }: LowerOptions): void {
  if (plan.worldSize > 1) {
    const message = `a replica has one rank yet, the plan has ${plan.worldSize}; write worldSize: 1`;
    throw new MoesaicError("unimplemented", message);
  }
  if (precision === "fast") throw new MoesaicError("unimplemented", "precision fast has no kernels yet; write exact");
}

function dimsOf(model: ModelDescription, share: RankShare): ProgramDims {
  return {
    hiddenSize: model.hiddenSize,
    vocabSize: sizeOf(share.vocab),
    headDim: model.headDim,
    numHeads: sizeOf(share.heads),
    numKvHeads: sizeOf(share.kvHeads),
    numExperts: sizeOf(share.experts),
    expertsPerToken: model.expertsPerToken,
    intermediateSize: sizeOf(share.intermediate),
  };
}

function buffersOf(model: ModelDescription, share: RankShare): BufferSpec[] {
  const { hiddenSize, headDim, expertsPerToken } = model;
  const numQueries = sizeOf(share.heads) * headDim;
  const numKeys = sizeOf(share.kvHeads) * headDim;
  const floats = (name: string, rows: BufferSpec["rows"], cols: number): BufferSpec => ({
    name,
    rows,
    cols,
    dtype: "f32",
  });
  return [
    floats("rope", "tokens", headDim),
    floats("x", "tokens", hiddenSize),
    floats("h", "tokens", hiddenSize),
    floats("qkv", "tokens", numQueries + 2 * numKeys),
    floats("attn", "tokens", numQueries),
    { name: "expert_ids", rows: "tokens", cols: expertsPerToken, dtype: "i32" },
    floats("expert_weights", "tokens", expertsPerToken),
    floats("y", "tokens", expertsPerToken * hiddenSize),
    floats("xl", "logits", hiddenSize),
    floats("hl", "logits", hiddenSize),
    floats("logits", "logits", sizeOf(share.vocab)),
  ];
}

function opsOf(model: ModelDescription, kvGroups: readonly KvGroup[]): Op[] {
  return [
    { op: "rope_table", out: "rope" },
    { op: "embed", weight: "embed", out: "x" },
    ...model.layerKinds.flatMap((_, layer) => [...attentionOps(model, kvGroups, layer), ...expertOps(model, layer)]),
    { op: "gather_rows", x: "x", out: "xl" },
    { op: "rms_norm", x: "xl", weight: "norm", out: "hl", eps: model.rmsNormEps },
    { op: "linear", x: "hl", weight: "lm_head", bias: null, out: "logits", accumulate: false },
    { op: "sample", logits: "logits" },
  ];
}

/** x += o(attention(norm(x))) */
function attentionOps(model: ModelDescription, kvGroups: readonly KvGroup[], layer: number): Op[] {
  const at = `layers.${layer}`;
  const bias = (name: string): string | null => (model.attentionBias ? `${at}.${name}` : null);
  const group = kvGroups.findIndex(({ layers }) => layers.includes(layer));
  assert(group >= 0, `layer ${layer} is in no KV group`);
  const window = model.layerKinds[layer] === "sliding" ? model.slidingWindow : 0;
  const scale = 1 / Math.sqrt(model.headDim);
  return [
    { op: "rms_norm", x: "x", weight: `${at}.attn_norm`, out: "h", eps: model.rmsNormEps },
    { op: "linear", x: "h", weight: `${at}.qkv`, bias: bias("qkv_bias"), out: "qkv", accumulate: false },
    { op: "rope_kv_write", qkv: "qkv", rope: "rope", group, layer },
    { op: "attention", qkv: "qkv", sinks: `${at}.sinks`, out: "attn", group, layer, window, scale },
    { op: "linear", x: "attn", weight: `${at}.o`, bias: bias("o_bias"), out: "x", accumulate: true },
  ];
}

/** x += experts(norm(x)) */
function expertOps(model: ModelDescription, layer: number): Op[] {
  const at = `layers.${layer}`;
  return [
    { op: "rms_norm", x: "x", weight: `${at}.mlp_norm`, out: "h", eps: model.rmsNormEps },
    {
      op: "router",
      x: "h",
      weight: `${at}.router`,
      bias: `${at}.router_bias`,
      expertIds: "expert_ids",
      expertWeights: "expert_weights",
    },
    {
      op: "experts",
      x: "h",
      expertIds: "expert_ids",
      gateUp: `${at}.gate_up`,
      gateUpBias: `${at}.gate_up_bias`,
      down: `${at}.down`,
      downBias: `${at}.down_bias`,
      out: "y",
      alpha: model.swigluAlpha,
      limit: model.swigluLimit,
    },
    { op: "combine", x: "y", expertWeights: "expert_weights", out: "x" },
  ];
}
