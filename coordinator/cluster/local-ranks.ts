import { randomUUID } from "node:crypto";
import { availableParallelism, hostname } from "node:os";
import type { ClusterSpec, WorkerSpec } from "../../plans/cluster-spec.js";
import { CPU_RANK, type MachineProfile } from "../../plans/machine-profile.js";
import type { SeatRequirement } from "./seat.js";

/** Hosts of a spec that mean this machine. */
const LOCAL_HOSTS = ["localhost", "127.0.0.1", "::1"];

/** Host of a spec that means whoever comes. */
const ANY_HOST = "any";

export function isLocalHost(host: string): boolean {
  return LOCAL_HOSTS.includes(host) || host === hostname();
}

export function numLocalRanks({ spec }: ClusterSpec): number {
  return spec.workers.reduce((sum, { host, ranks }) => sum + (isLocalHost(host) ? ranks : 0), 0);
}

/** What a rank of this machine has where nothing is written: an equal part of the cores. */
export function threadsOfEach(cluster: ClusterSpec, numCores = availableParallelism()): number {
  return Math.max(1, Math.floor(numCores / Math.max(1, numLocalRanks(cluster))));
}

/** Threads of each rank that this machine runs, in the order of the workers: as written, or an equal part of the cores. */
export function threadsOfLocalRanks(cluster: ClusterSpec, numCores?: number): number[] {
  const equal = threadsOfEach(cluster, numCores);
  return cluster.spec.workers
    .filter(({ host }) => isLocalHost(host))
    .flatMap(({ ranks, threads }) => Array.from({ length: ranks }, () => (threads === "auto" ? equal : threads)));
}

/** What the ranks of a cluster are taken to be before anything is measured: their data plane follows from the hosts. */
export function rankProfileOf({ spec }: ClusterSpec): MachineProfile {
  return spec.workers.every(({ host }) => isLocalHost(host)) ? CPU_RANK.shm : CPU_RANK.tcp;
}

/** What the seats of a worker entry ask for; those of this machine get a worker of their own. */
export function requirementsOf({ host, device, ranks }: WorkerSpec): SeatRequirement[] {
  return Array.from({ length: ranks }, () => ({
    host: isLocalHost(host) ? hostname() : host === ANY_HOST ? null : host,
    device: device === "auto" ? null : device,
    launchId: isLocalHost(host) ? randomUUID() : null,
  }));
}
