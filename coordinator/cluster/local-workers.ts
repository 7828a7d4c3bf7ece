import { randomUUID } from "node:crypto";
import { deviceOf, type ClusterSpec } from "../../plans/cluster-spec.js";
import { isLocalHost, threadsOfEach, threadsOfLocalRanks } from "./local-ranks.js";
import type { SeatRequirement } from "./seat.js";
import type { LaunchedWorker } from "./worker-launcher.js";

/** One per seat of this machine, and the spares where every seat is of this machine. */
export function localWorkers(
  cluster: ClusterSpec,
  requirements: readonly SeatRequirement[],
  numCores?: number,
): LaunchedWorker[] {
  const { workers, spares } = cluster.spec;
  const launchIds = requirements.flatMap(({ launchId }) => (launchId === null ? [] : [launchId]));
  const threads = threadsOfLocalRanks(cluster, numCores);
  const device = deviceOf(cluster);
  const seated = launchIds.map((launchId, index) => ({ launchId, threads: threads[index]!, device, index }));
  const numSpares = workers.every(({ host }) => isLocalHost(host)) ? spares : 0;
  const idle = { threads: threadsOfEach(cluster, numCores), device };
  const spareWorkers = Array.from({ length: numSpares }, (_, index) => {
    return { launchId: randomUUID(), ...idle, index: seated.length + index };
  });
  return [...seated, ...spareWorkers];
}
