import type { Sequence } from "./sequence.js";

/**
 * Who is served first.
 * fifo: in order of arrival; priorities mean nothing.
 * priority: the smaller priority, then arrival, whoever asks.
 * fair: tenants share tokens by weight, and priority orders a tenant's own sequences.
 */
export type Policy = "fifo" | "priority" | "fair";

/** Whether `a` is served before `b`. A strict total order. */
export type SequenceOrder = (a: Sequence, b: Sequence) => boolean;

export function byArrival(a: Sequence, b: Sequence): boolean {
  return a.arrivalOrder < b.arrivalOrder;
}

export function byPriority(a: Sequence, b: Sequence): boolean {
  return a.priority === b.priority ? a.arrivalOrder < b.arrivalOrder : a.priority < b.priority;
}

/** The order in which sequences are served where no difference between tenants decides. Who comes last is preempted first. */
export function orderOf(policy: Policy): SequenceOrder {
  return policy === "fifo" ? byArrival : byPriority;
}
