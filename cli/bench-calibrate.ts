import { writeFile } from "node:fs/promises";
import type { MoesaicClient } from "../client/client.js";
import { rankProfileOf } from "../coordinator/cluster/local-ranks.js";
import type { Coordinator } from "../coordinator/coordinator.js";
import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import { native } from "../native/index.js";
import { renderCalibration, type Calibration, type MeasuredStep } from "../plans/calibration.js";
import { deviceOf, precisionOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { costOf, USUAL_SEQ_LEN, type PlanCost } from "../plans/cost.js";
import { fitFigures, fittedMs, type StepSample } from "../plans/fit-figures.js";
import type { ModelDescription } from "../plans/model-description.js";
import { MoesaicError } from "../proto/errors.js";
import { chunkShape, decodeShapeAt } from "../plans/step-shape.js";
import { machineFigures, reportLines, type Figures } from "./bench-report.js";
import { defineCommand } from "./command.js";
import { packageVersion, type CommandContext } from "./context.js";
import { engineTime } from "./engine-time.js";
import { decided, explainCluster, rankBandwidth, threadsOf } from "./explained-plan.js";
import { clusterOfFlags, DUMMY_OPTION, LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { withLocalCluster } from "./local-cluster.js";
import { JSON_OPTION, text, wholeNumber, wholeNumbers } from "./options.js";
import { benchPrompt, median, sum, timedRun } from "./timed-run.js";
import { gapsAfter } from "./bench-kv.js";

/** Of the prompts of streams whose decoding is measured. */
const PROMPT_LEN = 32;
/** Tokens that every stream decodes. */
const DECODED = 48;
/** Tokens of the prompts after which decoding is measured at a length. */
const LONG_PROMPT_LEN = 480;
const LONG_STREAMS = [4, 16] as const;

export const calibrateCommand = defineCommand({
  usage: "calibrate",
  describe: "what steps of many sizes take here, and the figures with which plan explain and sim predict others",
  options: {
    ...LAYOUT_OPTIONS,
    ...DUMMY_OPTION,
    streams: {
      ...wholeNumbers("streams", "sequences that decode at once, of each measurement", 1, 4_096),
      default: "1,2,4,8,16,32,64",
    },
    prompts: {
      ...wholeNumbers("prompts", "tokens of a prompt that is prefilled alone, of each measurement", 2, 2 ** 20),
      default: "16,64,192,448",
    },
    repeats: {
      ...wholeNumber("repeats", "rounds over all measurements; of each the median counts", 1, 100),
      default: "3",
    },
    out: text("file to write the calibration to"),
    csv: text("file to append the measurements to"),
    ...JSON_OPTION,
  },
  examples: [["bench calibrate --model DIR --out machine.json", "then: moesaic sim --calibration machine.json"]],
  parse: (args) => {
    targetOf(args, ["model", "dummy"]);
    const sizes = { streams: args.streams as readonly number[], prompts: args.prompts as readonly number[] };
    return { cluster: clusterOfFlags(args), ...sizes, repeats: Number(args.repeats), out: args.out, csv: args.csv };
  },
  async run({ cluster, streams, prompts, repeats, out, csv }, context) {
    const { json: explained } = await explainCluster(cluster, ".", []);
    const { description: model } = await openModelSource(cluster, ".");
    const { max_batched_tokens: mostTokens, max_seq_len: longest, max_sequences: mostStreams } = explained.limits;
    const probes = probesOf(
      model,
      streams.filter((count) => count <= mostStreams),
      prompts.filter((length) => length <= mostTokens && length < longest),
    );
    if (probes.length === 0) {
      const message = `none of --streams and --prompts fits ${mostStreams} sequences, ${mostTokens} tokens a step and ${longest} tokens a sequence`;
      throw new MoesaicError("invalid_argument", message);
    }
    const samples = await withLocalCluster(cluster, context, (client, coordinator) =>
      measure(probes, repeats, { client, coordinator, model, signal: context.signal }),
    );
    const calibration = await calibrated(cluster, model, samples);
    if (out !== undefined) await writeFile(out, renderCalibration(calibration));
    await tell(cluster, calibration, repeats, csv, context);
    return 0;
  },
});

/** A calibration of the cluster's ranks from what was measured of them. */
export async function calibrated(
  cluster: ClusterSpec,
  model: ModelDescription,
  samples: readonly StepSample[],
): Promise<Calibration> {
  const written = decided(cluster);
  const device = deviceOf(written);
  const gpu = native.cudaDevices().devices[0];
  const { name, memoryBytes } = native.deviceProperties();
  const cost = await costToFit(cluster, model);
  const figures = fitFigures(cost, samples);
  const profile = { ...cost.profile, ...figures };
  return {
    machine: device === "cuda" ? (gpu?.name ?? name) : name,
    device,
    date: new Date().toISOString().slice(0, 10),
    version: packageVersion(),
    model: cluster.spec.servedModelName,
    precision: precisionOf(written),
    threads: threadsOf(cluster),
    memoryBytes: device === "cuda" ? (gpu?.memoryBytes ?? memoryBytes) : memoryBytes,
    notes: "",
    figures,
    steps: samples.map((sample): MeasuredStep => ({ ...sample, fittedMs: fittedMs(cost, profile, sample) })),
  };
}

/** Of matrix units, where the fit begins: what samples of few tokens leave open stays there. */
const GPU_FLOPS = 300e12;

async function costToFit(cluster: ClusterSpec, model: ModelDescription): Promise<PlanCost> {
  const written = decided(cluster);
  const usual = rankProfileOf(written);
  const readBytesPerSecond = (await rankBandwidth(cluster)) ?? usual.readBytesPerSecond;
  const flopsPerSecond = deviceOf(written) === "cuda" ? GPU_FLOPS : threadsOf(cluster) * usual.flopsPerSecond;
  const plan = await resolveSpecPlan(written, ".", model);
  return costOf(
    model,
    plan,
    { ...usual, readBytesPerSecond, flopsPerSecond, attentionFlopsPerSecond: flopsPerSecond / 4 },
    { dequantize: cluster.spec.engine.dequantize, precision: precisionOf(written), seqLen: USUAL_SEQ_LEN },
  );
}

// ---- what is measured ------------------------------------------------------------------------------------------------

interface Probe {
  name: string;
  measure(target: ProbeTarget, seed: number): Promise<Pick<StepSample, "ms" | "outsideMs">>;
  shape: StepSample["shape"];
  isRequest: boolean;
}

interface ProbeTarget {
  client: MoesaicClient;
  coordinator: Coordinator;
  model: ModelDescription;
  signal: AbortSignal;
}

function probesOf(model: ModelDescription, streams: readonly number[], prompts: readonly number[]): Probe[] {
  const decodes = streams.map((count) => decodeProbe(model, count, PROMPT_LEN));
  const isLongThere = PROMPT_LEN + DECODED < LONG_PROMPT_LEN && LONG_PROMPT_LEN + DECODED < model.maxModelLen;
  const long = isLongThere
    ? LONG_STREAMS.filter((count) => count <= Math.max(0, ...streams)).map((count) =>
        decodeProbe(model, count, LONG_PROMPT_LEN),
      )
    : [];
  return [...decodes, ...long, ...prompts.map((length) => prefillProbe(model, length))];
}

/** Rounds over all probes, so that a machine's slow minute is not the fate of one. */
async function measure(probes: readonly Probe[], repeats: number, target: ProbeTarget): Promise<StepSample[]> {
  const times = probes.map((): Awaited<ReturnType<Probe["measure"]>>[] => []);
  let seed = 1;
  await probes[0]!.measure(target, seed);
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    // Every prompt is another, so that none is known from before.
    for (const [index, probe] of probes.entries()) times[index]!.push(await probe.measure(target, (seed += 10_000)));
  }
  return probes.map(({ name, shape, isRequest }, index) => {
    const outside = times[index]!.flatMap(({ outsideMs }) => outsideMs ?? []);
    const outsideMs = outside.length === 0 ? null : median(outside);
    return { name, shape, isRequest, ms: median(times[index]!.map(({ ms }) => ms)), outsideMs };
  });
}

/** The time from one step to the next while so many sequences decode and nobody prefills: the mean, since that is what adds up. */
function decodeProbe(model: ModelDescription, streams: number, promptLen: number): Probe {
  return {
    name: `decode ${streams} of ${promptLen + DECODED / 2} tokens`,
    shape: decodeShapeAt(model, streams, promptLen + DECODED / 2),
    isRequest: false,
    async measure({ client, coordinator, model: { vocabSize }, signal }, seed) {
      let numStarted = 0;
      const looked: ReturnType<typeof engineTime>[] = [];
      const onToken = (count: number): void => {
        if (count === 1 && ++numStarted === streams) looked.push(engineTime(coordinator, signal));
      };
      // The last to begin finds all the others still decoding.
      const outputLen = DECODED + Math.ceil((streams * promptLen) / 256);
      const runs = await Promise.all(
        Array.from({ length: streams }, (_, index) =>
          timedRun(client, benchPrompt(promptLen, vocabSize, seed + index), outputLen, signal, onToken),
        ),
      );
      const after = await engineTime(coordinator, signal);
      const before = await looked[0]!;
      const allBeganMs = Math.max(...runs.map(({ ttftMs }) => ttftMs));
      const gaps = runs.flatMap((run) => gapsAfter(run, allBeganMs));
      const ms = sum(gaps) / gaps.length;
      const engineMs = (1_000 * (after.seconds - before.seconds)) / (after.numSteps - before.numSteps);
      return { ms, outsideMs: Number.isFinite(engineMs) ? ms - engineMs : null };
    },
  };
}

/** The time to the first token of a request alone. */
function prefillProbe(model: ModelDescription, length: number): Probe {
  return {
    name: `first token after ${length}`,
    shape: chunkShape(model, 0, length),
    isRequest: true,
    async measure({ client, model: { vocabSize }, signal }, seed) {
      const times: number[] = [];
      for (let index = 0; index < 5; index += 1) {
        const { ttftMs } = await timedRun(client, benchPrompt(length, vocabSize, seed + index), 1, signal);
        times.push(ttftMs);
      }
      return { ms: sum(times) / times.length, outsideMs: null };
    },
  };
}

// ---- what is told ------------------------------------------------------------------------------------------------------

async function tell(
  cluster: ClusterSpec,
  { figures, steps, date }: Calibration,
  repeats: number,
  csv: string | undefined,
  context: CommandContext,
): Promise<void> {
  const head: Figures = {
    bench: "calibrate",
    ...machineFigures(threadsOf(cluster), deviceOf(decided(cluster))),
    date,
    model: cluster.spec.servedModelName,
    repeats,
    read_gb_per_second: (figures.readBytesPerSecond ?? 0) / 1e9,
    gflops: (figures.flopsPerSecond ?? 0) / 1e9,
    attention_gflops: (figures.attentionFlopsPerSecond ?? 0) / 1e9,
    op_us: figures.opUs ?? 0,
    op_row_us: figures.opRowUs ?? 0,
    step_us: figures.stepUs ?? 0,
    sample_us: figures.sampleUs ?? 0,
    request_us: figures.requestUs ?? 0,
  };
  const lines = steps.map(({ name, shape, ms, outsideMs, fittedMs: fitted }) => ({
    what: name,
    tokens: shape.numTokens,
    measured_ms: ms,
    outside_engine_ms: outsideMs,
    fitted_ms: fitted,
    error_percent: 100 * (fitted / ms - 1),
  }));
  await reportLines({ head, lines, notes: NOTES, csv }, context);
}

const NOTES =
  "measured_ms: from one step to the next, or of a request alone to its first token; the median of the rounds. fitted_ms: what the\n" +
  "cost model says with the figures above, which are those that explain all lines best.";
