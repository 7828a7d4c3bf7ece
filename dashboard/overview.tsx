import type { ClusterSample, Quantiles } from "../coordinator/dashboard/cluster-view.js";
import { Chart } from "./chart.js";
import { sumOf, type ClusterModel } from "./cluster-model.js";
import { figures, formatCount, formatDuration, formatPercent } from "./format.js";

type OfSample = (sample: ClusterSample) => number | null;

const rate = (value: number): string => `${formatCount(value)}/s`;

export function Tiles({ model: { samples, status } }: { model: ClusterModel }) {
  const last = samples.at(-1);
  const total = sumOf(last, ({ blocks }) => blocks.total);
  const used = total - sumOf(last, ({ blocks }) => blocks.free);
  const scheduler = status.replicas.flatMap((replica) => replica.scheduler ?? []);
  const tiles: [string, string, string][] = [
    ["Output tokens", rate(sumOf(last, ({ outputRate }) => outputRate)), "sampled in the last second"],
    ["Prompt tokens", rate(sumOf(last, ({ prefillRate }) => prefillRate)), "computed in the last second"],
    ["Time to first token", ...latency(lastOf(samples, ({ ttft }) => ttft))],
    ["Inter-token latency", ...latency(lastOf(samples, ({ itl }) => itl))],
    [
      "Running",
      String(sumOf(last, ({ numRunning }) => numRunning)),
      `${sumOf(last, ({ numWaiting }) => numWaiting)} waiting`,
    ],
    ["KV blocks", total === 0 ? "–" : formatPercent(used / total), `${used} of ${total} in use`],
    [
      "Output, in all",
      formatCount(scheduler.reduce((sum, { numOutputTokens }) => sum + numOutputTokens, 0)),
      `tokens in ${formatDuration(status.uptimeMs)}`,
    ],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, value, note]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <b>{value}</b> <small>{note}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function Charts({ model: { samples } }: { model: ClusterModel }) {
  const line = (name: string, value: OfSample) => ({ name, values: samples.map(value) });
  const sum = (name: string, value: Parameters<typeof sumOf>[1]) => line(name, (sample) => sumOf(sample, value));
  const idle = "Nothing has run yet.";
  return (
    <div class="charts">
      <Chart
        title="Throughput"
        format={rate}
        empty={idle}
        series={[
          sum("output tokens", ({ outputRate }) => outputRate),
          sum("prompt tokens", ({ prefillRate }) => prefillRate),
        ]}
      />
      <Chart
        title="Time to first token"
        format={formatDuration}
        empty="No request has got its first token in the last five minutes."
        series={[line("median", ({ ttft }) => ttft?.p50 ?? null), line("95 %", ({ ttft }) => ttft?.p95 ?? null)]}
      />
      <Chart
        title="Inter-token latency"
        format={formatDuration}
        empty="No sequence has decoded in the last five minutes."
        series={[line("median", ({ itl }) => itl?.p50 ?? null), line("95 %", ({ itl }) => itl?.p95 ?? null)]}
      />
      <Chart
        title="Batch occupancy"
        format={figures}
        empty={idle}
        series={[
          line("sequences in a step", (sample) => meanOf(sample, ({ meanSequences }) => meanSequences)),
          sum("running", ({ numRunning }) => numRunning),
          sum("waiting", ({ numWaiting }) => numWaiting),
        ]}
      />
      <Chart
        title="KV blocks in use"
        format={formatCount}
        empty={idle}
        series={[
          sum("full attention", ({ blocks }) => blocks.full),
          sum("sliding window", ({ blocks }) => blocks.sliding),
        ]}
      />
      <Chart
        title="Step time"
        format={formatDuration}
        empty={idle}
        series={[
          line("step", (sample) => meanOf(sample, ({ meanStepMs }) => meanStepMs)),
          line("in the engine", (sample) => meanOf(sample, ({ meanEngineMs }) => meanEngineMs)),
        ]}
      />
    </div>
  );
}

/** Over the second's steps of all replicas; null without one. */
function meanOf(
  { replicas }: ClusterSample,
  value: (replica: ClusterSample["replicas"][number]) => number,
): number | null {
  const steps = replicas.reduce((sum, { stepRate }) => sum + stepRate, 0);
  return steps === 0 ? null : replicas.reduce((sum, replica) => sum + replica.stepRate * value(replica), 0) / steps;
}

function lastOf(
  samples: readonly ClusterSample[],
  value: (sample: ClusterSample) => Quantiles | null,
): Quantiles | null {
  return (
    samples
      .slice(-10)
      .map(value)
      .findLast((quantiles) => quantiles !== null) ?? null
  );
}

function latency(quantiles: Quantiles | null): [value: string, note: string] {
  if (quantiles === null) return ["–", "none in the last seconds"];
  return [formatDuration(quantiles.p50), `median; 95 % within ${formatDuration(quantiles.p95)}`];
}
