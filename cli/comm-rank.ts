/**
 * One rank of `moesaic bench comm`, in a process of its own as ranks are. Started by comm-world.ts: says where it listens,
 * is told its part, answers with its times, and ends.
 */
import type { CollectiveRun, CollectiveTimes, ConnectOptions } from "../native/binding.js";
import { native } from "../native/index.js";
import { MoesaicError } from "../proto/errors.js";

/** What the parent sends once it knows all addresses. Messages are JSON: numbers in place of typed arrays. */
export interface CommTask {
  rank: number;
  options: Omit<ConnectOptions, "key"> & { key: number[] };
  runs: CollectiveRun[];
}

export type CommAnswer = { addresses: string[] } | { times: PlainTimes[] } | { code: string; message: string };

export interface PlainTimes {
  beganUs: number[];
  endedUs: number[];
  sentBytes: number;
}

const dataPlane = native.listenDataPlane("127.0.0.1:0");
process.once("message", (task: CommTask) => void answer(task));
// Whoever started it is gone: so is the bench.
process.once("disconnect", () => process.exit(1));
tell({ addresses: native.dataPlaneAddresses(dataPlane) });

async function answer({ rank, options, runs }: CommTask): Promise<void> {
  try {
    const key = Uint8Array.from(options.key);
    const times = await native.measureCollectives(dataPlane, rank, { ...options, key }, runs);
    tell({ times: times.map(plain) }, () => process.exit(0));
  } catch (caught) {
    const { code, message } = MoesaicError.from(caught);
    tell({ code, message }, () => process.exit(1));
  }
}

function plain({ beganUs, endedUs, sentBytes }: CollectiveTimes): PlainTimes {
  return { beganUs: [...beganUs], endedUs: [...endedUs], sentBytes };
}

function tell(message: CommAnswer, done: () => void = () => {}): void {
  process.send?.(message, undefined, undefined, done);
}
