import { writeFile } from "node:fs/promises";
import { deviceOf } from "../plans/cluster-spec.js";
import type { MoesaicClient } from "../client/client.js";
import type { Coordinator } from "../coordinator/coordinator.js";
import type { Explanation } from "../plans/explain.js";
import { MoesaicError } from "../proto/errors.js";
import { machineFigures, report, type Figures } from "./bench-report.js";
import { defineCommand } from "./command.js";
import type { CommandContext } from "./context.js";
import { engineTime } from "./engine-time.js";
import { explainCluster, rankBandwidth, threadsOf, decided } from "./explained-plan.js";
import {
  clusterOfFlags,
  DUMMY_OPTION,
  EVERY_PREFILL_COMPUTED,
  LAYOUT_OPTIONS,
  targetOf,
  type LayoutArguments,
} from "./layout-flags.js";
import { withLocalCluster } from "./local-cluster.js";
import { JSON_OPTION, text, wholeNumber } from "./options.js";
import { svgPlot } from "./svg-plot.js";
import { benchPrompt, median, quantile, sum, timedRun, type TimedRun } from "./timed-run.js";

/** Above this the reference kernels would take longer than the benchmark. */
const REFERENCE_CHECK_BYTES = 256 * 2 ** 20;
const REFERENCE_CHECK_TOKENS = 8;

export const latencyCommand = defineCommand({
  usage: "latency",
  describe: "one sequence alone: TTFT, ITL, tokens/s beside what the memory's bandwidth allows",
  options: {
    ...LAYOUT_OPTIONS,
    ...DUMMY_OPTION,
    "prompt-len": { ...wholeNumber("prompt-len", "tokens of the prompt", 1, 2 ** 20), default: "128" },
    "output-len": { ...wholeNumber("output-len", "tokens to generate", 2, 2 ** 20), default: "64" },
    repeats: {
      ...wholeNumber("repeats", "timed runs after one to warm up; their median is told", 2, 1_000),
      default: "3",
    },
    plot: text("SVG file to draw the time of each token to"),
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [["bench latency --dummy gpt-oss-20b:4", "seeded random weights of 4 layers"]],
  parse: (args) => {
    targetOf(args, ["model", "dummy"]);
    const sizes = { promptLen: Number(args["prompt-len"]), outputLen: Number(args["output-len"]) };
    return {
      args,
      cluster: clusterOfFlags(args, EVERY_PREFILL_COMPUTED),
      ...sizes,
      repeats: Number(args.repeats),
      plot: args.plot,
      csv: args.csv,
    };
  },
  async run({ args, cluster, promptLen, outputLen, repeats, plot, csv }, context) {
    const numThreads = threadsOf(cluster);
    const { json: explained } = await explainCluster(cluster, ".", []);
    const before = await rankBandwidth(cluster);
    const measured = await withLocalCluster(cluster, context, (client, coordinator) =>
      measure(client, coordinator, { promptLen, outputLen, repeats }, context),
    );
    const bandwidth = Math.max(before ?? 0, (await rankBandwidth(cluster)) ?? 0);
    const agreesWithReference = await compareWithReference(args, explained, measured, context);
    const figures = {
      bench: "latency",
      ...machineFigures(numThreads, deviceOf(decided(cluster))),
      model: explained.model,
      prompt_len: promptLen,
      output_len: outputLen,
      ...latencyFigures(measured, explained, promptLen + outputLen / 2, bandwidth),
      runs_agree: true,
      agrees_with_reference: agreesWithReference,
    };
    await report(figures, csv, context);
    if (plot !== undefined) await writeFile(plot, plotOf(explained.model, promptLen, measured.runs));
    return 0;
  },
});

/** Of each token after the first the median of the runs. */
function plotOf(model: string, promptLen: number, runs: readonly TimedRun[]): string {
  const points = runs[0]!.gapsMs.map((_, index) => {
    return [promptLen + index + 2, median(runs.map((run) => run.gapsMs[index] ?? 0))] as const;
  });
  return svgPlot({
    title: model,
    x: "tokens of the sequence",
    y: "ms per token",
    series: [{ name: "decode", points }],
  });
}

interface Sizes {
  promptLen: number;
  outputLen: number;
  repeats: number;
}

interface Measured {
  promptTokenIds: number[];
  runs: TimedRun[];
  wallSeconds: number;
  engineSeconds: number;
}

async function measure(
  client: MoesaicClient,
  coordinator: Coordinator,
  { promptLen, outputLen, repeats }: Sizes,
  { signal }: CommandContext,
): Promise<Measured> {
  const [model] = await client.listModels({ signal });
  const promptTokenIds = benchPrompt(promptLen, model?.vocabSize ?? 1, 1);
  const warmUp = await timedRun(client, promptTokenIds, outputLen, signal);
  const { seconds: engineBefore } = await engineTime(coordinator, signal);
  const runs: TimedRun[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1)
    runs.push(await timedRun(client, promptTokenIds, outputLen, signal));
  const wallSeconds = sum(runs.map((run) => run.ttftMs + sum(run.gapsMs))) / 1_000;
  for (const run of runs) checkSame(warmUp.tokenIds, run.tokenIds, "two runs of one greedy request");
  return {
    promptTokenIds,
    runs,
    wallSeconds,
    engineSeconds: (await engineTime(coordinator, signal)).seconds - engineBefore,
  };
}

function latencyFigures(measured: Measured, explained: Explanation, seqLen: number, bandwidth: number): Figures {
  const { runs } = measured;
  const gapsMs = runs.flatMap((run) => run.gapsMs);
  const secondsPerToken = median(runs.map((run) => sum(run.gapsMs) / run.gapsMs.length)) / 1_000;
  const bytesPerToken = explained.decode.weights_bytes + kvBytesRead(explained, seqLen);
  const achieved = bytesPerToken / secondsPerToken;
  return {
    ttft_ms: median(runs.map((run) => run.ttftMs)),
    itl_ms_p50: median(gapsMs),
    itl_ms_p99: quantile(gapsMs, 0.99),
    tokens_per_second: 1 / secondsPerToken,
    bytes_per_token: Math.round(bytesPerToken),
    achieved_gb_per_second: achieved / 1e9,
    read_bandwidth_gb_per_second: bandwidth / 1e9,
    bandwidth_percent: (100 * achieved) / bandwidth,
    engine_percent: (100 * measured.engineSeconds) / measured.wallSeconds,
  };
}

/** Keys and values that a decode step reads at a length, sliding layers within their window. */
export function kvBytesRead({ kv_groups: groups }: Pick<Explanation, "kv_groups">, seqLen: number): number {
  return sum(
    groups.map(({ window, bytes_per_token: bytes }) => bytes * (window === 0 ? seqLen : Math.min(window, seqLen))),
  );
}

/** @returns null where the model is too large for it, or the reference was measured itself */
async function compareWithReference(
  args: LayoutArguments,
  explained: Explanation,
  { promptTokenIds, runs }: Measured,
  context: CommandContext,
): Promise<boolean | null> {
  if (args.kernels === "reference" || explained.arenas.weights_bytes > REFERENCE_CHECK_BYTES) return null;
  // Another device and precision rounds otherwise: golden values say whether a GPU is right.
  if (deviceOf(decided(clusterOfFlags(args))) === "cuda") return null;
  const numTokens = Math.min(REFERENCE_CHECK_TOKENS, runs[0]!.tokenIds.length);
  const cluster = clusterOfFlags({ ...args, kernels: "reference" });
  const run = await withLocalCluster(cluster, context, (client) =>
    timedRun(client, promptTokenIds, numTokens, context.signal),
  );
  checkSame(run.tokenIds, runs[0]!.tokenIds.slice(0, numTokens), "the reference kernels and the measured ones");
  return true;
}

/** A wrong result has no speed. @throws MoesaicError internal */
export function checkSame(expected: readonly number[], got: readonly number[], what: string): void {
  const at = expected.findIndex((tokenId, index) => tokenId !== got[index]);
  if (at < 0 && expected.length === got.length) return;
  const message = `${what} differ at output token ${at}: ${expected[at]} and ${got[at]}; no figures for wrong results`;
  throw new MoesaicError("internal", message);
}
