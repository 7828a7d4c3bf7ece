import type { SchedulerConfig } from "../../coordinator/scheduler/scheduler-config.js";
import { Random } from "../../sim/random.js";
import { GPU_CONFIG, GPU_SPEED, quantile, randomArrivals, serve, type Arrival, type Served } from "./serving.js";

/** Requests of 200 to 1,800 tokens that want 50 to 350 more. */
const MIX = { prompt: [200, 1_800], output: [50, 350] } as const;
/** Requests a second of this mix that the played machine can serve, measured with all of them there at once. */
export const CAPACITY_PER_SECOND = 41;
/** Near which goodput is highest without refusals. */
export const PEAK_LOAD = 1;
/** A first token later than this, or a longer gap between two, and a request does not count. */
const TTFT_MS_MAX = 1_000;
const GAP_MS_MAX = 100;
const WARM_UP_MS = 10_000;
/** Before the end, so that who came can have ended. */
const COOL_DOWN_MS = 10_000;

export interface ExperimentOptions {
  untilMs: number;
  policies?: Partial<SchedulerConfig>;
  seed?: number;
}

export interface Isolation {
  /** p99 of the time to first token of the tenant alone. */
  quietMs: number;
  /** The same while another asks for three times what the machine can do. */
  floodedMs: number;
  /** p99 over the flood's sequences of their longest gap between two tokens. */
  floodGapMs: number;
  /** Of the flood, requests that ended, a second. */
  floodPerSecond: number;
  numPreemptions: number;
}

/** Two tenants, one at `load` of the capacity, the other flooding. */
export function isolationAt(load: number, { untilMs, policies = {}, seed = 7 }: ExperimentOptions): Isolation {
  const config = { ...GPU_CONFIG, targetStepMs: 25, ...policies };
  const arrivals = (tenant: string, times: number, salt: number): Arrival[] => {
    return randomArrivals(new Random(salt), { tenant, perSecond: times * CAPACITY_PER_SECOND, untilMs, ...MIX });
  };
  const quiet = arrivals("quiet", load, seed);
  const ofQuiet = (served: readonly Served[]): number => {
    return quantile(
      inSpan(served, untilMs)
        .filter(isOf("quiet"))
        .map(({ ttftMs }) => ttftMs),
      0.99,
    );
  };
  const alone = serve(config, GPU_SPEED, quiet, untilMs);
  const both = serve(config, GPU_SPEED, [...quiet, ...arrivals("flood", 3, seed + 1)], untilMs);
  const flood = both.served.filter(isOf("flood")).filter(({ endMs }) => endMs < Infinity);
  return {
    quietMs: ofQuiet(alone.served),
    floodedMs: ofQuiet(both.served),
    floodGapMs: quantile(
      flood.map(({ gapMsMax }) => gapMsMax),
      0.99,
    ),
    floodPerSecond: (1_000 * flood.length) / untilMs,
    numPreemptions: both.numPreemptions,
  };
}

export interface Goodput {
  /** Requests that met both targets. */
  perSecond: number;
  admittedPerSecond: number;
  /** Of those admitted. */
  ttftMsMedian: number;
  ttftMsP99: number;
}

/** One tenant at `load` times the capacity, which is refused what would come late. */
export function goodputAt(load: number, { untilMs, policies = {}, seed = 5 }: ExperimentOptions): Goodput {
  const config = { ...GPU_CONFIG, targetStepMs: 25, targetTtftMs: TTFT_MS_MAX, ...policies };
  const asked = { tenant: "one", perSecond: load * CAPACITY_PER_SECOND, untilMs, ...MIX };
  const { served } = serve(config, GPU_SPEED, randomArrivals(new Random(seed), asked), untilMs);
  const admitted = inSpan(served, untilMs).filter(({ isRefused }) => !isRefused);
  const good = admitted.filter(({ ttftMs, gapMsMax }) => ttftMs <= TTFT_MS_MAX && gapMsMax <= GAP_MS_MAX);
  const ttftMs = admitted.map((one) => one.ttftMs);
  const perSecond = (count: number): number => (1_000 * count) / (untilMs - WARM_UP_MS - COOL_DOWN_MS);
  return {
    perSecond: perSecond(good.length),
    admittedPerSecond: perSecond(admitted.length),
    ttftMsMedian: quantile(ttftMs, 0.5),
    ttftMsP99: quantile(ttftMs, 0.99),
  };
}

function inSpan(served: readonly Served[], untilMs: number): Served[] {
  return served.filter(({ arrival }) => arrival.atMs >= WARM_UP_MS && arrival.atMs < untilMs - COOL_DOWN_MS);
}

function isOf(tenant: string): (served: Served) => boolean {
  return ({ arrival }) => arrival.tenant === tenant;
}
