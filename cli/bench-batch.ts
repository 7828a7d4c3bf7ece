import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MoesaicClient } from "../client/client.js";
import type { GenerateRequest } from "../client/generate-request.js";
import type { Coordinator } from "../coordinator/coordinator.js";
import { deviceOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { MoesaicError } from "../proto/errors.js";
import { batchLengths, type BatchLengths } from "./batch-lengths.js";
import { checkSame } from "./bench-latency.js";
import { machineFigures, report, type Figures } from "./bench-report.js";
import { keepsBits } from "./bench-throughput.js";
import { defineCommand } from "./command.js";
import { decided, threadsOf } from "./explained-plan.js";
import { clusterOfFlags, DUMMY_OPTION, LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { withLocalCluster } from "./local-cluster.js";
import { withWholeBatch } from "./local-job.js";
import { watchOccupancy, type Occupancy } from "./occupancy.js";
import { JSON_OPTION, text, wholeNumber } from "./options.js";
import { svgPlot } from "./svg-plot.js";
import { benchPrompt, numSameFirst, sum, timedRun } from "./timed-run.js";

const SEED = 1;
const STALL_MS = 60_000;

export const batchCommand = defineCommand({
  usage: "batch",
  describe: "an offline batch with answers of different lengths: continuous batching beside static batches",
  options: {
    ...LAYOUT_OPTIONS,
    ...DUMMY_OPTION,
    requests: { ...wholeNumber("requests", "prompts, with lengths as GSM8K's", 1, 100_000), default: "500" },
    "max-sequences": text("slots: sequences running at a time (default 32)"),
    plot: text("SVG file to draw the occupied slots over time to"),
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [
    ["bench batch --model DIR --plot batch.svg", "500 prompts, answers of 16 to 512 tokens, on 32 slots"],
    ["bench batch --dummy gpt-oss-20b --device cuda --max-sequences 64", "on a GPU"],
  ],
  parse: (args) => {
    const layout = { ...args, "max-sequences": args["max-sequences"] ?? "32" };
    targetOf(layout, ["model", "dummy"]);
    const cluster = clusterOfFlags(layout);
    return { cluster, numRequests: Number(args.requests), plot: args.plot, csv: args.csv };
  },
  async run({ cluster, numRequests, plot, csv }, context) {
    const slots = cluster.spec.scheduler.maxSequences;
    const lengths = batchLengths(numRequests, SEED);
    const directory = await mkdtemp(join(tmpdir(), "moesaic-bench-"));
    try {
      const measured = await withLocalCluster(
        patient(withWholeBatch(cluster, directory)),
        context,
        (client, coordinator) => measure({ client, coordinator, lengths, slots, signal: context.signal }),
      );
      const device = deviceOf(decided(cluster));
      const same = compared(measured, lengths, keepsBits(decided(cluster)));
      const head = {
        bench: "batch",
        ...machineFigures(threadsOf(cluster), device),
        model: cluster.spec.servedModelName,
      };
      await report({ ...head, ...figuresOf(measured, lengths, slots), ...same }, csv, context);
      if (plot !== undefined) await writeFile(plot, plotOf(cluster.spec.servedModelName, slots, measured));
    } finally {
      await rm(directory, { recursive: true });
    }
    return 0;
  },
});

/** A machine that does other things slows a measurement down, and must not end it as a hung rank does. */
function patient(cluster: ClusterSpec): ClusterSpec {
  return { ...cluster, spec: { ...cluster.spec, engine: { ...cluster.spec.engine, stallMs: STALL_MS } } };
}

interface Bench {
  client: MoesaicClient;
  coordinator: Coordinator;
  lengths: readonly BatchLengths[];
  slots: number;
  signal: AbortSignal;
}

interface Run extends Occupancy {
  /** Of each request. */
  tokenIds: number[][];
}

interface Measured {
  limits: Figures;
  continuous: Run;
  fixed: Run;
}

async function measure(bench: Bench): Promise<Measured> {
  const { client, lengths, signal } = bench;
  const [model] = await client.listModels({ signal });
  const prompts = lengths.map(({ promptLen }, index) => benchPrompt(promptLen, model!.vocabSize, index + 1));
  await timedRun(client, prompts[0]!, 8, signal);
  const fixed = await runFixed(bench, prompts);
  const continuous = await runContinuous(bench, prompts);
  const { replicas } = await client.status({ signal });
  const { numBlocks, maxBatchedTokens, numPreemptions } = replicas[0]!.scheduler!;
  const limits = { num_blocks: numBlocks, max_batched_tokens: maxBatchedTokens, preemptions: numPreemptions };
  return { limits, continuous, fixed };
}

/** As an offline batch is run: one job, journal and all. */
async function runContinuous({ client, coordinator, lengths, signal }: Bench, prompts: number[][]): Promise<Run> {
  const requests = lengths.map(({ outputLen }, index) => requestOf(prompts[index]!, outputLen));
  const tokenIds: number[][] = [];
  const occupancy = await watchOccupancy(coordinator, async () => {
    for await (const { completion, error } of client.generateBatch(requests, { signal })) {
      if (completion === null) throw error ?? new MoesaicError("internal", "a result has neither tokens nor an error");
      tokenIds.push(completion.choices[0]!.tokenIds);
    }
  });
  return { ...occupancy, tokenIds };
}

/**
 * Static batches through the same engine: the next begins when all of the last have ended, and all of a batch are as long as
 * its longest, so that a sequence that is done holds its slot and is computed on. Prompts are not padded, which would cost
 * static batches more.
 */
async function runFixed({ client, coordinator, lengths, slots, signal }: Bench, prompts: number[][]): Promise<Run> {
  let numPadding = 0;
  const tokenIds: number[][] = [];
  const runOne = async (index: number, paddedLen: number): Promise<number[]> => {
    const { outputLen } = lengths[index]!;
    const isPadded = outputLen < paddedLen;
    const run = await timedRun(client, prompts[index]!, paddedLen, signal, (numTokens) => {
      if (numTokens === outputLen && isPadded) numPadding += 1;
    });
    if (isPadded) numPadding -= 1;
    return run.tokenIds.slice(0, outputLen);
  };
  const run = async (): Promise<void> => {
    for (let begin = 0; begin < lengths.length; begin += slots) {
      const batch = lengths.slice(begin, begin + slots);
      const paddedLen = Math.max(2, ...batch.map(({ outputLen }) => outputLen));
      tokenIds.push(...(await Promise.all(batch.map((_, index) => runOne(begin + index, paddedLen)))));
    }
  };
  const occupancy = await watchOccupancy(coordinator, run, () => numPadding);
  return { ...occupancy, tokenIds };
}

function requestOf(tokenIds: number[], maxTokens: number): GenerateRequest {
  return { tokenIds, sampling: { temperature: 0, ignoreEos: true, maxTokens } };
}

/** @throws MoesaicError internal when tokens differ that must not */
function compared({ continuous, fixed }: Measured, lengths: readonly BatchLengths[], mustBeSame: boolean): Figures {
  const pairs = continuous.tokenIds.map((tokenIds, index) => [fixed.tokenIds[index]!, tokenIds] as const);
  if (pairs.length !== lengths.length) {
    throw new MoesaicError("internal", `${pairs.length} of ${lengths.length} requests have a result`);
  }
  for (const [index, [expected, got]] of pairs.entries()) {
    if (mustBeSame) checkSame(expected, got, `the two ways of batching request ${index}`);
  }
  const numSame = pairs.filter(([expected, got]) => numSameFirst(expected, got) === expected.length).length;
  return { requests_with_same_tokens: numSame };
}

/** A slot counts for a step when it yields a token that somebody wants: so the mean is exact, and needs no clock. */
function figuresOf({ limits, continuous, fixed }: Measured, lengths: readonly BatchLengths[], slots: number): Figures {
  const outputTokens = sum(lengths.map(({ outputLen }) => outputLen));
  const percent = ({ numSteps }: Run): number => (100 * outputTokens) / (numSteps * slots);
  return {
    ...limits,
    slots,
    requests: lengths.length,
    prompt_tokens: sum(lengths.map(({ promptLen }) => promptLen)),
    output_tokens: outputTokens,
    static_steps: fixed.numSteps,
    continuous_steps: continuous.numSteps,
    static_occupancy_percent: percent(fixed),
    continuous_occupancy_percent: percent(continuous),
    occupancy_gain: percent(continuous) / percent(fixed),
    static_output_tokens_per_second: outputTokens / fixed.seconds,
    continuous_output_tokens_per_second: outputTokens / continuous.seconds,
    speedup: fixed.seconds / continuous.seconds,
  };
}

function plotOf(model: string, slots: number, { continuous, fixed }: Measured): string {
  return svgPlot({
    title: `${model}: ${continuous.tokenIds.length} prompts on ${slots} slots`,
    x: "steps",
    y: "slots that make wanted tokens",
    series: [
      { name: "continuous batching", points: continuous.points },
      { name: "static batches", points: fixed.points },
    ],
  });
}
