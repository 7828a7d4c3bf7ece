import type { v1 } from "../../proto/messages.js";
import type { Seat } from "./seat.js";

/** An epoch that another coordinator began and all ranks of a replica still have, weights and KV included. */
export interface HeldEpoch {
  epoch: number;
  numBlocks: number;
  /** Of the last step plan that the lead got; what it still says of that one is of no interest any more. */
  lastStepId: number;
  /** Rows that nobody's sequences have any more. */
  liveRows: number[];
}

/**
 * What the ranks of all seats hold together.
 * @param digestOf what a rank's assignment would say here
 * @returns null unless each of them holds its own part of one epoch, loaded from the same things as here
 */
export function heldByAll(seats: readonly Seat[], digestOf: (rank: number) => string): HeldEpoch | null {
  const parts = seats.map((seat) => seat.hello?.held ?? null);
  const [lead] = parts;
  if (!lead?.ready) return null;
  const isPart = (held: v1.Held.$Properties | null, rank: number): boolean =>
    held?.rank === rank &&
    held.epoch === lead.epoch &&
    held.ready?.num_blocks === lead.ready?.num_blocks &&
    held.sized !== null &&
    held.digest === digestOf(rank);
  if (!parts.every(isPart)) return null;
  return {
    epoch: lead.epoch ?? 0,
    numBlocks: lead.ready.num_blocks ?? 0,
    lastStepId: lead.last_step_id ?? 0,
    liveRows: [...(lead.live_rows ?? [])],
  };
}
