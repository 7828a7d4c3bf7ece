import type { v1 } from "../../proto/messages.js";
import type { RequestContext } from "./request-context.js";
import type { ContextHandlers } from "./server.js";

/** What the service shows and steers; the coordinator. */
export interface ClusterControl {
  status(): v1.StatusResponse.$Properties;
  onStatus(listener: () => void): () => void;
  /** Finishes what runs and refuses what is new; the process leaves afterwards. @returns requests that were finished */
  requestDrain(): Promise<number>;
  /** Lets one rank leave between two steps; its seat goes to a spare or to who comes next. @throws MoesaicError not_found */
  drainRank(replicaId: number, rank: number): Promise<void>;
  /**
   * Lets a replica finish what runs, or others take it over, and its ranks leave. @returns requests that were finished
   * @throws MoesaicError not_found; failed_precondition when no other replica serves
   */
  drainReplica(replicaId: number): Promise<number>;
}

/** Shortest pause between two messages of Watch, milliseconds. */
const WATCH_INTERVAL_MS = 100;

export function clusterHandlers(control: ClusterControl): ContextHandlers<v1.Cluster> {
  return {
    status: async () => control.status(),
    watch: (_request, context) => watch(control, context),
    drain: (request) => drain(control, request),
  };
}

async function drain(control: ClusterControl, request: v1.DrainRequest): Promise<v1.DrainResponse.$Properties> {
  const { rank, replica_id: replicaId } = request;
  if (rank != null) {
    await control.drainRank(replicaId ?? 0, rank);
    return { num_finished: 0 };
  }
  const drained = replicaId == null ? control.requestDrain() : control.drainReplica(replicaId);
  return { num_finished: await drained };
}

async function* watch(control: ClusterControl, context: RequestContext): AsyncIterable<v1.StatusResponse.$Properties> {
  let wake = () => {};
  let hasChanged = true;
  const stopListening = control.onStatus(() => {
    hasChanged = true;
    wake();
  });
  context.signal.addEventListener("abort", () => wake());
  try {
    while (!context.signal.aborted) {
      if (hasChanged) {
        hasChanged = false;
        yield control.status();
        await sleep(WATCH_INTERVAL_MS);
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    stopListening();
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
