import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import { native, packagePath } from "../native/index.js";
import { defaultsInUse } from "../plans/cluster-spec-defaults.js";
import { checkSupported, kernelPackagesOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { TYPICAL_RANK, USUAL_SEQ_LEN } from "../plans/cost.js";
import { explainPlan, type Explanation } from "../plans/explain.js";
import { explainReplica, type ReplicaExplanation } from "../plans/explain-replica.js";
import { lower } from "../plans/lower.js";
import { chooseLimits, limitsRequestOf, provisionalLimits } from "../plans/memory.js";
import type { RankProgram } from "../plans/rank-program.js";

/** Of the first rank, and of all together where there are several. */
export type ClusterExplanation = Explanation & { replica?: ReplicaExplanation };

/**
 * What the first rank of a cluster would run on this machine, and how a replica's ranks share the work, without loading
 * anything.
 * @param readBytesPerSecond that a rank reads from this machine's memory, for its speed; null when unknown
 */
export async function explainCluster(
  cluster: ClusterSpec,
  baseDir: string,
  readBytesPerSecond: number | null,
): Promise<{ json: ClusterExplanation; text: string }> {
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
  const rank = explainPlan({
    modelName: servedModelName,
    program,
    sizes: describe(program),
    otherSizes: describe(programOf(!engine.dequantize, chosen.limits)),
    dequantize: engine.dequantize,
    choices: chosen.choices,
    defaults: defaultsInUse(cluster),
    readBytesPerSecond,
  });
  if (plan.worldSize === 1) return rank;
  const replica = explainReplica({
    modelName: servedModelName,
    model,
    plan,
    profile: { ...TYPICAL_RANK, ...(readBytesPerSecond === null ? {} : { readBytesPerSecond }) },
    dequantize: engine.dequantize,
    seqLen: USUAL_SEQ_LEN,
  });
  return { json: { ...rank.json, replica: replica.json }, text: `${rank.text}\n${replica.text}` };
}

/** Threads of each rank of this machine: as written, or every core. */
export function threadsOf({ spec }: ClusterSpec): number {
  const threads = spec.workers[0]?.threads ?? "auto";
  return threads === "auto" ? native.deviceProperties().numCores : threads;
}
