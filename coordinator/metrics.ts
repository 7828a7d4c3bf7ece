import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { RequestObserver } from "./api/generation.js";
import type { StepObserver } from "./engine-loop.js";
import type { SchedulerStats } from "./scheduler/scheduler-stats.js";

const LATENCY_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

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
  sequenceEnded(numPromptTokens: number): void;
}

type StepFacts = Parameters<StepObserver["stepFinished"]>[0];

/**
 * The Prometheus metrics of one coordinator, by the names of the vocabulary. What is a state is read from the scheduler
 * when somebody looks, so that it is never stale.
 */
export class Metrics implements RequestObserver {
  readonly #ofReplica = new Map<number, ReplicaMetrics>();
  readonly #registry = new Registry();
  readonly #firstToken = this.#histogram("moesaic_time_to_first_token_seconds", "request received to first token");
  readonly #requestLatency = this.#histogram("moesaic_request_latency_seconds", "request received to last token");
  readonly #tokenLatency = this.#histogram(
    "moesaic_inter_token_latency_seconds",
    "gap between two tokens of a sequence",
  );
  readonly #step = this.#histogram(
    "moesaic_step_seconds",
    "step plan sent, or the result before it received where that was later, to step result received",
    ["replica"],
  );
  readonly #engineStep = this.#histogram("moesaic_engine_step_seconds", "the part of a step inside the engine", [
    "replica",
  ]);
  readonly #promptTokens = this.#counter("moesaic_prompt_tokens_total", "prompt tokens of finished requests", []);
  readonly #outputTokens = this.#counter("moesaic_output_tokens_total", "tokens sampled", ["replica"]);
  readonly #requests = new Counter({
    name: "moesaic_requests_total",
    help: "choices that ended, by finish reason",
    labelNames: ["finish_reason"],
    registers: [this.#registry],
  });

  /** @param replicas those that serve, with their schedulers' stats */
  constructor(replicas: () => { replicaId: number; stats: SchedulerStats }[]) {
    const each = (set: (replica: string, stats: SchedulerStats) => void) => {
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
    this.#gauge("moesaic_preemptions", "sequences preempted since the start", ["replica"], (gauge) =>
      each((replica, { numPreemptions }) => gauge.set({ replica }, numPreemptions)),
    );
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

  #stepFinished(replica: string, totals: Totals, { result, durationMs, numDecodes }: StepFacts): void {
    const numSampled = result.tokenIds.length;
    totals.numSteps += 1;
    totals.numOutputTokens += numSampled;
    this.#step.observe({ replica }, durationMs / 1_000);
    this.#engineStep.observe({ replica }, result.engineUs / 1e6);
    this.#outputTokens.inc({ replica }, numSampled);
    for (let decode = numDecodes; decode > 0; decode -= 1) this.#tokenLatency.observe(durationMs / 1_000);
  }

  firstToken(timeToFirstTokenMs: number): void {
    this.#firstToken.observe(timeToFirstTokenMs / 1_000);
  }

  finished(finish: { reason: string; numPromptTokens: number; totalMs: number }): void {
    this.#promptTokens.inc(finish.numPromptTokens);
    this.#requestLatency.observe(finish.totalMs / 1_000);
    this.#requests.inc({ finish_reason: finish.reason });
  }

  #histogram(name: string, help: string, labelNames: string[] = []): Histogram {
    return new Histogram({ name, help, labelNames, buckets: LATENCY_BUCKETS_SECONDS, registers: [this.#registry] });
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
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
