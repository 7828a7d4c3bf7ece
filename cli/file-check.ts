import { dirname, resolve } from "node:path";
import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import { checkSupported, parseClusterSpec, readInlinePlan, type ClusterSpec } from "../plans/cluster-spec.js";
import type { ModelDescription } from "../plans/model-description.js";
import { checkPlan, planProblems } from "../plans/plan-check.js";
import { throwProblems } from "../plans/problems.js";
import { readPlanMapping } from "../plans/sharding-plan.js";
import { valueAt } from "../plans/yaml-schema.js";
import { parseYaml } from "../plans/yaml-source.js";
import { MoesaicError } from "../proto/errors.js";
import { readTextFile } from "./text-file.js";

export interface FileCheck {
  /** All that is wrong, a group of lines for each of settings, support, model and plan; null: nothing. */
  error: MoesaicError | null;
  /** False of a sharding plan without a model. */
  isComplete: boolean;
}

/**
 * Every problem of a cluster file or a sharding plan that can be known before the first of them is mended.
 * @param model that a sharding plan is for; a cluster file names its own
 */
export async function checkFile(file: string, model: ModelDescription | null): Promise<FileCheck> {
  const errors = new Errors();
  let isComplete = true;
  await errors.of(async () => {
    const yaml = await readTextFile(file, "a cluster file or a sharding plan");
    if (isShardingPlan(yaml)) {
      isComplete = model !== null;
      throwProblems(planProblems(yaml, file, model), file);
    } else await checkCluster(yaml, file, errors);
  });
  return { error: errors.joined(), isComplete };
}

async function checkCluster(yaml: string, file: string, errors: Errors): Promise<void> {
  const cluster = await errors.of(() => parseClusterSpec(yaml, file));
  if (cluster === null) return checkBrokenCluster(yaml, file, errors);
  const baseDir = dirname(file);
  await errors.of(() => checkSupported(cluster));
  const model = await openModel(cluster, baseDir, errors);
  if (model === null) return;
  await errors.of(() => checkClusterPlan(cluster, baseDir, model));
}

/** Of a cluster file that is none, the plan inside it may still be looked at. */
async function checkBrokenCluster(yaml: string, file: string, errors: Errors): Promise<void> {
  const source = parseYaml(yaml, file);
  const inline = readInlinePlan(source);
  const name = valueAt(source.value, ["spec", "model"]);
  const model = typeof name === "string" ? await openModel({ spec: { model: name } }, dirname(file), errors) : null;
  if (inline === null) return;
  await errors.of(() => throwProblems(checkPlan(inline.plan, model, inline.unread), file));
}

/** A model that nobody downloads has been reported: it is in no folder. */
async function openModel(
  cluster: Parameters<typeof openModelSource>[0],
  baseDir: string,
  errors: Errors,
): Promise<ModelDescription | null> {
  if (cluster.spec.model.startsWith("hf://")) return null;
  const source = await errors.of(() => openModelSource(cluster, baseDir));
  return source?.description ?? null;
}

async function checkClusterPlan(cluster: ClusterSpec, baseDir: string, model: ModelDescription): Promise<void> {
  const { plan } = cluster.spec;
  if (plan.kind === "file") {
    const path = resolve(baseDir, plan.path);
    const yaml = await readTextFile(path, "a sharding plan");
    const { problems } = readPlanMapping(parseYaml(yaml, path), []);
    if (problems.length > 0) throwProblems(planProblems(yaml, path, model), path);
  }
  await resolveSpecPlan(cluster, baseDir, model);
}

/** A file is a sharding plan when it says so, or has its first key and none of a cluster's; else it should be a cluster. */
function isShardingPlan(yaml: string): boolean {
  if (/^\s*kind\s*:\s*["']?Cluster\b/m.test(yaml)) return false;
  return (
    /^\s*kind\s*:\s*["']?ShardingPlan\b/im.test(yaml) || (/^worldSize\s*:/m.test(yaml) && !/^spec\s*:/m.test(yaml))
  );
}

/** What several looks at one file threw. */
class Errors {
  readonly #thrown: MoesaicError[] = [];

  /** The result of a look, null where it threw. */
  async of<T>(look: () => T | Promise<T>): Promise<T | null> {
    try {
      return await look();
    } catch (caught) {
      this.#thrown.push(MoesaicError.from(caught));
      return null;
    }
  }

  /** One error with the code of the first. */
  joined(): MoesaicError | null {
    const [first, ...others] = this.#thrown;
    if (first === undefined || others.length === 0) return first ?? null;
    return new MoesaicError(first.code, this.#thrown.map((error) => error.describe()).join("\n"));
  }
}
