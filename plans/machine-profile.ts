/** What carries the bytes between ranks: memory of one host, or sockets. */
export type Transport = "shm" | "tcp";

/** What one rank can do. Ranks of one host share its memory and cores: each has its part of them. */
export interface MachineProfile {
  readBytesPerSecond: number;
  /** Of multiply-adds on weights, two for each. */
  flopsPerSecond: number;
  /** Of one round of a collective, whatever it carries. */
  linkLatencyUs: number;
  /** That a rank can send. */
  linkBytesPerSecond: number;
  transport: Transport;
}

/** Where the figures of CPU_RANK come from, for whoever is shown what was predicted with them. */
export const CPU_RANK_SOURCE = "measured on 2 cores Zen 4, a rank on each; see moesaic bench comm";

/** Two cores read 57 GB/s together; the float32 kernels of one prefill with 95 GFLOP/s. */
const ZEN4_CORE = { readBytesPerSecond: 28e9, flopsPerSecond: 95e9 };

/**
 * A CPU rank on one of two cores of a server, its neighbour busy beside it; for choices before anything is measured. A round
 * takes as long as waking a rank that sleeps: ranks seldom come to a collective at the same time. Those that do take a third.
 */
export const CPU_RANK: Readonly<Record<Transport, MachineProfile>> = {
  shm: { ...ZEN4_CORE, linkLatencyUs: 25, linkBytesPerSecond: 2e9, transport: "shm" },
  // Over the loopback interface: between hosts it is the network's figures that count.
  tcp: { ...ZEN4_CORE, linkLatencyUs: 35, linkBytesPerSecond: 1.5e9, transport: "tcp" },
};

/** The figures of a profile that somebody may know better. */
export const FIGURES = ["readBytesPerSecond", "flopsPerSecond", "linkLatencyUs", "linkBytesPerSecond"] as const;
export type Figure = (typeof FIGURES)[number];
export type Figures = Partial<Record<Figure, number>>;

/** A profile, and of each figure who says so. */
export interface SourcedProfile {
  profile: MachineProfile;
  sources: Record<Figure, string>;
}

/** Figures of CPU_RANK, and in their place what was measured, and in the place of both what was given. */
export function sourcedProfile(base: MachineProfile, measured: Figures, given: Figures): SourcedProfile {
  const sourceOf = (figure: Figure): string => {
    if (given[figure] !== undefined) return "as given";
    return measured[figure] === undefined ? CPU_RANK_SOURCE : "measured on this machine just now";
  };
  const sources = Object.fromEntries(FIGURES.map((figure) => [figure, sourceOf(figure)])) as Record<Figure, string>;
  return { profile: { ...base, ...measured, ...given }, sources };
}
