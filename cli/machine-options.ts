import type { Figures } from "../plans/machine-profile.js";
import type { ArgumentsOf } from "./command.js";
import { positive } from "./options.js";

/** What a rank can do, for predictions about machines that are not this one. */
export const MACHINE_OPTIONS = {
  "read-gbytes": positive("read-gbytes", "GB/s that a rank reads from its memory (default: measured on this machine)"),
  gflops: positive("gflops", "GFLOP/s in float32 that a rank computes"),
  "link-us": positive(
    "link-us",
    "microseconds of one round between ranks: about a message there, or the network's delay",
  ),
  "link-gbits": positive("link-gbits", "Gbit/s that a rank can send: 10 for 10 GbE that it has to itself"),
} as const;

export function figuresOf(args: Partial<ArgumentsOf<typeof MACHINE_OPTIONS>>): Figures {
  const { gflops, "read-gbytes": read, "link-us": latency, "link-gbits": link } = args;
  return {
    ...(read === undefined ? {} : { readBytesPerSecond: read * 1e9 }),
    ...(gflops === undefined ? {} : { flopsPerSecond: gflops * 1e9, attentionFlopsPerSecond: gflops * 1e9 }),
    ...(latency === undefined ? {} : { linkLatencyUs: latency }),
    ...(link === undefined ? {} : { linkBytesPerSecond: (link / 8) * 1e9 }),
  };
}
