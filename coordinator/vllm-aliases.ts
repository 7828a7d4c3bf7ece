import type { Metric, MetricObjectWithValues, MetricType, MetricValue, Registry } from "prom-client";

/**
 * The names under which dashboards written for vLLM look for our figures. Nothing is counted for them: when somebody looks, each is made
 * of a metric of ours. Labels become `model_name` and `engine`, which is the replica, or "all" for what is counted of
 * requests as a whole. Histograms have the buckets that vLLM's have, which are among those of ours.
 */
interface Alias {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram";
  /** The metric that it is made of. */
  of: string;
  /** Keeps a value where it returns labels beside the usual two, and drops it where it returns null. */
  labelsOf?: (labels: Labels) => Labels | null;
  buckets?: readonly number[];
}

type Labels = Record<string, string | number>;
type Value = MetricValue<string> & { metricName?: string; sharedLabels?: Labels };

const TTFT_BUCKETS_SECONDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const TOKEN_BUCKETS_SECONDS = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const REQUEST_BUCKETS_SECONDS = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];
const STEP_TOKEN_BUCKETS = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];
/** Tokens of a request: 1, 2, 5 and so on, up to the longest model that anybody serves. */
export const COUNT_BUCKETS = [1, 10, 100, 1_000, 10_000, 100_000]
  .flatMap((ten) => [ten, 2 * ten, 5 * ten])
  .slice(0, -1);

const inQueue = (queue: string) => (labels: Labels) => (labels["queue"] === queue ? {} : null);
/** What is admitted again after a preemption says nothing of how alike requests are. */
const ofRequests = ({ admission }: Labels): Labels | null => (admission === "first" ? {} : null);
/** A call of a tool is a stop to whoever counts how generations end. */
const finishedReason = ({ finish_reason: reason }: Labels): Labels => ({
  finished_reason: reason === "tool_calls" ? "stop" : reason!,
});

const seconds = (name: string, of: string, help: string, buckets: readonly number[]): Alias => {
  return { name, of, help, type: "histogram", buckets };
};
const counter = (name: string, of: string, help: string): Alias => ({ name, of, help, type: "counter" });
const gauge = (name: string, of: string, help: string): Alias => ({ name, of, help, type: "gauge" });

export const VLLM_ALIASES: readonly Alias[] = [
  { ...gauge("vllm:num_requests_running", "moesaic_sequences", "sequences that run"), labelsOf: inQueue("running") },
  { ...gauge("vllm:num_requests_waiting", "moesaic_sequences", "sequences that wait"), labelsOf: inQueue("waiting") },
  gauge("vllm:kv_cache_usage_perc", "moesaic_kv_blocks_used_ratio", "KV blocks in use, 1 is all"),
  gauge("vllm:gpu_cache_usage_perc", "moesaic_kv_blocks_used_ratio", "older name of vllm:kv_cache_usage_perc"),
  counter("vllm:num_preemptions_total", "moesaic_preemptions_total", "sequences preempted"),
  {
    ...counter("vllm:prefix_cache_queries_total", "moesaic_prefix_cache_queries_total", "tokens looked for"),
    labelsOf: ofRequests,
  },
  {
    ...counter("vllm:prefix_cache_hits_total", "moesaic_prefix_cache_hits_total", "tokens found"),
    labelsOf: ofRequests,
  },
  counter("vllm:prompt_tokens_total", "moesaic_prompt_tokens_total", "prompt tokens"),
  counter("vllm:generation_tokens_total", "moesaic_output_tokens_total", "tokens sampled"),
  {
    ...counter("vllm:request_success_total", "moesaic_requests_total", "choices that ended"),
    labelsOf: finishedReason,
  },
  seconds(
    "vllm:time_to_first_token_seconds",
    "moesaic_time_to_first_token_seconds",
    "request received to first token",
    TTFT_BUCKETS_SECONDS,
  ),
  seconds(
    "vllm:inter_token_latency_seconds",
    "moesaic_inter_token_latency_seconds",
    "gap between two tokens",
    TOKEN_BUCKETS_SECONDS,
  ),
  seconds(
    "vllm:time_per_output_token_seconds",
    "moesaic_inter_token_latency_seconds",
    "older name of vllm:inter_token_latency_seconds",
    TOKEN_BUCKETS_SECONDS,
  ),
  seconds(
    "vllm:request_time_per_output_token_seconds",
    "moesaic_time_per_output_token_seconds",
    "mean gap between the tokens of a choice",
    TOKEN_BUCKETS_SECONDS,
  ),
  ...(
    [
      ["vllm:e2e_request_latency_seconds", "moesaic_request_latency_seconds", "received to last token"],
      ["vllm:request_queue_time_seconds", "moesaic_request_queue_seconds", "received to scheduled"],
      ["vllm:request_prefill_time_seconds", "moesaic_request_prefill_seconds", "scheduled to first token"],
      ["vllm:request_decode_time_seconds", "moesaic_request_decode_seconds", "first token to last token"],
      ["vllm:request_inference_time_seconds", "moesaic_request_inference_seconds", "scheduled to last token"],
    ] as const
  ).map(([name, of, help]) => seconds(name, of, help, REQUEST_BUCKETS_SECONDS)),
  seconds("vllm:request_prompt_tokens", "moesaic_request_prompt_tokens", "prompt tokens of a choice", COUNT_BUCKETS),
  seconds("vllm:request_generation_tokens", "moesaic_request_output_tokens", "output tokens", COUNT_BUCKETS),
  seconds("vllm:iteration_tokens_total", "moesaic_step_tokens", "tokens of a step", STEP_TOKEN_BUCKETS),
];

/** @returns every bucket that an alias of the metric needs, with `fine` between them, rising */
export function bucketsFor(metric: string, fine: readonly number[] = []): number[] {
  const wanted = VLLM_ALIASES.filter(({ of }) => of === metric).flatMap(({ buckets = [] }) => buckets);
  return [...new Set([...wanted, ...fine])].toSorted((a, b) => a - b);
}

/** Lets a registry show its metrics under vLLM's names too. */
export function addVllmAliases(registry: Registry, modelName: string): void {
  for (const alias of VLLM_ALIASES) {
    const source = registry.getSingleMetric(alias.of) as Metric;
    // All that a registry asks of a metric is its name and what there is to show.
    const shown = { name: alias.name, get: async () => shownAs(alias, modelName, await source.get()) };
    registry.registerMetric(shown as unknown as Metric);
  }
}

function shownAs(
  alias: Alias,
  modelName: string,
  source: MetricObjectWithValues<MetricValue<string>>,
): MetricObjectWithValues<MetricValue<string>> {
  const { name, help, of } = alias;
  const values = source.values.flatMap((value: Value): Value[] => {
    const { le, ...labels } = { ...value.sharedLabels, ...value.labels } as Labels;
    const own = (alias.labelsOf ?? (() => ({})))(labels);
    if (own === null || !isShown(alias, le)) return [];
    const usual = { model_name: modelName, engine: labels["replica"] ?? "all" };
    return [
      {
        value: value.value,
        labels: { ...usual, ...own, ...(le === undefined ? {} : { le }) },
        ...(value.metricName === undefined ? {} : { metricName: value.metricName.replace(of, name) }),
      },
    ];
  });
  return { ...source, name, help, type: alias.type as unknown as MetricType, values: merged(values) };
}

/** Buckets count all that lies below, so that some of them are right without the others. */
function isShown({ buckets }: Alias, le: string | number | undefined): boolean {
  return le === undefined || buckets === undefined || le === "+Inf" || buckets.includes(Number(le));
}

/** Two reasons of ours may be one of vLLM's. */
function merged(values: readonly Value[]): Value[] {
  const byKey = new Map<string, Value>();
  for (const value of values) {
    const key = `${value.metricName ?? ""} ${JSON.stringify(value.labels)}`;
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, { ...value });
    else known.value += value.value;
  }
  return [...byKey.values()];
}
