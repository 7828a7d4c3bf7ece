import { native } from "../native/index.js";
import { deviceOf, precisionOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { MoesaicError } from "../proto/errors.js";
import { OUTPUT_NONE, OUTPUT_SAMPLE, type StepPlan } from "../proto/step.js";
import { machineFigures, reportLines, type Figures } from "./bench-report.js";
import { defineCommand } from "./command.js";
import { throwIfInterrupted, type CommandContext } from "./context.js";
import { decided, rankBandwidth, threadsOf } from "./explained-plan.js";
import { kernelFigures, totalFigures, type TimedStep } from "./kernel-figures.js";
import { clusterOfFlags, DUMMY_OPTION, LAYOUT_OPTIONS, targetOf, type LayoutArguments } from "./layout-flags.js";
import { CHECK_SIZES, compareLogits, logitsOfCheck } from "./logits-check.js";
import { JSON_OPTION, text, wholeNumber, wholeNumbers } from "./options.js";
import { withStepEngine, type StepEngine, type StepSizes } from "./step-engine.js";
import { StepPlans, type RowStep } from "./step-plans.js";
import { benchPrompt } from "./timed-run.js";

/** Above this another package would take longer than the benchmark. */
const CHECK_BYTES = 256 * 2 ** 20;
/** Steps before those that count: they touch memory for the first time, and let a GPU load its code. */
const WARM_UP_STEPS = 2;
/** Contexts are filled in steps of at least so many. */
const FEWEST_BATCHED_TOKENS = 64;

const { device, kernels, precision, deterministic, dequantize, threads, model } = LAYOUT_OPTIONS;
const ENGINE_OPTIONS = { model, device, kernels, precision, deterministic, dequantize, threads } as const;

export const kernelsCommand = defineCommand({
  usage: "kernels",
  describe: "each op of real steps: time and bytes beside what the memory's bandwidth allows",
  options: {
    ...ENGINE_OPTIONS,
    "block-size": LAYOUT_OPTIONS["block-size"],
    ...DUMMY_OPTION,
    rows: {
      ...wholeNumbers("rows", "sequences that decode together, of each measurement", 1, 1_024),
      default: "1,8,64",
    },
    context: { ...wholeNumber("context", "tokens before those that are decoded", 1, 2 ** 20), default: "128" },
    prefill: { ...wholeNumber("prefill", "tokens of a step that prefills; 0 for none", 0, 65_536), default: "512" },
    steps: { ...wholeNumber("steps", "timed steps of each; their median is told", 1, 1_000), default: "8" },
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [
    ["bench kernels --dummy gpt-oss-20b:4", "steps of 1, 8 and 64 rows, and a prefill of 512 tokens"],
    ["bench kernels --dummy gpt-oss-20b --device cuda --rows 1 --context 8192 --prefill 0", "one row far in"],
  ],
  parse: (args) => {
    targetOf(args, ["model", "dummy"]);
    const sizes = { context: Number(args.context), prefill: Number(args.prefill), steps: Number(args.steps) };
    const rows = [...new Set(args.rows as readonly number[])].toSorted((a, b) => a - b);
    return { args, cluster: clusterOfFlags(args), rows, ...sizes, csv: args.csv };
  },
  async run({ args, cluster, csv, ...sizes }, context) {
    const before = (await rankBandwidth(cluster)) ?? 0;
    const measured = await withStepEngine(cluster, engineSizes(sizes), async (engine) => {
      const steps = await timeSteps(engine, sizes, context);
      return { steps, lines: steps.flatMap((step) => linesOf(engine, step)), checks: await checkOf(engine, cluster) };
    });
    const bandwidth = Math.max(before, (await rankBandwidth(cluster)) ?? 0);
    const agrees = await compareWithOthers(args, cluster, measured.checks);
    const head = {
      bench: "kernels",
      ...machineFigures(threadsOf(cluster), deviceOf(decided(cluster))),
      model: cluster.spec.servedModelName,
      precision: precisionOf(decided(cluster)),
      timed_steps: sizes.steps,
      bandwidth_gb_per_second: bandwidth / 1e9,
      agrees_with_reference: agrees,
    };
    const lines = measured.lines.map((line) => withShare(line, bandwidth));
    await reportLines({ head, lines, notes: NOTES, csv }, context);
    return 0;
  },
});

const NOTES =
  "us: the median of the timed steps, all layers together; us_per_call: of one. bytes: weights, keys and values, rows in and out,\n" +
  "each once; of experts those that the last layer's tokens chose (experts_hit). op total: the sum, and in step_us what the\n" +
  "engine takes for such a step when no op is timed.";

interface Sizes {
  rows: readonly number[];
  context: number;
  prefill: number;
  steps: number;
}

/** A row that decodes has its context, and what is decoded of it in all measurements together. The first row prefills too. */
function engineSizes({ rows, context, prefill, steps }: Sizes): StepSizes {
  const mostRows = Math.max(...rows);
  const decoded = rows.length * 2 * (WARM_UP_STEPS + steps);
  const length = Math.max(context + decoded, CHECK_SIZES.length);
  const others = Array.from({ length: Math.max(mostRows, CHECK_SIZES.rows) - 1 }, () => length);
  return {
    rowLengths: [Math.max(length, prefill), ...others],
    maxBatchedTokens: Math.max(mostRows, prefill, FEWEST_BATCHED_TOKENS),
    numLogitsRows: CHECK_SIZES.logitsRows,
  };
}

async function timeSteps(engine: StepEngine, sizes: Sizes, context: CommandContext): Promise<TimedStep[]> {
  const plans = new StepPlans(engine.program);
  const timed: TimedStep[] = [];
  let nextSeed = 1_000;
  for (const numRows of sizes.rows) {
    await fillContexts(engine, plans, numRows, sizes.context, context);
    const rows = Array.from({ length: numRows }, (_, row) => row);
    const decode = (): RowStep[] =>
      rows.map((row) => ({ row, tokenIds: benchPrompt(1, engine.vocabSize, nextSeed++), output: OUTPUT_SAMPLE }));
    timed.push(await timeStep(engine, plans, "decode", sizes.steps, decode, context));
  }
  plans.finish(Array.from({ length: Math.max(...sizes.rows) }, (_, row) => row));
  if (sizes.prefill > 0) {
    const tokenIds = benchPrompt(sizes.prefill, engine.vocabSize, 1);
    const prefill = (): RowStep[] => {
      plans.finish([0]);
      return [{ row: 0, tokenIds, output: OUTPUT_SAMPLE }];
    };
    timed.push(await timeStep(engine, plans, "prefill", sizes.steps, prefill, context));
    plans.finish([0]);
  }
  // Only ends rows.
  await native.step(engine.handle, plans.step([]));
  return timed;
}

/** Prompts of rows that have none yet: different ones, so that their experts differ. */
async function fillContexts(
  engine: StepEngine,
  plans: StepPlans,
  numRows: number,
  length: number,
  { signal }: CommandContext,
): Promise<void> {
  const { maxBatchedTokens } = engine.program.limits;
  for (let row = 0; row < numRows; row++) {
    if (plans.lengthOf(row) > 0) continue;
    const prompt = benchPrompt(length, engine.vocabSize, row + 1);
    for (let begin = 0; begin < length; begin += maxBatchedTokens) {
      throwIfInterrupted(signal);
      const tokenIds = prompt.slice(begin, begin + maxBatchedTokens);
      await native.step(engine.handle, plans.step([{ row, tokenIds, output: OUTPUT_NONE }]));
    }
  }
}

/** The same step again and again, first as the engine runs it, then with its ops timed. */
async function timeStep(
  { handle, program }: StepEngine,
  plans: StepPlans,
  phase: TimedStep["phase"],
  numSteps: number,
  next: () => RowStep[],
  { signal }: CommandContext,
): Promise<TimedStep> {
  const timed: TimedStep = { phase, stepUs: [], kernelUs: [], expertsHit: [], sequences: [], numTokens: 0 };
  for (let step = 0; step < WARM_UP_STEPS + numSteps; step++) {
    throwIfInterrupted(signal);
    const { engineUs } = await native.step(handle, plans.step(next()));
    if (step >= WARM_UP_STEPS) timed.stepUs.push(engineUs);
  }
  for (let step = 0; step < WARM_UP_STEPS + numSteps; step++) {
    throwIfInterrupted(signal);
    const plan = plans.step(next());
    const { kernelUs } = await native.profileStep(handle, plan);
    if (step < WARM_UP_STEPS) continue;
    timed.kernelUs.push(kernelUs);
    timed.numTokens = plan.tokenIds.length;
    timed.sequences = sequencesOf(plan);
    timed.expertsHit.push(new Set(native.readBuffer(handle, "expert_ids", plan.tokenIds.length)).size);
  }
  const most = program.dims.numExperts;
  if (timed.expertsHit.every((hit) => hit >= 1 && hit <= most)) return timed;
  throw new MoesaicError("internal", `a step chose ${Math.max(...timed.expertsHit)} different experts of ${most}`);
}

function sequencesOf({ queryStarts, seqLens }: StepPlan): TimedStep["sequences"] {
  return [...seqLens].map((seqLen, index) => ({ seqLen, queryLen: queryStarts[index + 1]! - queryStarts[index]! }));
}

function linesOf({ program, description }: StepEngine, step: TimedStep): Figures[] {
  const weightBytes = new Map(description.weights.map(({ name, bytes }) => [name, bytes]));
  const lines = kernelFigures({ program, weightBytes }, description.kernels, step);
  return [...lines, totalFigures(lines, step)];
}

function withShare(line: Figures, bandwidth: number): Figures {
  const achieved = Number(line["gb_per_second"]) * 1e9;
  return { ...line, bandwidth_percent: (100 * achieved) / bandwidth };
}

/** Logits of a few rows by the engine that was measured; none where nothing could be compared with them. */
async function checkOf(engine: StepEngine, cluster: ClusterSpec): Promise<Float32Array[] | null> {
  const isExact = precisionOf(decided(cluster)) === "exact";
  if (!isExact || engine.description.weightsBytes > CHECK_BYTES) return null;
  return logitsOfCheck(engine);
}

/**
 * On the CPU by the reference package; of a GPU by the CPU's.
 * @returns null where the model is too large for it, rounds to bf16, or the reference was measured itself
 * @throws MoesaicError internal: a wrong result has no speed
 */
async function compareWithOthers(
  args: Partial<LayoutArguments>,
  cluster: ClusterSpec,
  checks: Float32Array[] | null,
): Promise<boolean | null> {
  const isGpu = deviceOf(decided(cluster)) === "cuda";
  if (checks === null || args.kernels === "reference") return null;
  const kernelsBeside = isGpu ? "cpu" : "reference";
  const other = clusterOfFlags({ ...args, device: "cpu", precision: "exact", kernels: kernelsBeside });
  const sizes = engineSizes({ rows: [1], context: 1, prefill: 0, steps: 1 });
  const expected = await withStepEngine(other, sizes, logitsOfCheck);
  compareLogits(expected, checks, `the ${kernelsBeside} kernels and the measured ones`);
  return true;
}
