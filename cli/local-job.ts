import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { ClusterSpec } from "../plans/cluster-spec.js";

/** Where jobs of throw-away clusters are kept until they have been printed, from the folder that the command runs in. */
const DIRECTORY = ".moesaic/jobs";

/** A job that a throw-away cluster runs: alone in a folder of its own, so that the same command finds it and nothing else. */
export interface LocalJob {
  jobId: string;
  directory: string;
  /** The cluster, keeping its jobs there. */
  spec: ClusterSpec;
  /** Forgets it: it was printed to its end. */
  remove(): Promise<void>;
}

export function localJob(cluster: ClusterSpec, jobId: string): LocalJob {
  const { spec } = cluster;
  // Another model would go on with the answers of this one.
  const model = createHash("sha256").update(spec.model).digest("hex").slice(0, 8);
  const directory = resolve(DIRECTORY, `${spec.servedModelName.replaceAll(/[^\w.-]/g, "_")}-${model}`, jobId);
  return {
    jobId,
    directory,
    spec: withWholeBatch(cluster, directory),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Nobody else is served: jobs may have every row, and the next sequence waits when one ends. */
export function withWholeBatch(cluster: ClusterSpec, directory: string): ClusterSpec {
  const { spec } = cluster;
  const maxInFlight = Math.ceil(1.25 * spec.scheduler.maxSequences);
  return { ...cluster, spec: { ...spec, jobs: { ...spec.jobs, directory, maxInFlight } } };
}
