import { loadFigures, meetsObjective, type Objective } from "../sim/load-figures.js";
import type { RequestRecord } from "../sim/request-record.js";
import type { SimulatedRun } from "../sim/simulation.js";
import { rateOf, type Trace } from "../sim/trace.js";
import type { Figures } from "./bench-report.js";
import type { ArgumentsOf } from "./command.js";
import { positive } from "./options.js";
import { svgPanels } from "./svg-plot.js";

/** What clients are promised. */
export const OBJECTIVE_OPTIONS = {
  "ttft-ms": positive("ttft-ms", "promised milliseconds to the first token, of 99 in 100 requests"),
  "itl-ms": positive("itl-ms", "promised milliseconds between two tokens, of 99 in 100 gaps"),
} as const;

export function objectiveOf(args: ArgumentsOf<typeof OBJECTIVE_OPTIONS>): Objective {
  return { ttftMs: args["ttft-ms"] ?? Infinity, itlMs: args["itl-ms"] ?? Infinity };
}

/** How a trace fared, simulated or for real, by the names of results. */
export function loadLine(trace: Trace, records: readonly RequestRecord[], objective: Objective): Figures {
  const figures = loadFigures(records, objective);
  const rate = rateOf(trace);
  return {
    rate: rate === Infinity ? "at once" : rate,
    requests: figures.numRequests,
    refused: figures.numRefused,
    seconds: figures.seconds,
    ttft_ms_p50: figures.ttftMsP50,
    ttft_ms_p99: figures.ttftMsP99,
    itl_ms_p50: figures.itlMsP50,
    itl_ms_p99: figures.itlMsP99,
    output_tokens_per_second: figures.outputTokensPerSecond,
    requests_per_second: figures.requestsPerSecond,
    goodput: figures.goodput,
    keeps: meetsObjective(figures, objective),
  };
}

/** With what only a simulation knows. */
export function simulatedLine(trace: Trace, run: SimulatedRun, objective: Objective): Figures {
  const { totals } = run;
  const perStep = (count: number): number => count / Math.max(1, totals.numSteps);
  return {
    ...loadLine(trace, run.records, objective),
    busy_percent: 100 * run.busy,
    kv_percent: 100 * run.kvUse,
    tokens_per_step: perStep(totals.numTokens),
    step_ms: perStep(totals.busyMs),
    preemptions: run.numPreemptions,
  };
}

/** Latencies, throughput and use over the rate at which requests come; a load that came all at once has no place on that axis. */
export function plotLoad(title: string, lines: readonly Figures[]): string {
  const placed = lines
    .filter((line) => typeof line["rate"] === "number")
    .toSorted((a, b) => number(a, "rate") - number(b, "rate"));
  const curve = (name: string, key: string) => ({
    name,
    points: placed.map((line) => [number(line, "rate"), number(line, key)] as const),
  });
  const x = "requests a second";
  return svgPanels([
    { title, x, y: "TTFT, ms", series: [curve("p50", "ttft_ms_p50"), curve("p99", "ttft_ms_p99")] },
    { title: "", x, y: "ITL, ms", series: [curve("p50", "itl_ms_p50"), curve("p99", "itl_ms_p99")] },
    {
      title: "",
      x,
      y: "requests a second",
      series: [curve("finished", "requests_per_second"), curve("goodput", "goodput")],
    },
    { title: "", x, y: "percent", series: [curve("busy", "busy_percent"), curve("KV in use", "kv_percent")] },
  ]);
}

function number(line: Figures, key: string): number {
  return Number(line[key] ?? 0);
}
