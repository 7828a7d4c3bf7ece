import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { OUTPUT_SAMPLE, type StepPlan, type StepResult } from "../proto/step.js";
import type { RequestObserver } from "./api/generation.js";
import type { StepObserver } from "./engine-loop.js";
import type { SchedulerStats } from "./scheduler/scheduler.js";

const LATENCY_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Totals since the coordinator started, for `status`. */
export interface Totals {
  numSteps: number;
  numPromptTokens: number;
  numOutputTokens: number;
}

/**
 * The Prometheus metrics of one coordinator, by the names of the vocabulary. What is a state is read from the scheduler
 * when somebody looks, so that it is never stale.
 */
export class Metrics implements StepObserver, RequestObserver {
  readonly totals: Totals = { numSteps: 0, numPromptTokens: 0, numOutputTokens: 0 };
  readonly #registry = new Registry();
  readonly #firstToken = this.#histogram("moesaic_time_to_first_token_seconds", "request received to first token");
  readonly #requestLatency = this.#histogram("moesaic_request_latency_seconds", "request received to last token");
  readonly #tokenLatency = this.#histogram(
    "moesaic_inter_token_latency_seconds",
    "gap between two tokens of a sequence",
  );
  readonly #step = this.#histogram("moesaic_step_seconds", "step plan sent to step result received");
  readonly #engineStep = this.#histogram("moesaic_engine_step_seconds", "the part of a step inside the engine");
  readonly #promptTokens = this.#counter("moesaic_prompt_tokens_total", "prompt tokens of finished requests");
  readonly #outputTokens = this.#counter("moesaic_output_tokens_total", "tokens sampled");
  readonly #requests = new Counter({
    name: "moesaic_requests_total",
    help: "choices that ended, by finish reason",
    labelNames: ["finish_reason"],
    registers: [this.#registry],
  });

  /** @param stats of the scheduler, or null while there is none */
  constructor(stats: () => SchedulerStats | null) {
    this.#gauge("moesaic_kv_blocks_used", "KV blocks owned by sequences", ["group"], (gauge) => {
      const used = stats()?.numBlocksUsed ?? { full: 0, sliding: 0 };
      gauge.set({ group: "full" }, used.full);
      gauge.set({ group: "sliding" }, used.sliding);
    });
    this.#gauge("moesaic_kv_blocks_total", "KV blocks of the pool", [], (gauge) =>
      gauge.set(stats()?.numBlocksTotal ?? 0),
    );
    this.#gauge("moesaic_sequences", "sequences, by queue", ["queue"], (gauge) => {
      gauge.set({ queue: "running" }, stats()?.numRunning ?? 0);
      gauge.set({ queue: "waiting" }, stats()?.numWaiting ?? 0);
    });
    this.#gauge("moesaic_preemptions", "sequences preempted since the start", [], (gauge) =>
      gauge.set(stats()?.numPreemptions ?? 0),
    );
  }

  /** The text format that Prometheus scrapes. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  stepFinished({ plan, result, durationMs }: { plan: StepPlan; result: StepResult; durationMs: number }): void {
    const numSampled = result.tokenIds.length;
    this.totals.numSteps += 1;
    this.totals.numOutputTokens += numSampled;
    this.#step.observe(durationMs / 1_000);
    this.#engineStep.observe(result.engineUs / 1e6);
    this.#outputTokens.inc(numSampled);
    for (let decode = numDecodes(plan); decode > 0; decode -= 1) this.#tokenLatency.observe(durationMs / 1_000);
  }

  firstToken(timeToFirstTokenMs: number): void {
    this.#firstToken.observe(timeToFirstTokenMs / 1_000);
  }

  finished(finish: { reason: string; numPromptTokens: number; totalMs: number }): void {
    this.totals.numPromptTokens += finish.numPromptTokens;
    this.#promptTokens.inc(finish.numPromptTokens);
    this.#requestLatency.observe(finish.totalMs / 1_000);
    this.#requests.inc({ finish_reason: finish.reason });
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({ name, help, buckets: LATENCY_BUCKETS_SECONDS, registers: [this.#registry] });
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.#registry] });
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

/** Sequences that got their next token one step after the last: their gap is the step. */
function numDecodes(plan: StepPlan): number {
  let count = 0;
  for (const [index, output] of plan.outputs.entries()) {
    const numTokens = plan.queryStarts[index + 1]! - plan.queryStarts[index]!;
    if (output === OUTPUT_SAMPLE && numTokens === 1) count += 1;
  }
  return count;
}
