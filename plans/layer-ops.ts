import { assert } from "../proto/errors.js";
import type { ModelDescription } from "./model-description.js";
import type { Op } from "./rank-program.js";
import type { RankView } from "./rank-view.js";

// The ops that are the same under both token placements, for the buffers they are given.

export function normOp(model: ModelDescription, x: string, weight: string, out: string): Op {
  return { op: "rms_norm", x, weight, out, eps: model.rmsNormEps };
}

/** attn = attention(h), for the rank's heads. */
export function headOps({ model, kvGroups }: RankView, layer: number): Op[] {
  const at = `layers.${layer}`;
  const bias = model.attentionBias ? `${at}.qkv_bias` : null;
  const group = kvGroups.findIndex(({ layers }) => layers.includes(layer));
  assert(group >= 0, `layer ${layer} is in no KV group`);
  const window = model.layerKinds[layer] === "sliding" ? model.slidingWindow : 0;
  const scale = 1 / Math.sqrt(model.headDim);
  return [
    { op: "linear", x: "h", weight: `${at}.qkv`, bias, out: "qkv", accumulate: false },
    { op: "rope_kv_write", qkv: "qkv", rope: "rope", group, layer },
    { op: "attention", qkv: "qkv", sinks: `${at}.sinks`, out: "attn", group, layer, window, scale },
  ];
}

/** The heads' outputs as hidden states; of several ranks that add them up the first adds the bias. */
export function outputOp({ model, share }: RankView, layer: number, x: string, out: string, accumulate: boolean): Op {
  const bias = model.attentionBias && share.hasOutputBias ? `layers.${layer}.o_bias` : null;
  return { op: "linear", x, weight: `layers.${layer}.o`, bias, out, accumulate };
}

export function routerOp(layer: number, x: string, expertIds: string, expertWeights: string): Op {
  const at = `layers.${layer}`;
  return { op: "router", x, weight: `${at}.router`, bias: `${at}.router_bias`, expertIds, expertWeights };
}

/** The rank's experts, in slots of the router's choice; nothing where it has none. */
export function expertOps({ model, share }: RankView, layer: number, x: string, expertIds: string, out: string): Op[] {
  if (share.experts.length === 0) return [];
  const at = `layers.${layer}`;
  const experts: Op = {
    op: "experts",
    x,
    expertIds,
    gateUp: `${at}.gate_up`,
    gateUpBias: `${at}.gate_up_bias`,
    down: `${at}.down`,
    downBias: share.hasDownBias ? `${at}.down_bias` : null,
    out,
    alpha: model.swigluAlpha,
    limit: model.swigluLimit,
  };
  return [experts];
}

/** From the rows whose logits are wanted to a token. */
export function samplingOps(model: ModelDescription): Op[] {
  return [
    normOp(model, "xl", "norm", "hl"),
    { op: "linear", x: "hl", weight: "lm_head", bias: null, out: "logits", accumulate: false },
    { op: "sample", logits: "logits" },
  ];
}
