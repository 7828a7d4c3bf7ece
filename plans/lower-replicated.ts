import { expertOps, headOps, normOp, outputOp, routerOp, samplingOps } from "./layer-ops.js";
import { WORLD } from "./rank-groups.js";
import type { ProgramOp } from "./rank-program.js";
import type { RankView } from "./rank-view.js";

/** The ops of a rank that, as all ranks, holds every token's hidden states `x`. */
export function replicatedOps(view: RankView): ProgramOp[] {
  const { model } = view;
  return [
    { op: "rope_table", out: "rope" },
    { op: "embed", weight: "embed", out: "x" },
    ...model.layerKinds.flatMap((_, layer) => [...attentionOps(view, layer), ...moeOps(view, layer)]),
    { op: "gather_rows", x: "x", out: "xl" },
    ...samplingOps(model),
  ];
}

/** x += o(attention(norm(x))) */
function attentionOps(view: RankView, layer: number): ProgramOp[] {
  const before = [normOp(view.model, "x", `layers.${layer}.attn_norm`, "h"), ...headOps(view, layer)];
  if (view.headGroup === null) return [...before, outputOp(view, layer, "attn", "x", true)];
  return [
    ...before,
    outputOp(view, layer, "attn", "part", false),
    { op: "all_reduce", x: "part", group: view.headGroup },
    { op: "add", x: "part", out: "x" },
  ];
}

/** x += experts(norm(x)); slots of other ranks' experts come from there, so that all ranks combine the same numbers. */
function moeOps(view: RankView, layer: number): ProgramOp[] {
  const exchange: ProgramOp = { op: "exchange_slots", y: "y", expertIds: "expert_ids", group: WORLD };
  return [
    normOp(view.model, "x", `layers.${layer}.mlp_norm`, "h"),
    routerOp(layer, "h", "expert_ids", "expert_weights"),
    ...expertOps(view, layer, "h", "expert_ids", "y"),
    ...(view.worldSize > 1 ? [exchange] : []),
    { op: "combine", x: "y", expertWeights: "expert_weights", out: "x" },
  ];
}
