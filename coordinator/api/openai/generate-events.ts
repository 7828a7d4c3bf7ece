import { isErrorCode, MoesaicError } from "../../../proto/errors.js";
import type { v1 } from "../../../proto/messages.js";

export type GenerateEvent = v1.GenerateEvent.$Properties;

/**
 * Waits for the first event, so that what refuses a request is thrown here, before an answer has begun with status 200.
 * @throws MoesaicError whatever the request was refused with
 */
export async function begun<T>(events: AsyncIterable<T>): Promise<AsyncIterable<T>> {
  const iterator = events[Symbol.asyncIterator]();
  const first = await iterator.next();
  return (async function* () {
    try {
      for (let result = first; result.done !== true; result = await iterator.next()) yield result.value;
    } finally {
      await iterator.return?.();
    }
  })();
}

/** The same events; a choice that ended with an error, or was aborted, is thrown. */
export async function* unbroken(events: AsyncIterable<GenerateEvent>): AsyncIterable<GenerateEvent> {
  for await (const event of events) {
    const error = errorOf(event.finish);
    if (error !== null) throw error;
    yield event;
  }
}

/** Why a choice did not come to its end; null when it did, or goes on. */
export function errorOf(finish: v1.Finish.$Properties | null | undefined): MoesaicError | null {
  if (finish?.reason !== "error" && finish?.reason !== "abort") return null;
  const { code, message, place } = finish.error ?? {};
  if (!code) return new MoesaicError("cancelled", "the request was aborted");
  return new MoesaicError(isErrorCode(code) ? code : "internal", message ?? "", place ? { place } : {});
}

/**
 * Several streams as one, in the order in which their events come. Each is asked for its next event when the last one
 * was taken, so that who reads slowly holds all of them back. When one fails, or the reader leaves, all are left.
 */
export async function* merged<T>(streams: readonly AsyncIterable<T>[]): AsyncIterable<{ index: number; event: T }> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  const next = async (index: number) => ({ index, result: await iterators[index]!.next() });
  const pending = new Map(iterators.map((_, index) => [index, next(index)]));
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      if (result.done === true) pending.delete(index);
      else {
        yield { index, event: result.value };
        pending.set(index, next(index));
      }
    }
  } finally {
    for (const promise of pending.values()) promise.catch(() => {});
    // Not waited for: one that is silent ends with the caller's signal, at the latest.
    for (const iterator of iterators) iterator.return?.().catch(() => {});
  }
}
