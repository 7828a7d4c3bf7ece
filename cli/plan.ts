import { dirname } from "node:path";
import { openModelSource } from "../coordinator/model-source.js";
import type { ClusterSpec } from "../plans/cluster-spec.js";
import type { Figures } from "../plans/machine-profile.js";
import type { ModelDescription } from "../plans/model-description.js";
import { diffPlans } from "../plans/plan-diff.js";
import { resolvePlan, type ResolvedPlan } from "../plans/resolved-plan.js";
import { parseShardingPlan } from "../plans/sharding-plan.js";
import { MoesaicError } from "../proto/errors.js";
import { knownBy } from "../plans/calibration.js";
import { CALIBRATION_OPTION, readCalibration } from "./calibration-file.js";
import { defineCommand, defineGroup } from "./command.js";
import { explainCluster, rankBandwidth } from "./explained-plan.js";
import { checkFile } from "./file-check.js";
import { clusterOfFlags, DUMMY_OPTION, inTermsOfFlags, LAYOUT_OPTIONS } from "./layout-flags.js";
import { figuresOf, MACHINE_OPTIONS } from "./machine-options.js";
import { JSON_OPTION, text } from "./options.js";
import { readClusterSpec, readTextFile } from "./text-file.js";

const EXPLAIN_WHAT =
  "expected one of a cluster file, --model DIR and --dummy gpt-oss-20b; a sharding plan is explained as the plan of a cluster file";
/** After the ok of a sharding plan that was looked at alone. */
const WITHOUT_MODEL =
  " by itself; whether a model can be cut so was not checked: give --model DIR or --dummy gpt-oss-20b";

const explainCommand = defineCommand({
  usage: "explain [file]",
  describe: "bytes per rank, KV blocks, kernels and predicted speed of a cluster file or of layout flags",
  positionals: { file: { describe: "cluster file" } },
  options: { ...LAYOUT_OPTIONS, ...DUMMY_OPTION, ...MACHINE_OPTIONS, ...CALIBRATION_OPTION, ...JSON_OPTION },
  examples: [
    ["plan explain cluster.yaml", "of a cluster file"],
    ["plan explain --dummy gpt-oss-20b", "of a model that is not here"],
    ["plan explain --dummy gpt-oss-20b --ep 4 --link-gbits 10 --link-us 50", "which layout wins over 10 GbE"],
  ],
  parse: (args, { file }) => {
    const given = [file, args.model, args.dummy].filter((value) => value !== undefined);
    if (given.length !== 1) throw new MoesaicError("invalid_argument", EXPLAIN_WHAT);
    const { calibration } = args;
    const figures = figuresOf(args);
    return file === undefined
      ? { spec: clusterOfFlags(args), figures, calibration }
      : { file: String(file), figures, calibration };
  },
  async run({ spec, file, figures: given, calibration: calibrationName }, { out, json }) {
    const cluster = spec ?? (await readClusterSpec(file));
    const calibration = calibrationName === undefined ? null : await readCalibration(calibrationName);
    const isMeasured = given.readBytesPerSecond === undefined && calibration === null;
    const known = [
      { figures: isMeasured ? await measuredFigures(cluster) : {}, source: "measured on this machine just now" },
      ...(calibration === null ? [] : [knownBy(calibration)]),
      { figures: given, source: "as given" },
    ];
    const baseDir = file === undefined ? "." : dirname(file);
    const explained = await explainCluster(cluster, baseDir, known).catch((error: unknown) => {
      throw inTermsOfFlags(error);
    });
    if (json) await out.json(explained.json);
    else
      await out.write(explained.json.replica === undefined ? explained.text : `${explained.text}\n${FIGURES_ADVICE}`);
    return 0;
  },
});

const checkCommand = defineCommand({
  usage: "check <files..>",
  describe: "every problem of cluster files and plan files, with its line; exit code 1 when there is one",
  positionals: { files: { describe: "cluster files or sharding plans" } },
  options: { model: text("folder of the checkpoint that sharding plans are for"), ...DUMMY_OPTION, ...JSON_OPTION },
  examples: [
    ["plan check cluster.yaml", "before it is launched"],
    ["plan check two.yaml four.yaml --dummy gpt-oss-20b", "of sharding plans, for the model that they are to be for"],
  ],
  parse: ({ model, dummy }, { files }) => {
    if (model !== undefined && dummy !== undefined) {
      throw new MoesaicError("invalid_argument", "expected one of --model and --dummy, got both; leave one out");
    }
    const spec = model === undefined && dummy === undefined ? null : clusterOfFlags({ model, dummy });
    return { files: [files ?? []].flat(), spec };
  },
  async run({ files, spec }, { out, json }) {
    const model = spec === null ? null : await modelOf(spec);
    let numBad = 0;
    for (const file of files) {
      const { error, isComplete } = await checkFile(file, model);
      if (error !== null) numBad += 1;
      const failure = error === null ? null : { code: error.code, message: error.message, place: error.place ?? null };
      if (json) await out.json({ file, ok: error === null, is_complete: isComplete, error: failure });
      else await out.line(error === null ? `${file}: ok${isComplete ? "" : WITHOUT_MODEL}` : error.describe());
    }
    return numBad === 0 ? 0 : 1;
  },
});

const diffCommand = defineCommand({
  usage: "diff <before> <after>",
  describe: "what each rank must load and may drop when one sharding plan takes another's place",
  positionals: { before: { describe: "sharding plan" }, after: { describe: "sharding plan for the same model" } },
  options: { model: text("folder of the checkpoint that both plans are for"), ...DUMMY_OPTION, ...JSON_OPTION },
  examples: [["plan diff two.yaml four.yaml --dummy gpt-oss-20b", "from two ranks to four"]],
  parse: ({ model, dummy }, { before, after }) => {
    if ((model === undefined) === (dummy === undefined)) {
      const message = "expected one of --model DIR and --dummy gpt-oss-20b: the model that both plans are for";
      throw new MoesaicError("invalid_argument", message);
    }
    return { spec: clusterOfFlags({ model, dummy }), before: String(before), after: String(after) };
  },
  async run({ spec, before, after }, { out, json }) {
    const description = await modelOf(spec);
    const plans = [await readPlan(before, description), await readPlan(after, description)] as const;
    const diff = diffPlans(...plans, description);
    await (json ? out.json(diff.json) : out.write(diff.text));
    return 0;
  },
});

export const planCommand = defineGroup("plan", "look at plans without running them", [
  explainCommand,
  checkCommand,
  diffCommand,
]);

/** What predictions were made with is the first thing to doubt. */
const FIGURES_ADVICE =
  "Other machines or links: --read-gbytes, --gflops, --link-us and --link-gbits give their figures; moesaic bench comm measures\n" +
  "those of this machine's ranks. They change what is predicted here, not what moesaic up does.\n";

async function measuredFigures(cluster: ClusterSpec): Promise<Figures> {
  const readBytesPerSecond = await rankBandwidth(cluster);
  return readBytesPerSecond === null ? {} : { readBytesPerSecond };
}

/** A plan of a file, for as many ranks as it says. */
async function readPlan(file: string, model: ModelDescription): Promise<ResolvedPlan> {
  const plan = parseShardingPlan(await readTextFile(file, "a sharding plan"), file);
  return resolvePlan(plan, model, plan.worldSize);
}

async function modelOf(spec: ClusterSpec): Promise<ModelDescription> {
  const { description } = await openModelSource(spec, ".").catch((error: unknown) => {
    throw inTermsOfFlags(error);
  });
  return description;
}
