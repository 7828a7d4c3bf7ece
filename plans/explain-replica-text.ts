import { STEP_SIZES, type ReplicaExplanation } from "./explain-replica.js";
import { TENSOR_CLASSES } from "./tensor-class.js";
import { bytes, count, counted, ms, renderSection } from "./text-table.js";

/** An explanation as aligned text, a section for each question that a reader may have. */
export function renderReplica(explanation: ReplicaExplanation): string {
  const { model, world_size: worldSize, layout, seq_len: seqLen } = explanation;
  const sizes = STEP_SIZES.map((numTokens) => counted(numTokens, "token"));
  const sections: { title: string; rows: string[][]; header?: string[] }[] = [
    {
      title: "Shares",
      rows: shareLines(explanation),
      header: ["", "heads", "KV heads", "experts", "units", "head rows"],
    },
    { title: "Stored bytes", rows: byteLines(explanation), header: ["", ...TENSOR_CLASSES, "all"] },
    { title: "Checkpoint bytes", rows: checkpointLines(explanation) },
    { title: "All ranks", rows: totalLines(explanation) },
    { title: "Bytes of a token", rows: tokenLines(explanation), header: ["", "KV", "read in a step of 1"] },
    {
      title: "Bytes that the busiest rank sends",
      rows: collectiveLines(explanation),
      header: ["", "", "ranks", "a layer", "a step", ...sizes.map((size) => `of ${size}`)],
    },
    { title: "Figures of a rank", rows: figureLines(explanation) },
    {
      title: `Predicted steps, sequences of ${counted(seqLen, "token")}`,
      rows: stepLines(explanation),
      header: ["tokens", "placement", "attention", "experts", "head", "collectives", "overhead", "all"],
    },
    { title: "Layouts of these ranks", rows: strategyLines(explanation), header: ["", ...sizes, "weights of a rank"] },
    { title: "Advice", rows: adviceLines(explanation) },
    { title: "Chosen", rows: explanation.choices.map(({ name, value, why }) => [name, value, why]) },
  ];
  const head = `${model}: ${counted(worldSize, "rank")}, ${layout.name}, ${placementOf(explanation)}`;
  const filled = sections.filter(({ rows }) => rows.length > 0);
  return `${[head, ...filled.map(({ title, rows, header }) => renderSection(title, rows, header))].join("\n\n")}\n`;
}

function placementOf({ tokens }: ReplicaExplanation): string {
  if (tokens.placement !== "auto") return `tokens ${tokens.placement}`;
  return `tokens sharded in steps of ${tokens.sharded_from_tokens} or more`;
}

function shareLines({ ranks, layout }: ReplicaExplanation): string[][] {
  return ranks.map((rank) => [
    `rank ${rank.rank}`,
    count(rank.num_heads),
    count(rank.num_kv_heads),
    count(rank.num_experts),
    count(rank.intermediate_size),
    count(rank.vocab_rows),
    layout.attention_ranks.includes(rank.rank) ? "" : "experts only",
  ]);
}

function byteLines({ ranks }: ReplicaExplanation): string[][] {
  return ranks.map((rank) => [
    `rank ${rank.rank}`,
    ...TENSOR_CLASSES.map((kind) => count(rank.bytes[kind])),
    ...bytes(rank.weights_bytes),
  ]);
}

function checkpointLines({ ranks }: ReplicaExplanation): string[][] {
  return ranks.map((rank) => [`rank ${rank.rank}`, ...bytes(rank.checkpoint_bytes)]);
}

function totalLines({ weights_bytes: all, world_size: worldSize }: ReplicaExplanation): string[][] {
  if (worldSize === 1) return [];
  const times = `${(all.all_ranks / all.one_copy).toFixed(2)} x one copy`;
  return [["weights", ...bytes(all.all_ranks), times]];
}

function tokenLines({ ranks }: ReplicaExplanation): string[][] {
  return ranks.map((rank) => [`rank ${rank.rank}`, count(rank.kv_bytes_per_token), ...bytes(rank.read_bytes)]);
}

function collectiveLines({ collectives }: ReplicaExplanation): string[][] {
  return collectives.map((row) => [
    row.placement,
    row.op,
    count(row.num_ranks),
    count(row.per_layer),
    count(row.per_step),
    ...row.sent_bytes.map(count),
  ]);
}

function stepLines({ steps }: ReplicaExplanation): string[][] {
  return steps.map((row) => [
    count(row.num_tokens),
    row.placement,
    ...[row.attention_ms, row.experts_ms, row.head_ms, row.collectives_ms, row.overhead_ms, row.total_ms].map(ms),
  ]);
}

function strategyLines({ strategies }: ReplicaExplanation): string[][] {
  const sorted = strategies.toSorted((a, b) => (a.step_ms[0] ?? 0) - (b.step_ms[0] ?? 0));
  return sorted.map(({ name, step_ms: stepMs, rank_weights_bytes: weights, is_plan: isPlan }) => [
    name,
    ...stepMs.map(ms),
    ...bytes(weights),
    isPlan ? "this plan" : "",
  ]);
}

function adviceLines({ recommendations }: ReplicaExplanation): string[][] {
  return recommendations.map((row) => [counted(row.num_tokens, "token"), row.text]);
}

function us(value: number): string {
  return value === 0 ? "0 us" : `${value.toPrecision(3)} us`;
}

function figureLines({ profile }: ReplicaExplanation): string[][] {
  const { sources, link_bytes_per_second: link } = profile;
  const gb = (value: number): string => `${(value / 1e9).toPrecision(3)} GB/s`;
  return [
    ["reads", gb(profile.read_bytes_per_second), sources["read_bytes_per_second"] ?? ""],
    ["computes", `${(profile.flops_per_second / 1e9).toPrecision(3)} GFLOP/s`, sources["flops_per_second"] ?? ""],
    [`a round over ${profile.transport}`, `${profile.link_latency_us} us`, sources["link_latency_us"] ?? ""],
    [
      `sends over ${profile.transport}`,
      `${gb(link)} (${((8 * link) / 1e9).toPrecision(3)} Gbit/s)`,
      sources["link_bytes_per_second"] ?? "",
    ],
    ["overhead of an op", `${us(profile.op_us)}, ${us(profile.op_row_us)} a token`, sources["op_us"] ?? ""],
    [
      "overhead of a step",
      `${us(profile.step_us)}, ${us(profile.sample_us)} a sampled token`,
      sources["step_us"] ?? "",
    ],
  ];
}
