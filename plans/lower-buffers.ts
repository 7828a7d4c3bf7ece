import { sizeOf } from "./apportion.js";
import type { BufferSpec } from "./rank-program.js";
import type { RankView } from "./rank-view.js";

/** The workspace of one rank: what the two token placements have in common, then what each needs beside it. */
export function buffersOf(view: RankView, placements: { isReplicated: boolean; isSharded: boolean }): BufferSpec[] {
  const { model, share } = view;
  return [
    ...(share.runsAttention ? attentionBuffers(view) : []),
    ...(placements.isReplicated ? replicatedBuffers(view) : []),
    ...(placements.isSharded ? shardedBuffers(view) : []),
    floats("xl", "logits", model.hiddenSize),
    floats("hl", "logits", model.hiddenSize),
    floats("logits", "logits", sizeOf(share.vocab)),
  ];
}

/** Every token passes through the heads of every attention rank, whoever owns it. */
function attentionBuffers({ model, share, headGroup }: RankView): BufferSpec[] {
  const { hiddenSize, headDim } = model;
  const numQueries = sizeOf(share.heads) * headDim;
  const numKeys = sizeOf(share.kvHeads) * headDim;
  return [
    floats("rope", "tokens", headDim),
    floats("h", "tokens", hiddenSize),
    floats("qkv", "tokens", numQueries + 2 * numKeys),
    floats("attn", "tokens", numQueries),
    ...(headGroup === null ? [] : [floats("part", "tokens", hiddenSize)]),
  ];
}

function replicatedBuffers({ model }: RankView): BufferSpec[] {
  const { hiddenSize, expertsPerToken } = model;
  return [
    floats("x", "tokens", hiddenSize),
    ids("expert_ids", "tokens", expertsPerToken),
    floats("expert_weights", "tokens", expertsPerToken),
    floats("y", "tokens", expertsPerToken * hiddenSize),
  ];
}

/** An expert-only rank owns no token, yet names the buffers of those that do: a collective is one op on all ranks. */
function shardedBuffers({ model, share, headGroup }: RankView): BufferSpec[] {
  const { hiddenSize, headDim, expertsPerToken } = model;
  const numQueries = sizeOf(share.heads) * headDim;
  const heads = headGroup === null ? floats("attn_own", "own", numQueries) : floats("part_own", "own", hiddenSize);
  return [
    floats("x_own", "own", hiddenSize),
    floats("h_own", "own", hiddenSize),
    ...(share.runsAttention ? [heads, floats("expert_weights_own", "own", expertsPerToken)] : []),
    ids("expert_ids_own", "own", expertsPerToken),
    floats("y_own", "own", expertsPerToken * hiddenSize),
    floats("h_received", "received", hiddenSize),
    ids("expert_ids_received", "received", expertsPerToken),
    floats("y_received", "received", expertsPerToken * hiddenSize),
  ];
}

function floats(name: string, rows: BufferSpec["rows"], cols: number): BufferSpec {
  return { name, rows, cols, dtype: "f32" };
}

function ids(name: string, rows: BufferSpec["rows"], cols: number): BufferSpec {
  return { name, rows, cols, dtype: "i32" };
}
