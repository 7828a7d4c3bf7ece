import type { Seat } from "./seat.js";

/**
 * waiting: seats are empty, or the next epoch is about to begin; sizing and loading: all ranks attached, on their way;
 * ready: runs steps; interrupted: the same, but the stream of a rank broke, which may come back;
 * failed: for good, with a reason; closed: drained.
 */
export type ReplicaState = "waiting" | "sizing" | "loading" | "ready" | "interrupted" | "failed" | "closed";

/** What happened to a replica's membership, for events and for whoever looks after the processes. */
export type ReplicaEvent =
  | { name: "rank_attached"; rank: number; hostId: string; isHolding: boolean }
  | { name: "rank_lost"; rank: number; hostId: string; phase: RankPhase; launchId: string }
  | { name: "replica_ready" }
  | { name: "replica_failed" };

export type RankPhase = "attaching" | "loading" | "serving" | "draining";

/** What a replica does in each state, where no more is to be said of it. */
export const STATE_TEXTS = {
  sizing: "ranks are binding their programs",
  loading: "weights are loading",
  ready: "",
  interrupted: "",
  failed: "",
  closed: "",
} as const;

/** Why a replica waits. @param empty those of `seats` that nobody has */
export function waitingText(seats: readonly Seat[], empty: readonly Seat[]): string {
  if (empty.length === 0) return "the next epoch is about to begin";
  const numAttached = seats.length - empty.length;
  const wanted = empty.map((seat) => seat.describeWanted()).join(", ");
  return `${numAttached} of ${seats.length} ranks attached, waiting for ${wanted}`;
}
