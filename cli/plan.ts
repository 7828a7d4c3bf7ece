import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import { native } from "../native/index.js";
import { checkSupported, parseClusterSpec, type ClusterSpec } from "../plans/cluster-spec.js";
import type { ModelDescription } from "../plans/model-description.js";
import { diffPlans } from "../plans/plan-diff.js";
import { resolvePlan, type ResolvedPlan } from "../plans/resolved-plan.js";
import { parseShardingPlan } from "../plans/sharding-plan.js";
import { MoesaicError } from "../proto/errors.js";
import { defineCommand, defineGroup } from "./command.js";
import { explainCluster, threadsOf } from "./explained-plan.js";
import { clusterOfFlags, DUMMY_OPTION, inTermsOfFlags, LAYOUT_OPTIONS } from "./layout-flags.js";
import { JSON_OPTION, text } from "./options.js";
import { readBandwidth } from "./read-bandwidth.js";

const explainCommand = defineCommand({
  usage: "explain [file]",
  describe: "bytes per rank, KV blocks, kernels and predicted speed of a cluster file or of layout flags",
  positionals: { file: { describe: "cluster file" } },
  options: { ...LAYOUT_OPTIONS, ...DUMMY_OPTION, ...JSON_OPTION },
  examples: [
    ["plan explain cluster.yaml", "of a cluster file"],
    ["plan explain --dummy gpt-oss-20b", "of a model that is not here"],
  ],
  parse: (args, { file }) => {
    const given = [file, args.model, args.dummy].filter((value) => value !== undefined);
    if (given.length !== 1) throw new MoesaicError("invalid_argument", "expected one of a file, --model and --dummy");
    return file === undefined ? { spec: clusterOfFlags(args) } : { file: String(file) };
  },
  async run(source, { out, json }) {
    const cluster = source.spec ?? parseClusterSpec(await readFile(source.file, "utf8"), source.file);
    const bandwidth = await rankBandwidth(cluster);
    const baseDir = source.file === undefined ? "." : dirname(source.file);
    const explained = await explainCluster(cluster, baseDir, bandwidth).catch((error: unknown) => {
      throw inTermsOfFlags(error);
    });
    await (json ? out.json(explained.json) : out.write(explained.text));
    return 0;
  },
});

const checkCommand = defineCommand({
  usage: "check <files..>",
  describe: "every problem of cluster files and plan files, with its line; exit code 1 when there is one",
  positionals: { files: { describe: "cluster files or sharding plans" } },
  options: JSON_OPTION,
  examples: [["plan check cluster.yaml", "before it is launched"]],
  parse: (_, { files }) => ({ files: [files ?? []].flat() }),
  async run({ files }, { out, json }) {
    let numBad = 0;
    for (const file of files) {
      const error = await problemOf(file);
      if (error !== null) numBad += 1;
      const failure = error === null ? null : { code: error.code, message: error.message, place: error.place ?? null };
      if (json) await out.json({ file, ok: error === null, error: failure });
      else await out.line(error === null ? `${file}: ok` : error.describe());
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
      throw new MoesaicError("invalid_argument", "expected one of --model and --dummy");
    }
    return { spec: clusterOfFlags({ model, dummy }), before: String(before), after: String(after) };
  },
  async run({ spec, before, after }, { out, json }) {
    const { description } = await openModelSource(spec, ".").catch((error: unknown) => {
      throw inTermsOfFlags(error);
    });
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

/** Bytes per second that a rank of the first worker reads while its neighbours on the same machine read too. */
async function rankBandwidth(cluster: ClusterSpec): Promise<number> {
  const { workers } = cluster.spec;
  const numRanks = workers.filter(({ host }) => host === workers[0]?.host).reduce((sum, { ranks }) => sum + ranks, 0);
  const numThreads = Math.min(native.deviceProperties().numCores, threadsOf(cluster) * numRanks);
  return (await readBandwidth(numThreads)) / numRanks;
}

/** A plan of a file, for as many ranks as it says. */
async function readPlan(file: string, model: ModelDescription): Promise<ResolvedPlan> {
  const plan = parseShardingPlan(await readFile(file, "utf8"), file);
  return resolvePlan(plan, model, plan.worldSize);
}

/** A file is a sharding plan when it says so, else it should be a cluster. */
async function problemOf(file: string): Promise<MoesaicError | null> {
  try {
    const yaml = await readFile(file, "utf8");
    if (/^\s*kind\s*:\s*["']?ShardingPlan\b/m.test(yaml) && !/^\s*kind\s*:\s*["']?Cluster\b/m.test(yaml)) {
      parseShardingPlan(yaml, file);
      return null;
    }
    const cluster = parseClusterSpec(yaml, file);
    checkSupported(cluster);
    const { description } = await openModelSource(cluster, dirname(file));
    await resolveSpecPlan(cluster, dirname(file), description);
    return null;
  } catch (caught) {
    return MoesaicError.from(caught);
  }
}
