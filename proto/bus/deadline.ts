import type { Clock } from "../clock.js";
import { MoesaicError } from "../errors.js";

/**
 * `promise`, unless it takes longer than `timeoutMs`. What it stands for is not stopped: it may still happen.
 * @throws MoesaicError deadline_exceeded, naming `what`
 */
export async function within<T>(clock: Clock, timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.setTimer(timeoutMs, () => reject(tooLate(timeoutMs, what)));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}

/** @throws MoesaicError invalid_argument unless it is 1 ms to one hour */
export function checkTimeout(timeoutMs: number): void {
  if (!(timeoutMs >= 1 && timeoutMs <= 3_600_000)) {
    throw new MoesaicError("invalid_argument", `timeoutMs: expected 1 to 3600000, got ${timeoutMs}`);
  }
}

export function tooLate(timeoutMs: number, what: string): MoesaicError {
  return new MoesaicError("deadline_exceeded", `${what} took longer than ${timeoutMs} ms`);
}
