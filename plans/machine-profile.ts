/** What carries the bytes between ranks: memory of one host, or sockets. */
export type Transport = "shm" | "tcp";

/** What one rank can do. Ranks of one host share its memory and cores: each has its part of them. */
export interface MachineProfile {
  readBytesPerSecond: number;
  /** Of multiply-adds on weights, two for each. */
  flopsPerSecond: number;
  /** The same of queries on keys and of their weights on values: other kernels. */
  attentionFlopsPerSecond: number;
  /** Of one round of a collective, whatever it carries. */
  linkLatencyUs: number;
  /** That a rank can send. */
  linkBytesPerSecond: number;
  /** Of an op, whatever it computes: waking threads, or a launch. */
  opUs: number;
  /** Of a token in an op of a rank that is alone, beside the reads and the arithmetic of matrices; ranks share it as they share the work. */
  opRowUs: number;
  /** Of a step outside its ranks: what is left of planning it, of its messages and its results after all that is hidden. */
  stepUs: number;
  /** Of a token that is sampled, on its way from the logits to its client. */
  sampleUs: number;
  /** Of a request before it can be scheduled. */
  requestUs: number;
  transport: Transport;
}

/** Where the figures of CPU_RANK come from, for whoever is shown what was predicted with them. */
export const CPU_RANK_SOURCE = "measured on 2 cores Zen 4, a rank on each; see moesaic bench comm";

/** Two cores read 57 GB/s together; the float32 kernels of one prefill with 95 GFLOP/s. */
const ZEN4_CORE = { readBytesPerSecond: 28e9, flopsPerSecond: 95e9, attentionFlopsPerSecond: 95e9 };

/** A machine that loses no time between its reads and its arithmetic: what overheads are until a calibration has measured them. */
export const NO_OVERHEADS = { opUs: 0, opRowUs: 0, stepUs: 0, sampleUs: 0, requestUs: 0 } as const;

/**
 * A CPU rank on one of two cores of a server, its neighbour busy beside it; for choices before anything is measured. A round
 * takes as long as waking a rank that sleeps: ranks seldom come to a collective at the same time. Those that do take a third.
 */
export const CPU_RANK: Readonly<Record<Transport, MachineProfile>> = {
  shm: { ...ZEN4_CORE, ...NO_OVERHEADS, linkLatencyUs: 25, linkBytesPerSecond: 2e9, transport: "shm" },
  // Over the loopback interface: between hosts it is the network's figures that count.
  tcp: { ...ZEN4_CORE, ...NO_OVERHEADS, linkLatencyUs: 35, linkBytesPerSecond: 1.5e9, transport: "tcp" },
};

/** The figures of a profile that somebody may know better. */
export const FIGURES = [
  "readBytesPerSecond",
  "flopsPerSecond",
  "attentionFlopsPerSecond",
  "linkLatencyUs",
  "linkBytesPerSecond",
  "opUs",
  "opRowUs",
  "stepUs",
  "sampleUs",
  "requestUs",
] as const;
export type Figure = (typeof FIGURES)[number];
export type Figures = Partial<Record<Figure, number>>;

/** A profile, and of each figure who says so. */
export interface SourcedProfile {
  profile: MachineProfile;
  sources: Record<Figure, string>;
}

/** Figures that somebody knows better than the profile does, and who. */
export interface KnownFigures {
  figures: Figures;
  source: string;
}

/** Figures of a base profile, and in their place what is known, the last who knows first. */
export function sourcedProfile(base: MachineProfile, known: readonly KnownFigures[]): SourcedProfile {
  const sourceOf = (figure: Figure): string =>
    known.findLast(({ figures }) => figures[figure] !== undefined)?.source ??
    (figure in NO_OVERHEADS ? UNCOUNTED : CPU_RANK_SOURCE);
  const sources = Object.fromEntries(FIGURES.map((figure) => [figure, sourceOf(figure)])) as Record<Figure, string>;
  return { profile: Object.assign({ ...base }, ...known.map(({ figures }) => figures)) as MachineProfile, sources };
}

const UNCOUNTED = "not counted without a calibration; see moesaic bench calibrate";
