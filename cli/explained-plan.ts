import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import { native, packagePath } from "../native/index.js";
import { defaultsInUse } from "../plans/cluster-spec-defaults.js";
import { checkSupported, kernelPackagesOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { explainPlan, type Explanation } from "../plans/explain.js";
import { lower } from "../plans/lower.js";
import { chooseLimits, limitsRequestOf, provisionalLimits } from "../plans/memory.js";
import type { RankProgram } from "../plans/rank-program.js";

/**
 * What the first rank of a cluster would run on this machine, without loading anything.
 * @param readBytesPerSecond of this machine's memory, for the bound on speed; null when unknown
 */
export async function explainCluster(
  cluster: ClusterSpec,
  baseDir: string,
  readBytesPerSecond: number | null,
): Promise<{ json: Explanation; text: string }> {
  checkSupported(cluster);
  const { engine, servedModelName } = cluster.spec;
  const { description: model } = await openModelSource(cluster, baseDir);
  const plan = await resolveSpecPlan(cluster, baseDir, model);
  const packages = kernelPackagesOf(cluster);
  const describe = (program: RankProgram) =>
    native.describeProgram(program, { packages: packages.map(packagePath), numThreads: threadsOf(cluster) });
  const request = limitsRequestOf(cluster);
  const provisional = provisionalLimits(request, model);
  const programOf = (dequantize: boolean, limits = provisional.limits) =>
    lower(model, plan, 0, { limits, precision: engine.precision, dequantize });
  const { memoryBytes } = native.deviceProperties();
  const chosen = chooseLimits(provisional, request, model, { memoryBytes, ...describe(programOf(engine.dequantize)) });
  const program = programOf(engine.dequantize, chosen.limits);
  return explainPlan({
    modelName: servedModelName,
    program,
    sizes: describe(program),
    otherSizes: describe(programOf(!engine.dequantize, chosen.limits)),
    dequantize: engine.dequantize,
    choices: chosen.choices,
    defaults: defaultsInUse(cluster),
    readBytesPerSecond,
  });
}

/** Threads of each rank of this machine: as written, or every core. */
export function threadsOf({ spec }: ClusterSpec): number {
  const threads = spec.workers[0]?.threads ?? "auto";
  return threads === "auto" ? native.deviceProperties().numCores : threads;
}
