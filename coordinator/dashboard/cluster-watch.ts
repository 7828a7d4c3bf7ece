import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { v1 } from "../../proto/messages.js";
import type { RequestObserver } from "../api/generation.js";
import type { ClusterEvent } from "../bus/events.js";
import type { Seat } from "../cluster/seat.js";
import type { StepObserver } from "../engine-loop.js";
import type { SchedulerStats } from "../scheduler/scheduler-stats.js";
import type { ClusterSample, ClusterView, ExpertLoad, RankTimeline, TimedEvent } from "./cluster-view.js";
import { ExpertLoads } from "./expert-load.js";
import { LatencyWindow } from "./latency-window.js";
import { StepTally } from "./step-tally.js";

const SAMPLE_MS = 1_000;
/** Five minutes. */
const MAX_SAMPLES = 300;
const MAX_EVENTS = 200;
const MAX_JOBS = 50;
/** Of a rank, in one view: more would not be seen. */
const MAX_STEPS = 128;
/** First tokens are far between where answers are long. */
const TTFT_WINDOW_MS = 10_000;
const MAX_WATCHERS = 64;

const ALL_FIELDS = { defaults: true, arrays: true };

/** A replica as it is watched. */
export interface WatchedReplica {
  readonly replicaId: number;
  readonly replica: { readonly epoch: number; readonly seats: readonly Seat[] };
  /** null before it serves. */
  stats(): SchedulerStats | null;
}

export interface ClusterWatchOptions {
  replicas: () => readonly WatchedReplica[];
  status(): v1.StatusResponse.$Properties;
  /** Newest first. @throws MoesaicError when no jobs are kept, or not yet */
  newestJobs(count: number): v1.Job.$Properties[];
  model: { numLayers: number; numExperts: number };
  clock: Clock;
}

/** One view for all who watch, made when the first of them asks. */
interface Tick {
  number: number;
  view(): string;
}

/**
 * Samples the cluster once a second and remembers the last minutes, whether or not somebody looks: who opens the dashboard sees
 * what has just been. Costs two additions a step, and nothing of it is kept for good: that is Prometheus' work (`metrics.ts`).
 */
export class ClusterWatch {
  readonly #options: ClusterWatchOptions;
  /** Wall-clock time of the monotonic clock's zero, milliseconds. */
  readonly #originMs: number;
  readonly #tallies = new Map<number, StepTally>();
  readonly #ttft = new LatencyWindow(TTFT_WINDOW_MS);
  readonly #itl = new LatencyWindow(SAMPLE_MS);
  readonly #expertLoads: ExpertLoads;
  readonly #samples: ClusterSample[] = [];
  readonly #events: TimedEvent[] = [];
  /** Since the last sample. */
  #newEvents: TimedEvent[] = [];
  /** By seat, the last step that was shown, of which epoch. */
  readonly #lastShown = new WeakMap<Seat, { epoch: number; stepId: number }>();
  readonly #waiting = new Set<() => void>();
  #numWatchers = 0;
  #tick: Tick = { number: 0, view: () => "" };
  #sampledMs: number;
  #cancelTimer: () => void = () => {};
  #isClosed = false;

  constructor(options: ClusterWatchOptions) {
    this.#options = options;
    this.#sampledMs = options.clock.nowMs();
    this.#originMs = Date.now() - this.#sampledMs;
    this.#expertLoads = new ExpertLoads(options.model);
  }

  /** Samples from now on. */
  start(): void {
    this.#sampledMs = this.#options.clock.nowMs();
    this.#setTimer();
  }

  /** An observer of one replica's steps that counts them and tells `next` of all. */
  stepsOf<T extends StepObserver>(replicaId: number, next: T): T {
    const tally = new StepTally();
    this.#tallies.set(replicaId, tally);
    return {
      ...next,
      stepFinished: (facts: Parameters<StepObserver["stepFinished"]>[0]) => {
        next.stepFinished(facts);
        tally.add(facts);
        if (facts.numDecodes > 0) this.#itl.add(facts.durationMs, this.#options.clock.nowMs(), facts.numDecodes);
      },
    };
  }

  /** As `stepsOf`, of requests. */
  requestsOf(next: RequestObserver): RequestObserver {
    return {
      firstToken: (ms) => {
        next.firstToken(ms);
        this.#ttft.add(ms, this.#options.clock.nowMs());
      },
      finished: (facts) => next.finished(facts),
    };
  }

  happened(event: ClusterEvent): void {
    const timed = { atMs: this.#wallMs(), event };
    keepLast(this.#events, timed, MAX_EVENTS);
    keepLast(this.#newEvents, timed, MAX_EVENTS);
  }

  /**
   * A `ClusterView` as JSON, at once and with every sample; whoever is too slow for one of them gets a whole one again.
   * @throws MoesaicError resource_exhausted when too many watch
   */
  async *watch(signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    if (this.#numWatchers >= MAX_WATCHERS) {
      throw new MoesaicError("resource_exhausted", `${MAX_WATCHERS} dashboards are open already; close one`);
    }
    this.#numWatchers += 1;
    try {
      let shown = -1;
      while (!signal.aborted && !this.#isClosed) {
        const tick = this.#tick;
        if (tick.number !== shown) {
          const isNext = tick.number === shown + 1 && shown >= 0;
          shown = tick.number;
          yield isNext ? tick.view() : JSON.stringify(this.#whole());
        } else await this.#nextTick(signal);
      }
    } finally {
      this.#numWatchers -= 1;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
    this.#wakeAll();
  }

  #setTimer(): void {
    this.#cancelTimer = this.#options.clock.setTimer(SAMPLE_MS, () => {
      this.#sample();
      this.#setTimer();
    });
  }

  #sample(): void {
    const nowMs = this.#options.clock.nowMs();
    const seconds = Math.max(nowMs - this.#sampledMs, 1) / 1_000;
    this.#sampledMs = nowMs;
    const replicas = this.#options.replicas().flatMap((replica) => {
      const stats = replica.stats();
      const tally = this.#tallies.get(replica.replicaId);
      return stats === null || tally === undefined ? [] : [tally.take(replica.replicaId, stats, seconds)];
    });
    for (const replica of this.#expertCounts()) this.#expertLoads.note(replica, nowMs);
    const ttft = this.#ttft.quantiles(nowMs);
    const itl = this.#itl.quantiles(nowMs);
    const sample: ClusterSample = { atMs: this.#wallMs(), ttft, itl, replicas };
    keepLast(this.#samples, sample, MAX_SAMPLES);
    const events = this.#newEvents;
    this.#newEvents = [];
    const timelines = this.#timelines("new");
    let text: string | null = null;
    const view = (): string => (text ??= JSON.stringify(this.#view(false, [sample], timelines, events)));
    this.#tick = { number: this.#tick.number + 1, view };
    this.#wakeAll();
  }

  #whole(): ClusterView {
    // Some of the steps and events come with the next sample, too: the page shows each once.
    return this.#view(true, this.#samples, this.#timelines("all"), this.#events);
  }

  #view(
    isWhole: boolean,
    samples: ClusterSample[],
    timelines: RankTimeline[],
    events: readonly TimedEvent[],
  ): ClusterView {
    return {
      isWhole,
      atMs: this.#wallMs(),
      status: v1.StatusResponse.toObject(v1.StatusResponse.fromObject(this.#options.status()), ALL_FIELDS),
      samples,
      timelines,
      experts: this.#experts(),
      jobs: this.#jobs(),
      events: [...events],
    };
  }

  #experts(): ExpertLoad[] {
    const nowMs = this.#options.clock.nowMs();
    return this.#expertCounts().flatMap((replica) => this.#expertLoads.of(replica, nowMs) ?? []);
  }

  #expertCounts() {
    return this.#options.replicas().map(({ replicaId, replica: { epoch, seats } }) => {
      return { replicaId, epoch, counts: seats.map(({ expertTokens }) => expertTokens) };
    });
  }

  #jobs(): v1.Job.$Properties[] | null {
    try {
      const jobs = this.#options.newestJobs(MAX_JOBS);
      return jobs.map((job) => v1.Job.toObject(v1.Job.fromObject(job), ALL_FIELDS));
    } catch {
      return null;
    }
  }

  /** Of each rank: what was not shown yet, or all that is remembered. */
  #timelines(which: "new" | "all"): RankTimeline[] {
    return this.#options.replicas().flatMap(({ replicaId, replica: { epoch, seats } }) =>
      seats.map((seat) => {
        const last = this.#lastShown.get(seat);
        const after = which === "new" && last?.epoch === epoch ? last.stepId : -1;
        const recent = seat.steps.after(after).slice(-MAX_STEPS);
        if (which === "new") this.#lastShown.set(seat, { epoch, stepId: recent.at(-1)?.stepId ?? after });
        const steps = recent.map(({ stepId, beginMs, endMs, collectiveMs }) => {
          return { stepId, beginMs: this.#originMs + beginMs, endMs: this.#originMs + endMs, collectiveMs };
        });
        return { replicaId, rank: seat.rank, steps };
      }),
    );
  }

  #wallMs(): number {
    return this.#originMs + this.#options.clock.nowMs();
  }

  #nextTick(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake();
  }
}

function keepLast<T>(list: T[], item: T, max: number): void {
  list.push(item);
  if (list.length > max) list.shift();
}
