import { expertOps, headOps, normOp, outputOp, routerOp, samplingOps } from "./layer-ops.js";
import { WORLD } from "./rank-groups.js";
import type { ProgramOp } from "./rank-program.js";
import type { RankView } from "./rank-view.js";

/** The ops of a rank that holds its own tokens' hidden states `x_own`, or none where it runs experts only. */
export function shardedOps(view: RankView): ProgramOp[] {
  const { model, share } = view;
  const embedding: ProgramOp[] = [
    { op: "rope_table", out: "rope" },
    { op: "embed", weight: "embed", out: "h" },
    { op: "own_rows", x: "h", out: "x_own" },
  ];
  return [
    ...(share.runsAttention ? embedding : []),
    ...model.layerKinds.flatMap((_, layer) => [
      ...(share.runsAttention ? attentionOps(view, layer) : []),
      ...moeOps(view, layer),
    ]),
    { op: "gather_logits_rows", x: "x_own", out: "xl", group: WORLD },
    ...samplingOps(model),
  ];
}

/** x_own += o(attention(norm(x_own))): each owner's rows, but every token's keys and values. */
function attentionOps(view: RankView, layer: number): ProgramOp[] {
  const before: ProgramOp[] = [
    normOp(view.model, "x_own", `layers.${layer}.attn_norm`, "h_own"),
    { op: "all_gather", x: "h_own", out: "h", group: view.owners },
    ...headOps(view, layer),
  ];
  if (view.headGroup === null) {
    return [
      ...before,
      { op: "own_rows", x: "attn", out: "attn_own" },
      outputOp(view, layer, "attn_own", "x_own", true),
    ];
  }
  return [
    ...before,
    outputOp(view, layer, "attn", "part", false),
    { op: "reduce_scatter", x: "part", out: "part_own", group: view.headGroup },
    { op: "add", x: "part_own", out: "x_own" },
  ];
}

/** x_own += experts(norm(x_own)), wherever the experts are. */
function moeOps(view: RankView, layer: number): ProgramOp[] {
  const { share } = view;
  const routing = [
    normOp(view.model, "x_own", `layers.${layer}.mlp_norm`, "h_own"),
    routerOp(layer, "h_own", "expert_ids_own", "expert_weights_own"),
  ];
  const combine: ProgramOp = { op: "combine", x: "y_own", expertWeights: "expert_weights_own", out: "x_own" };
  const dispatch: ProgramOp = {
    op: "dispatch",
    x: "h_own",
    expertIds: "expert_ids_own",
    out: "h_received",
    outIds: "expert_ids_received",
    group: WORLD,
  };
  return [
    ...(share.runsAttention ? routing : []),
    dispatch,
    ...expertOps(view, layer, "h_received", "expert_ids_received", "y_received"),
    { op: "collect", x: "y_received", expertIds: "expert_ids_own", out: "y_own", group: WORLD },
    ...(share.runsAttention ? [combine] : []),
  ];
}
