import { writeFile } from "node:fs/promises";
import { rankProfileOf } from "../coordinator/cluster/local-ranks.js";
import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import { knownBy, type Calibration } from "../plans/calibration.js";
import { precisionOf, runAheadOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { layoutName } from "../plans/layout-choice.js";
import { sourcedProfile, type Figures as MachineFigures } from "../plans/machine-profile.js";
import { limitsRequestOf } from "../plans/memory.js";
import type { ResolvedPlan } from "../plans/resolved-plan.js";
import { MoesaicError } from "../proto/errors.js";
import { searchDevices, whyNone, whyWinner, type Candidate, type DeviceAnswer } from "../sim/device-search.js";
import { loadFigures, type Objective } from "../sim/load-figures.js";
import { clusterOn, type SimulatedCluster, type SimulatedMachines } from "../sim/simulated-cluster.js";
import { simulate } from "../sim/simulation.js";
import { rateOf } from "../sim/trace.js";
import { reportLines, type Figures } from "./bench-report.js";
import { CALIBRATION_OPTION, readCalibration } from "./calibration-file.js";
import { defineCommand } from "./command.js";
import { throwIfInterrupted, type CommandContext } from "./context.js";
import { clusterOfFlags, DUMMY_OPTION, inTermsOfFlags, LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { OBJECTIVE_OPTIONS, objectiveOf, plotLoad, simulatedLine } from "./load-lines.js";
import { figuresOf, MACHINE_OPTIONS } from "./machine-options.js";
import { JSON_OPTION, text, wholeNumber } from "./options.js";
import { openTrace, TRACE_OPTIONS, type TraceSource } from "./trace-options.js";

/** Flags of a cluster that decide something in a simulation. */
const SIMULATED_LAYOUT = {
  model: LAYOUT_OPTIONS.model,
  tp: LAYOUT_OPTIONS.tp,
  ep: LAYOUT_OPTIONS.ep,
  "tokens-placement": LAYOUT_OPTIONS["tokens-placement"],
  precision: LAYOUT_OPTIONS.precision,
  "max-batched-tokens": LAYOUT_OPTIONS["max-batched-tokens"],
  "num-blocks": LAYOUT_OPTIONS["num-blocks"],
  "block-size": LAYOUT_OPTIONS["block-size"],
  "max-model-len": LAYOUT_OPTIONS["max-model-len"],
  "max-sequences": LAYOUT_OPTIONS["max-sequences"],
  "run-ahead": LAYOUT_OPTIONS["run-ahead"],
  dequantize: LAYOUT_OPTIONS.dequantize,
} as const;

/** The machine that a simulation is about where nobody names one. */
const USUAL_MACHINE = "zen4-2-cores";

export const simCommand = defineCommand({
  usage: "sim",
  describe: "what a trace would see of a cluster that is not there: latencies, goodput, how many devices it needs",
  options: {
    ...SIMULATED_LAYOUT,
    ...DUMMY_OPTION,
    ...TRACE_OPTIONS,
    replicas: {
      ...wholeNumber("replicas", "copies of the model, each on as many ranks as the layout says", 1, 1_024),
      default: "1",
    },
    ...CALIBRATION_OPTION,
    ...MACHINE_OPTIONS,
    ...OBJECTIVE_OPTIONS,
    devices: text("find how many of this machine the trace needs to keep the promises, and in which layout"),
    max: { ...wholeNumber("max", "most devices to look at, with --devices", 1, 1_024), default: "16" },
    plot: text("SVG file to draw latencies, throughput and use over the rate to"),
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [
    [
      "sim --model DIR --calibration machine.json --rate 1,2,4,8 --plot load.svg",
      "how latency grows with load, on the machine that bench calibrate measured",
    ],
    [
      "sim --dummy gpt-oss-20b --devices h100 --trace azure.csv --ttft-ms 500 --itl-ms 40",
      "how many H100 this trace needs",
    ],
    [
      "sim --dummy gpt-oss-120b --calibration h100 --tp 4 --replicas 2 --rate 5",
      "one load on two replicas of four ranks",
    ],
  ],
  parse: async (args) => {
    targetOf({ model: args.model, dummy: args.dummy }, ["model", "dummy"]);
    const objective = objectiveOf(args);
    if (args.devices !== undefined) checkSearch(args.rate, objective);
    const calibration = await readCalibration(args.devices ?? args.calibration ?? USUAL_MACHINE);
    return {
      cluster: clusterOfFlags({
        ...args,
        device: calibration.device,
        precision: args.precision ?? calibration.precision,
      }),
      calibration,
      given: figuresOf(args),
      trace: await openTrace(args),
      objective,
      numReplicas: Number(args.replicas),
      maxDevices: args.devices === undefined ? null : Number(args.max),
      plot: args.plot,
      csv: args.csv,
    };
  },
  async run({ cluster, calibration, given, trace, objective, numReplicas, maxDevices, plot, csv }, context) {
    const { description: model } = await openModelSource(cluster, ".").catch((error: unknown) => {
      throw inTermsOfFlags(error);
    });
    const machines = machinesOf(cluster, calibration, given);
    const { scheduler } = cluster.spec;
    const settings = { request: limitsRequestOf(cluster), scheduler, runAhead: runAheadOf(cluster) };
    const on = (plan: ResolvedPlan, replicas: number) => clusterOn(model, plan, replicas, machines, settings);
    const head = headOf(cluster, calibration, trace, objective);
    if (maxDevices !== null) {
      const requests = trace.at(trace.rates?.[0] ?? null);
      const answer = await searchDevices(model, requests, { on, objective, maxDevices, seed: trace.seed });
      await tellAnswer(answer, { ...head, requests_per_second: rateOf(requests) }, csv, context);
      return 0;
    }
    const plan = await resolveSpecPlan(cluster, ".", model);
    const simulated = on(plan, numReplicas);
    const rates = trace.rates ?? (trace.hasTimes ? [null] : await usefulRates(simulated, trace));
    const lines: Figures[] = [];
    for (const rate of rates) {
      throwIfInterrupted(context.signal);
      const requests = trace.at(rate);
      lines.push(simulatedLine(requests, await simulate(requests, simulated, trace.seed), objective));
    }
    const { attention, experts } = plan;
    const layout = layoutName({ ep: experts.ep, tp: experts.tp, attentionTp: attention.tp });
    await reportLines({ head: { ...head, layout, replicas: numReplicas }, lines, notes: NOTES, csv }, context);
    const title = `${cluster.spec.servedModelName}, ${numReplicas} x ${layout} on ${calibration.machine}`;
    if (plot !== undefined) await writeFile(plot, plotLoad(title, lines));
    return 0;
  },
});

const NOTES =
  "rate: requests a second that come. ttft, itl: milliseconds to the first token and between two tokens. goodput: requests a second\n" +
  "whose first token and 99 of 100 gaps kept the promises. busy: the part of the time in which steps ran. kv: most of the pool that was\n" +
  "in use. The figures are those of the calibration; moesaic bench trace measures the same of a cluster that runs.";

/** @throws MoesaicError invalid_argument where the search would not know what to look for */
function checkSearch(rates: readonly number[] | undefined, { ttftMs, itlMs }: Objective): void {
  if (ttftMs === Infinity && itlMs === Infinity) {
    throw new MoesaicError(
      "invalid_argument",
      "--devices looks for what keeps a promise: give --ttft-ms, --itl-ms or both",
    );
  }
  if ((rates ?? []).length > 1) {
    throw new MoesaicError(
      "invalid_argument",
      "--devices answers for one load: give one --rate, or none for that of the trace",
    );
  }
}

function machinesOf(cluster: ClusterSpec, calibration: Calibration, given: MachineFigures): SimulatedMachines {
  const known = [knownBy(calibration), { figures: given, source: "as given" }];
  return {
    profile: sourcedProfile(rankProfileOf(cluster), known).profile,
    memoryBytes: calibration.memoryBytes,
    precision: precisionOf(cluster),
    dequantize: cluster.spec.engine.dequantize,
    hasOwnMemory: calibration.device === "cuda",
  };
}

function headOf(
  cluster: ClusterSpec,
  calibration: Calibration,
  trace: TraceSource,
  { ttftMs, itlMs }: Objective,
): Figures {
  const promised = (ms: number): Figures[string] => (ms === Infinity ? "nothing" : ms);
  return {
    model: cluster.spec.servedModelName,
    machine: calibration.machine,
    calibrated: calibration.date,
    precision: precisionOf(cluster),
    trace: trace.name,
    seed: trace.seed,
    promised_ttft_ms: promised(ttftMs),
    promised_itl_ms: promised(itlMs),
  };
}

/** Parts of what the cluster does at most, from the time that it takes when everything comes at once. */
const LOADS = [0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.2];

async function usefulRates(simulated: SimulatedCluster, trace: TraceSource): Promise<number[]> {
  const { records } = await simulate(trace.at(Infinity), simulated, trace.seed);
  const { requestsPerSecond } = loadFigures(records, { ttftMs: Infinity, itlMs: Infinity });
  return LOADS.map((load) => Number((load * requestsPerSecond).toPrecision(3)));
}

async function tellAnswer(
  { numDevices, tried }: DeviceAnswer,
  head: Figures,
  csv: string | undefined,
  context: CommandContext,
): Promise<void> {
  const lines = tried.map(candidateLine);
  const winner = tried.find((candidate) => candidate.isWinner);
  const answer =
    numDevices === null ? "none of those looked at keeps the promises" : `${numDevices}: ${winner?.name ?? ""}`;
  const why = winner === undefined ? whyNone(tried) : whyWinner(winner, tried);
  await reportLines({ head: { ...head, devices_needed: answer, why }, lines, notes: SEARCH_NOTES, csv }, context);
}

const SEARCH_NOTES =
  "One line for each layout of each number of devices that was simulated. percent: of the time of steps. What does not fit, and why, is\n" +
  "said in its line. More devices are taken to be no worse, so that not every number is tried.";

function candidateLine({ numDevices, name, figures, run, isWinner, misfit }: Candidate): Figures {
  const percent = (part: number): number => (run === null ? 0 : (100 * part) / Math.max(1e-9, run.totals.busyMs));
  return {
    devices: numDevices,
    layout: name,
    keeps: isWinner ? "best" : figures === null ? "does not fit" : figures.isMet ? "yes" : "no",
    ttft_ms_p99: figures?.ttftMsP99 ?? null,
    itl_ms_p99: figures?.itlMsP99 ?? null,
    goodput: figures?.goodput ?? null,
    output_tokens_per_second: figures?.outputTokensPerSecond ?? null,
    busy_percent: run === null ? null : 100 * run.busy,
    kv_percent: run === null ? null : 100 * run.kvUse,
    experts_percent: run === null ? null : percent(run.totals.expertsMs),
    collectives_percent: run === null ? null : percent(run.totals.collectivesMs),
    overhead_percent: run === null ? null : percent(run.totals.overheadMs),
    misfit,
  };
}
