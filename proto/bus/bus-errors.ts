import { MoesaicError } from "../errors.js";

export function nobodyListens(subject: string): MoesaicError {
  return new MoesaicError("unavailable", `nobody listens to ${subject} on the bus: start who answers it, then retry`);
}

/** Two lifetimes of one bucket would be two truths about who is alive. */
export function otherTtl(bucket: string, wantedMs: number, hereMs: number): MoesaicError {
  return new MoesaicError(
    "failed_precondition",
    `entries of the bucket ${bucket} live ${hereMs} ms, wanted ${wantedMs} ms: give all processes the same value, ` +
      "or delete the bucket while none of them runs",
  );
}

/** @throws MoesaicError resource_exhausted */
export function checkNumRequests(numInFlight: number): void {
  if (numInFlight < MAX_REQUESTS) return;
  throw new MoesaicError(
    "resource_exhausted",
    `${numInFlight} requests wait for answers, which is the most: retry later`,
    { retryAfterMs: 1000 },
  );
}

/** Requests of one bus that may wait for answers at the same time. */
export const MAX_REQUESTS = 1024;
