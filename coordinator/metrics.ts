import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { RequestObserver } from "./api/generation.js";
import type { StepObserver } from "./engine-loop.js";
import type { PrefixCacheObserver } from "./scheduler/prefix-cache.js";
import type { PrefixCacheUse, SchedulerStats } from "./scheduler/scheduler-stats.js";
import { addVllmAliases, bucketsFor } from "./vllm-aliases.js";

/** From a burst to a day; 0 is a prefix that another sequence is using. */
const CACHE_AGE_BUCKETS_SECONDS = [0, 0.1, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];
/** What dashboards of vLLM do not ask for, in seconds: engines and steps are faster than its smallest bucket. */
const FINE_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Totals of a replica since the coordinator started, for `status`. */
export interface Totals {
  numSteps: number;
  /** Of the sequences that have ended. */
  numPromptTokens: number;
  numOutputTokens: number;
}

/** The steps and sequences of one replica. */
export interface ReplicaMetrics extends StepObserver {
  readonly totals: Readonly<Totals>;
  readonly prefixCache: PrefixCacheObserver;
  sequenceEnded(numPromptTokens: number): void;
}

/** Calls back for every replica that serves. */
type EachStats = (set: (replica: string, stats: SchedulerStats) => void) => void;
type StepFacts = Parameters<StepObserver["stepFinished"]>[0];

/**
 * The Prometheus metrics of one coordinator, by our own names, and by vLLM's (`vllm-aliases.ts`). What is a state is read from the scheduler
 * when somebody looks, so that it is never stale.
 */
export class Metrics implements RequestObserver {
  readonly #ofReplica = new Map<number, ReplicaMetrics>();
  readonly #registry = new Registry();
  readonly #firstToken = this.#latency("moesaic_time_to_first_token_seconds", "request received to first token");
  readonly #requestLatency = this.#latency("moesaic_request_latency_seconds", "request received to last token");
  readonly #queue = this.#latency("moesaic_request_queue_seconds", "request received to the first step with it");
  readonly #prefill = this.#latency("moesaic_request_prefill_seconds", "first step with a choice to its first token");
  readonly #decode = this.#latency("moesaic_request_decode_seconds", "first token of a choice to its last");
  readonly #inference = this.#latency(
    "moesaic_request_inference_seconds",
    "first step with a choice to its last token",
  );
  readonly #meanGap = this.#latency("moesaic_time_per_output_token_seconds", "mean gap between the tokens of a choice");
  readonly #tokenLatency = this.#latency(
    "moesaic_inter_token_latency_seconds",
    "gap between two tokens of a sequence",
    ["replica"],
  );
  readonly #step = this.#latency(
    "moesaic_step_seconds",
    "step plan sent, or the result before it received where that was later, to step result received",
    ["replica"],
  );
  readonly #engineStep = this.#latency("moesaic_engine_step_seconds", "the part of a step inside the engine", [
    "replica",
  ]);
  readonly #stepTokens = this.#histogram("moesaic_step_tokens", "tokens computed by a step", ["replica"]);
  readonly #requestPromptTokens = this.#histogram("moesaic_request_prompt_tokens", "prompt tokens of a choice");
  readonly #requestOutputTokens = this.#histogram("moesaic_request_output_tokens", "output tokens of a choice");
  readonly #promptTokens = this.#counter("moesaic_prompt_tokens_total", "prompt tokens of finished requests", []);
  readonly #outputTokens = this.#counter("moesaic_output_tokens_total", "tokens sampled", ["replica"]);
  readonly #reuseGap = this.#histogram(
    "moesaic_prefix_cache_reuse_gap_seconds",
    "last use of a cached prefix to its next",
    ["replica"],
    CACHE_AGE_BUCKETS_SECONDS,
  );
  readonly #evictedIdle = this.#histogram(
    "moesaic_prefix_cache_idle_before_evict_seconds",
    "last use of a cached block to its eviction, of the first block that a step evicts",
    ["replica"],
    CACHE_AGE_BUCKETS_SECONDS,
  );
  readonly #residency = this.#histogram(
    "moesaic_prefix_cache_residency_seconds",
    "a block filled to its eviction, of the first block that a step evicts",
    ["replica"],
    CACHE_AGE_BUCKETS_SECONDS,
  );
  readonly #requests = this.#counter("moesaic_requests_total", "choices that ended, by finish reason", [
    "finish_reason",
  ]);

  /**
   * @param modelName as it is served: the label `model_name` of the aliases
   * @param replicas those that serve, with their schedulers' stats
   */
  constructor(modelName: string, replicas: () => { replicaId: number; stats: SchedulerStats }[]) {
    const each: EachStats = (set) => {
      for (const { replicaId, stats } of replicas()) set(String(replicaId), stats);
    };
    // Summed over replicas: who watches one replica's pool reads `status`.
    this.#gauge("moesaic_kv_blocks_used", "KV blocks owned by sequences, of all replicas", ["group"], (gauge) => {
      const used = replicas().map(({ stats }) => stats.numBlocksUsed);
      for (const group of ["full", "sliding"] as const) {
        gauge.set(
          { group },
          used.reduce((sum, blocks) => sum + blocks[group], 0),
        );
      }
    });
    this.#gauge("moesaic_kv_blocks_total", "KV blocks of the pool", ["replica"], (gauge) =>
      each((replica, { numBlocksTotal }) => gauge.set({ replica }, numBlocksTotal)),
    );
    this.#gauge("moesaic_sequences", "sequences, by queue", ["queue", "replica"], (gauge) =>
      each((replica, { numRunning, numWaiting }) => {
        gauge.set({ queue: "running", replica }, numRunning);
        gauge.set({ queue: "waiting", replica }, numWaiting);
      }),
    );
    this.#gauge(
      "moesaic_prefix_cache_blocks",
      "KV blocks that hold a known prefix, in use or free",
      ["replica"],
      (gauge) => each((replica, { prefixCache }) => gauge.set({ replica }, prefixCache.numBlocks)),
    );
    const eachUse = (set: (labels: { replica: string; admission: string }, use: PrefixCacheUse) => void) =>
      each((replica, { prefixCache }) => {
        set({ replica, admission: "first" }, prefixCache.first);
        set({ replica, admission: "replay" }, prefixCache.replay);
      });
    const useLabels = ["replica", "admission"];
    this.#counter("moesaic_prefix_cache_queries_total", "tokens of admitted sequences", useLabels, (counter) => {
      counter.reset();
      eachUse((labels, { numTokens }) => counter.inc(labels, numTokens));
    });
    this.#counter("moesaic_prefix_cache_hits_total", "those whose KV was cached", useLabels, (counter) => {
      counter.reset();
      eachUse((labels, { numHitTokens }) => counter.inc(labels, numHitTokens));
    });
    this.#gauge("moesaic_kv_blocks_used_ratio", "part of the pool's KV blocks in use", ["replica"], (gauge) =>
      each((replica, { numBlocksFree, numBlocksTotal }) => gauge.set({ replica }, 1 - numBlocksFree / numBlocksTotal)),
    );
    this.#counter("moesaic_preemptions_total", "sequences preempted", ["replica"], (counter) => {
      counter.reset();
      each((replica, { numPreemptions }) => counter.inc({ replica }, numPreemptions));
    });
    addVllmAliases(this.#registry, modelName);
  }

  /** What is counted of one replica's steps. */
  ofReplica(replicaId: number): ReplicaMetrics {
    const known = this.#ofReplica.get(replicaId);
    if (known !== undefined) return known;
    const totals: Totals = { numSteps: 0, numPromptTokens: 0, numOutputTokens: 0 };
    const replica = String(replicaId);
    const made: ReplicaMetrics = {
      totals,
      stepFinished: (facts) => this.#stepFinished(replica, totals, facts),
      prefixCache: {
        reused: (gapMs) => this.#reuseGap.observe({ replica }, gapMs / 1_000),
        evicted: (idleMs, residencyMs) => {
          this.#evictedIdle.observe({ replica }, idleMs / 1_000);
          this.#residency.observe({ replica }, residencyMs / 1_000);
        },
      },
      sequenceEnded: (numPromptTokens) => void (totals.numPromptTokens += numPromptTokens),
    };
    this.#ofReplica.set(replicaId, made);
    return made;
  }

  /** The text format that Prometheus scrapes. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #stepFinished(replica: string, totals: Totals, { step, result, durationMs, numDecodes }: StepFacts): void {
    const numSampled = result.tokenIds.length;
    totals.numSteps += 1;
    totals.numOutputTokens += numSampled;
    this.#step.observe({ replica }, durationMs / 1_000);
    this.#engineStep.observe({ replica }, result.engineUs / 1e6);
    this.#outputTokens.inc({ replica }, numSampled);
    this.#stepTokens.observe({ replica }, step.size.numTokens);
    for (let decode = numDecodes; decode > 0; decode -= 1) {
      this.#tokenLatency.observe({ replica }, durationMs / 1_000);
    }
  }

  firstToken(timeToFirstTokenMs: number): void {
    this.#firstToken.observe(timeToFirstTokenMs / 1_000);
  }

  finished({
    reason,
    numPromptTokens,
    numOutputTokens,
    totalMs,
    times,
  }: Parameters<RequestObserver["finished"]>[0]): void {
    this.#promptTokens.inc(numPromptTokens);
    this.#requestPromptTokens.observe(numPromptTokens);
    this.#requestOutputTokens.observe(numOutputTokens);
    this.#requestLatency.observe(totalMs / 1_000);
    this.#requests.inc({ finish_reason: reason });
    if (times === null) return;
    const { queueMs, prefillMs, decodeMs } = times;
    this.#queue.observe(queueMs / 1_000);
    this.#prefill.observe(prefillMs / 1_000);
    this.#decode.observe(decodeMs / 1_000);
    this.#inference.observe((prefillMs + decodeMs) / 1_000);
    if (numOutputTokens > 1) this.#meanGap.observe(decodeMs / (numOutputTokens - 1) / 1_000);
  }

  #latency(name: string, help: string, labelNames: string[] = []): Histogram {
    return this.#histogram(name, help, labelNames, FINE_BUCKETS_SECONDS);
  }

  #histogram(name: string, help: string, labelNames: string[] = [], fine: readonly number[] = []): Histogram {
    const buckets = bucketsFor(name, fine);
    return new Histogram({ name, help, labelNames, buckets, registers: [this.#registry] });
  }

  #counter(name: string, help: string, labelNames: string[], collect?: (counter: Counter) => void): Counter {
    const counter: Counter = new Counter({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      ...(collect === undefined ? {} : { collect: () => collect(counter) }),
    });
    return counter;
  }

  #gauge(name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => collect(gauge),
    });
  }
}
