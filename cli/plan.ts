import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import { checkSupported, parseClusterSpec } from "../plans/cluster-spec.js";
import { parseShardingPlan } from "../plans/sharding-plan.js";
import { MoesaicError } from "../proto/errors.js";
import { defineCommand, defineGroup } from "./command.js";
import { explainCluster, threadsOf } from "./explained-plan.js";
import { clusterOfFlags, DUMMY_OPTION, inTermsOfFlags, LAYOUT_OPTIONS } from "./layout-flags.js";
import { JSON_OPTION } from "./options.js";
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
    const bandwidth = await readBandwidth(threadsOf(cluster));
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

export const planCommand = defineGroup("plan", "look at plans without running them", [explainCommand, checkCommand]);

/** A file is a sharding plan when it says so, else it should be a cluster. */
async function problemOf(file: string): Promise<MoesaicError | null> {
  try {
    const text = await readFile(file, "utf8");
    if (/^\s*kind\s*:\s*["']?ShardingPlan\b/m.test(text) && !/^\s*kind\s*:\s*["']?Cluster\b/m.test(text)) {
      parseShardingPlan(text, file);
      return null;
    }
    const cluster = parseClusterSpec(text, file);
    checkSupported(cluster);
    const { description } = await openModelSource(cluster, dirname(file));
    await resolveSpecPlan(cluster, dirname(file), description);
    return null;
  } catch (caught) {
    return MoesaicError.from(caught);
  }
}
