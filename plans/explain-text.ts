import type { Explanation, OpCount } from "./explain.js";
import { bytes, count, counted, renderSection } from "./text-table.js";

/** An explanation as aligned text, a section for each question that a reader may have. */
export function renderExplanation(explanation: Explanation): string {
  const { model, rank, world_size: worldSize, precision } = explanation;
  const sections: { title: string; rows: string[][] }[] = [
    { title: "Weights as stored", rows: tensorLines(explanation) },
    { title: "Weights in the checkpoint", rows: [["read at load", ...bytes(explanation.checkpoint_bytes)]] },
    { title: "Arenas", rows: arenaLines(explanation) },
    { title: "Limits", rows: limitLines(explanation) },
    { title: "KV cache", rows: kvLines(explanation) },
    { title: "Decode, one sequence", rows: decodeLines(explanation) },
    { title: "Ops", rows: opLines(explanation.ops) },
    { title: "Ops, tokens sharded", rows: opLines(explanation.sharded_ops) },
    { title: "Kernels", rows: kernelLines(explanation) },
    { title: "Chosen", rows: explanation.choices.map(({ name, value, why }) => [name, count(value), why]) },
    {
      title: "Defaults in use",
      rows: explanation.defaults.map((row) => [row.path, String(row.default ?? "none"), row.why]),
    },
  ];
  const head = `${model}: rank ${rank} of ${worldSize}, precision ${precision}`;
  const filled = sections.filter(({ rows }) => rows.length > 0).map(({ title, rows }) => renderSection(title, rows));
  return `${[head, ...filled].join("\n\n")}\n`;
}

function tensorLines({ tensors }: Explanation): string[][] {
  return tensors.map((row) => [row.class, row.dtype, counted(row.num_tensors, "tensor"), ...bytes(row.bytes)]);
}

function arenaLines({ arenas, dequantize }: Explanation): string[][] {
  const lines = [
    ["weights", ...bytes(arenas.weights_bytes)],
    ["KV", ...bytes(arenas.kv_bytes)],
    ["workspace", ...bytes(arenas.workspace_bytes)],
    ["total", ...bytes(arenas.total_bytes)],
  ];
  if (dequantize === null) return lines;
  const other = [`weights with dequantize: ${!dequantize.value}`, ...bytes(dequantize.other_weights_bytes)];
  const sign = dequantize.other_weights_bytes < dequantize.weights_bytes ? "-" : "+";
  return [...lines, [...other, `${sign}${count(dequantize.difference_bytes)} B`]];
}

function limitLines({ limits }: Explanation): string[][] {
  return [
    ["tokens a step", count(limits.max_batched_tokens)],
    ["sequences", count(limits.max_sequences)],
    ["tokens a sequence", count(limits.max_seq_len)],
    ["KV blocks", count(limits.num_blocks), `of ${limits.block_size} tokens, the null block included`],
  ];
}

function kvLines(explanation: Explanation): string[][] {
  const groups = explanation.kv_groups.map((group) => [
    group.window === 0 ? group.kind : `${group.kind} ${group.window}`,
    `${counted(group.num_layers, "layer")}${group.num_padding_layers === 0 ? "" : ` + ${group.num_padding_layers} unused`}`,
    `${count(group.bytes_per_token)} B a token`,
    `at most ${counted(group.max_blocks_per_sequence, "block")} a sequence`,
    ...bytes(group.max_bytes_per_sequence),
  ]);
  return [...groups, ["a block", ...bytes(explanation.kv_block_bytes)]];
}

function decodeLines({ decode }: Explanation): string[][] {
  const lines = [
    ["weights read a token", ...bytes(decode.weights_bytes)],
    [`KV read at ${count(decode.seq_len)} tokens`, ...bytes(decode.kv_bytes)],
    ["total", ...bytes(decode.total_bytes)],
  ];
  if (decode.read_bytes_per_second === null || decode.tokens_per_second_max === null) return lines;
  const at = `at ${(decode.read_bytes_per_second / 1e9).toFixed(1)} GB/s`;
  return [...lines, ["bound", `${decode.tokens_per_second_max.toFixed(1)} tokens/s`, at]];
}

function opLines(ops: readonly OpCount[]): string[][] {
  return ops.map((row) => [row.op, `${row.per_layer} a layer`, `${count(row.per_step)} a step`]);
}

function kernelLines({ kernels }: Explanation): string[][] {
  return kernels.map((row) => [row.ops.join(" + "), `${row.package}/${row.kernel}`, `x ${count(row.count)}`]);
}
