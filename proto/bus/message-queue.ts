import { BoundedQueue } from "./bounded-queue.js";
import { DEFAULT_MAX_QUEUED, type BusMessage, type BusSubscription, type SubscribeOptions } from "./bus.js";
import { MoesaicError } from "../errors.js";

/** What waits for the reader of one subscription. @throws MoesaicError invalid_argument */
export function messageQueue(options: SubscribeOptions, onEnd: () => void): BoundedQueue<BusMessage> {
  const { maxQueued = DEFAULT_MAX_QUEUED } = options;
  if (!Number.isInteger(maxQueued) || maxQueued < 1) {
    throw new MoesaicError("invalid_argument", `maxQueued: expected a positive integer, got ${maxQueued}`);
  }
  return new BoundedQueue({ maxQueued, bytesOf: messageBytes, onEnd });
}

export function asSubscription(queue: BoundedQueue<BusMessage>): BusSubscription {
  return {
    get numDropped() {
      return queue.numDropped;
    },
    unsubscribe: () => queue.end(),
    [Symbol.asyncIterator]: () => queue,
  };
}

/** With a guess at what the subject and the object take. */
function messageBytes({ payload }: BusMessage): number {
  return 256 + payload.byteLength;
}
