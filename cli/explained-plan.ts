import { isLocalHost, numLocalRanks, rankProfileOf, threadsOfLocalRanks } from "../coordinator/cluster/local-ranks.js";
import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import type { EngineOptions } from "../native/binding.js";
import { native, packagePath } from "../native/index.js";
import { defaultsInUse } from "../plans/cluster-spec-defaults.js";
import {
  checkSupported,
  deviceOf,
  kernelPackagesOf,
  precisionOf,
  withDevices,
  type ClusterSpec,
} from "../plans/cluster-spec.js";
import { USUAL_SEQ_LEN } from "../plans/cost.js";
import { explainPlan, type Explanation } from "../plans/explain.js";
import { explainReplica, type ReplicaExplanation } from "../plans/explain-replica.js";
import { lower } from "../plans/lower.js";
import { sourcedProfile, type KnownFigures } from "../plans/machine-profile.js";
import { chooseReplicaLimits, limitsRequestOf, provisionalLimits } from "../plans/memory.js";
import type { RankProgram } from "../plans/rank-program.js";
import { thisMachine } from "./this-machine.js";
import { gpuBandwidth, readBandwidth } from "./read-bandwidth.js";

/** Of the first rank, and of all together where there are several. */
export type ClusterExplanation = Explanation & { replica?: ReplicaExplanation };

/**
 * What the first rank of a cluster would run on this machine, and how a replica's ranks share the work, without loading
 * anything. What is known of the ranks changes what is predicted, never what the cluster's plan is.
 */
export async function explainCluster(
  written: ClusterSpec,
  baseDir: string,
  known: readonly KnownFigures[],
): Promise<{ json: ClusterExplanation; text: string }> {
  const gpus = native.cudaDevices().devices;
  const cluster = decided(written);
  checkSupported(cluster);
  const { engine, servedModelName } = cluster.spec;
  const { description: model } = await openModelSource(cluster, baseDir);
  const plan = await resolveSpecPlan(cluster, baseDir, model);
  const options = engineOptionsOf(cluster);
  const describe = (program: RankProgram) => native.describeProgram(program, options);
  const request = limitsRequestOf(cluster);
  const provisional = provisionalLimits(request, model);
  const programOf = (dequantize: boolean, limits = provisional.limits, rank = 0) =>
    lower(model, plan, rank, { limits, precision: precisionOf(cluster), dequantize });
  const memoryBytes = options.device === "cuda" ? (gpus[0]?.memoryBytes ?? 0) : native.deviceProperties().memoryBytes;
  const neighbours = neighboursOfFirst(cluster, plan.worldSize).map((rank) => {
    return { hostId: "this host", memoryBytes, ...describe(programOf(engine.dequantize, provisional.limits, rank)) };
  });
  const chosen = chooseReplicaLimits(provisional, request, model, neighbours);
  const program = programOf(engine.dequantize, chosen.limits);
  const rank = explainPlan({
    modelName: servedModelName,
    program,
    sizes: describe(program),
    otherSizes: describe(programOf(!engine.dequantize, chosen.limits)),
    dequantize: engine.dequantize,
    choices: chosen.choices,
    defaults: defaultsInUse(cluster),
    readBytesPerSecond:
      known.findLast(({ figures }) => figures.readBytesPerSecond !== undefined)?.figures.readBytesPerSecond ?? null,
  });
  if (plan.worldSize === 1) return rank;
  const replica = explainReplica({
    modelName: servedModelName,
    model,
    plan,
    ...sourcedProfile(rankProfileOf(cluster), known),
    dequantize: engine.dequantize,
    precision: precisionOf(cluster),
    seqLen: USUAL_SEQ_LEN,
  });
  return { json: { ...rank.json, replica: replica.json }, text: `${rank.text}\n${replica.text}` };
}

/** The cluster with the devices of this machine. */
export function decided(cluster: ClusterSpec): ClusterSpec {
  return withDevices(cluster, thisMachine());
}

/** The ranks of a replica that share the first one's host and memory, itself among them. */
function neighboursOfFirst({ spec }: ClusterSpec, worldSize: number): number[] {
  const hosts = spec.workers
    .flatMap(({ host, ranks }) => Array.from({ length: ranks }, () => host))
    .slice(0, worldSize);
  const isNeighbour = (host: string): boolean =>
    isLocalHost(hosts[0]!) ? isLocalHost(host) : host !== "any" && host === hosts[0];
  return hosts.flatMap((host, rank) => (rank === 0 || isNeighbour(host) ? [rank] : []));
}

/** Of an engine of a decided cluster on this machine. */
export function engineOptionsOf(cluster: ClusterSpec): EngineOptions {
  return {
    packages: kernelPackagesOf(cluster).map(packagePath),
    numThreads: threadsOf(cluster),
    device: deviceOf(cluster),
    deterministic: cluster.spec.engine.deterministic === true,
  };
}

/** Threads of the first rank of this machine; of a rank elsewhere as many as this machine would give it. */
export function threadsOf(cluster: ClusterSpec): number {
  const { numCores } = native.deviceProperties();
  return threadsOfLocalRanks(cluster, numCores)[0] ?? numCores;
}

/** Bytes per second that a rank of this machine reads while its neighbours read too; null when all ranks are elsewhere. */
export async function rankBandwidth(cluster: ClusterSpec): Promise<number | null> {
  const numRanks = numLocalRanks(cluster);
  if (numRanks === 0) return null;
  if (deviceOf(decided(cluster)) === "cuda") return gpuBandwidth();
  const { numCores } = native.deviceProperties();
  const numThreads = threadsOfLocalRanks(cluster, numCores).reduce((sum, threads) => sum + threads, 0);
  return (await readBandwidth(Math.min(numCores, numThreads))) / numRanks;
}
