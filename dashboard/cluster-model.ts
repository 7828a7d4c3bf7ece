import { camelCased } from "../client/camel-case.js";
import type { ClusterStatus } from "../client/cluster-status.js";
import type { Job } from "../client/job.js";
import type {
  ClusterSample,
  ClusterView,
  ExpertLoad,
  TimedEvent,
  TimelineStep,
} from "../coordinator/dashboard/cluster-view.js";

const MAX_SAMPLES = 300;
const MAX_EVENTS = 200;
/** Of each rank. */
const MAX_STEPS = 128;
/** All that the page shows of the cluster, put together from the views that came. */
export interface ClusterModel {
  status: ClusterStatus;
  /** Newest first; null: none are kept. */
  jobs: Job[] | null;
  experts: ExpertLoad[];
  samples: ClusterSample[];
  /** Newest first. */
  events: TimedEvent[];
  timelines: RankSteps[];
}

export interface RankSteps {
  replicaId: number;
  rank: number;
  steps: TimelineStep[];
}

/** The model with one more view. */
export function mergeView(before: ClusterModel | null, view: ClusterView): ClusterModel {
  const old = view.isWhole ? null : before;
  return {
    status: camelCased(view.status),
    jobs: view.jobs === null ? null : view.jobs.map(camelCased),
    experts: view.experts,
    samples: [...(old?.samples ?? []), ...view.samples].slice(-MAX_SAMPLES),
    events: mergeEvents(old?.events ?? [], view.events),
    timelines: view.timelines.map(({ replicaId, rank, steps }) => {
      const known = old?.timelines.find((one) => one.replicaId === replicaId && one.rank === rank)?.steps ?? [];
      const lastMs = known.at(-1)?.endMs ?? -Infinity;
      return { replicaId, rank, steps: [...known, ...steps.filter(({ endMs }) => endMs > lastMs)].slice(-MAX_STEPS) };
    }),
  };
}

function mergeEvents(known: TimedEvent[], more: readonly TimedEvent[]): TimedEvent[] {
  const lastMs = known[0]?.atMs ?? -Infinity;
  const fresh = more.filter(({ atMs }) => atMs > lastMs).toReversed();
  return [...fresh, ...known].slice(0, MAX_EVENTS);
}

/** Sum over the replicas of the last sample. */
export function sumOf(
  sample: ClusterSample | undefined,
  value: (replica: ClusterSample["replicas"][number]) => number,
): number {
  return (sample?.replicas ?? []).reduce((sum, replica) => sum + value(replica), 0);
}
