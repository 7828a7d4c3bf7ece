import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StepResult } from "../proto/step.js";
import { Metrics } from "./metrics.js";
import type { PlannedStep } from "./scheduler/planned-step.js";
import type { SchedulerStats } from "./scheduler/scheduler-stats.js";
import { VLLM_ALIASES } from "./vllm-aliases.js";

const STATS: SchedulerStats = {
  numRunning: 3,
  numWaiting: 2,
  numBlocksUsed: { full: 20, sliding: 5 },
  numBlocksTotal: 100,
  numBlocksFree: 75,
  numPreemptions: 4,
  numScheduledTokens: 0,
  prefixCache: {
    numBlocks: 60,
    first: { numTokens: 500, numHitTokens: 320 },
    replay: { numTokens: 90, numHitTokens: 64 },
  },
};

/** A step of one decode and one prefill of 7 tokens that does not end in it. */
const STEP = {
  step: { size: { numTokens: 8 } } as PlannedStep,
  numDecodes: 1,
  result: { tokenIds: Int32Array.of(9), engineUs: 20_000 } as StepResult,
  durationMs: 30,
};

const FINISH = {
  reason: "stop",
  numPromptTokens: 100,
  numOutputTokens: 11,
  totalMs: 1_700,
  times: { queueMs: 100, prefillMs: 600, decodeMs: 1_000 },
};

async function scrape(record: (metrics: Metrics) => void): Promise<Map<string, number>> {
  const metrics = new Metrics('a "model"', () => [
    { replicaId: 0, stats: STATS },
    { replicaId: 1, stats: { ...STATS, numRunning: 8 } },
  ]);
  record(metrics);
  const lines = (await metrics.render()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

const MODEL = String.raw`model_name="a \"model\""`;

describe("Metrics", () => {
  it("shows a state under both names, by replica", async () => {
    const seen = await scrape(() => {});
    assert.equal(seen.get('moesaic_sequences{queue="running",replica="1"}'), 8);
    assert.equal(seen.get(`vllm:num_requests_running{${MODEL},engine="1"}`), 8);
    assert.equal(seen.get(`vllm:num_requests_waiting{${MODEL},engine="0"}`), 2);
    assert.equal(seen.get(`vllm:kv_cache_usage_perc{${MODEL},engine="0"}`), 0.25);
    assert.equal(seen.get(`vllm:num_preemptions_total{${MODEL},engine="0"}`), 4);
    assert.equal(seen.get('moesaic_prefix_cache_queries_total{replica="0",admission="replay"}'), 90);
    assert.equal(seen.get('moesaic_prefix_cache_hits_total{replica="1",admission="first"}'), 320);
    assert.equal(seen.get(`vllm:prefix_cache_queries_total{${MODEL},engine="0"}`), 500);
    assert.equal(seen.get(`vllm:prefix_cache_hits_total{${MODEL},engine="1"}`), 320);
  });

  it("tells of the prefix cache how long blocks were idle and there, and what gaps it bridged", async () => {
    const seen = await scrape((metrics) => {
      const { prefixCache } = metrics.ofReplica(0);
      prefixCache.reused(0);
      prefixCache.reused(4_000);
      prefixCache.evicted(20_000, 90_000);
    });
    assert.equal(seen.get('moesaic_prefix_cache_reuse_gap_seconds_bucket{le="0",replica="0"}'), 1);
    assert.equal(seen.get('moesaic_prefix_cache_reuse_gap_seconds_sum{replica="0"}'), 4);
    assert.equal(seen.get('moesaic_prefix_cache_idle_before_evict_seconds_sum{replica="0"}'), 20);
    assert.equal(seen.get('moesaic_prefix_cache_residency_seconds_sum{replica="0"}'), 90);
  });

  it("counts a step once and shows it under both names", async () => {
    const seen = await scrape((metrics) => metrics.ofReplica(1).stepFinished(STEP));
    assert.equal(seen.get('moesaic_step_tokens_sum{replica="1"}'), 8);
    assert.equal(seen.get(`vllm:iteration_tokens_total_sum{${MODEL},engine="1"}`), 8);
    assert.equal(seen.get(`vllm:generation_tokens_total{${MODEL},engine="1"}`), 1);
    assert.equal(seen.get('moesaic_engine_step_seconds_sum{replica="1"}'), 0.02);
    assert.equal(seen.get(`vllm:inter_token_latency_seconds_count{${MODEL},engine="1"}`), 1);
    assert.equal(seen.get(`vllm:time_per_output_token_seconds_sum{${MODEL},engine="1"}`), 0.03);
  });

  it("has times of a choice that add up to its latency", async () => {
    const seen = await scrape((metrics) => metrics.finished(FINISH));
    const sum = (name: string) => seen.get(`moesaic_${name}_seconds_sum`)!;
    const parts = ["request_queue", "request_prefill", "request_decode"].map(sum);
    assert.ok(Math.abs(parts.reduce((a, b) => a + b) - sum("request_latency")) < 1e-9);
    assert.equal(sum("request_inference"), 1.6);
    assert.equal(sum("time_per_output_token"), 0.1);
    assert.equal(seen.get(`vllm:request_decode_time_seconds_sum{${MODEL},engine="all"}`), 1);
    assert.equal(seen.get(`vllm:request_generation_tokens_sum{${MODEL},engine="all"}`), 11);
  });

  it("has no times of a choice that never had a token", async () => {
    const seen = await scrape((metrics) => metrics.finished({ ...FINISH, reason: "abort", times: null }));
    assert.equal(seen.get("moesaic_request_latency_seconds_count"), 1);
    assert.equal(seen.get("moesaic_request_queue_seconds_count"), 0);
  });

  it("counts a tool call as a stop where vLLM's names are read", async () => {
    const seen = await scrape((metrics) => {
      metrics.finished(FINISH);
      metrics.finished({ ...FINISH, reason: "tool_calls" });
    });
    assert.equal(seen.get('moesaic_requests_total{finish_reason="tool_calls"}'), 1);
    assert.equal(seen.get(`vllm:request_success_total{${MODEL},engine="all",finished_reason="stop"}`), 2);
  });

  it("shows exactly vLLM's buckets, each with what lies below", async () => {
    const seen = await scrape((metrics) => {
      for (const ms of [0.5, 3, 15, 50, 3_000_000]) metrics.firstToken(ms);
    });
    for (const { name, buckets } of VLLM_ALIASES.filter(
      ({ type, of }) => type === "histogram" && /first_token/.test(of),
    )) {
      const shown = [...seen].filter(([line]) => line.startsWith(`${name}_bucket`));
      const les = shown.map(([line]) => / ?le="([^"]+)"|le=([\d.]+)/.exec(line)!.slice(1).find(Boolean)!);
      assert.deepEqual(les, [...buckets!.map(String), "+Inf"]);
      assert.deepEqual(
        shown.map(([, count]) => count),
        [...buckets!.map((le) => [0.5, 3, 15, 50, 3_000_000].filter((ms) => ms <= le * 1_000).length), 5],
      );
    }
  });
});
