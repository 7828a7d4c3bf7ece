import { GREEDY_SAMPLING, OUTPUT_SAMPLE, type StepPlan, type StepResult } from "../../proto/step.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import type { SchedulerConfig } from "../../coordinator/scheduler/scheduler-config.js";
import { Random } from "../../sim/random.js";

/** What a step takes on the machine that is played. */
export interface MachineSpeed {
  fixedMs: number;
  perDecodeMs: number;
  perPrefillTokenMs: number;
}

/** Figures of the size of one H200 with gpt-oss-20b: 550 tokens/s alone, 27,000 at 256 sequences, prefill at 62,000. */
export const GPU_SPEED: MachineSpeed = { fixedMs: 1.8, perDecodeMs: 0.03, perPrefillTokenMs: 0.0162 };

export const GPU_CONFIG: SchedulerConfig = {
  vocabSize: 1000,
  maxSeqLen: 8192,
  blockSize: 16,
  numBlocks: 24_000,
  kvGroups: [
    { kind: "full", window: 0 },
    { kind: "sliding", window: 128 },
  ],
  maxBatchedTokens: 2048,
  maxSequences: 256,
  maxLogitRows: 256,
  maxWaiting: 20_000,
  stepCost: { fixedMs: 1.8, perTokenMs: 0.03 },
};

export interface Arrival {
  atMs: number;
  tenant: string;
  numPromptTokens: number;
  numOutputTokens: number;
}

/** What a client saw. Milliseconds from its arrival. */
export interface Served {
  arrival: Arrival;
  isRefused: boolean;
  ttftMs: number;
  /** Longest gap between two tokens. */
  gapMsMax: number;
  endMs: number;
}

export interface Serving {
  served: Served[];
  numPreemptions: number;
  /** Tokens computed again after a preemption. */
  numRecomputedTokens: number;
  numSteps: number;
  totalMs: number;
}

/** Requests at random moments, `perSecond` on average, with prompts and outputs of random lengths. */
export function randomArrivals(
  random: Random,
  options: { tenant: string; perSecond: number; fromMs?: number; untilMs: number; prompt: Range; output: Range },
): Arrival[] {
  const { tenant, perSecond, fromMs = 0, untilMs, prompt, output } = options;
  const arrivals: Arrival[] = [];
  for (let atMs = fromMs; ;) {
    atMs -= (1000 / perSecond) * Math.log(1 - random.fraction());
    if (atMs >= untilMs) return arrivals;
    const numPromptTokens = random.integer(...prompt);
    arrivals.push({ atMs, tenant, numPromptTokens, numOutputTokens: random.integer(...output) });
  }
}

export type Range = readonly [number, number];

/**
 * The scheduler before a machine whose steps take what `speed` says, in simulated time: the same arrivals, the same
 * outcome. Ends when every request has, or with the first step after `untilMs`.
 */
export function serve(
  config: SchedulerConfig,
  speed: MachineSpeed,
  arrivals: readonly Arrival[],
  untilMs = Infinity,
): Serving {
  return new ServingWorld(config, speed, arrivals).run(untilMs);
}

class ServingWorld {
  readonly #scheduler: Scheduler;
  readonly #speed: MachineSpeed;
  readonly #arrivals: Arrival[];
  readonly #served = new Map<number, Served & { lastMs: number }>();
  readonly #maxSeqLens: number[] = [];
  #numDone = 0;
  #nowMs = 0;
  #numSteps = 0;

  constructor(config: SchedulerConfig, speed: MachineSpeed, arrivals: readonly Arrival[]) {
    this.#scheduler = new Scheduler(config, silentLogger);
    this.#speed = speed;
    this.#arrivals = arrivals.toSorted((a, b) => a.atMs - b.atMs);
  }

  run(untilMs: number): Serving {
    while (this.#nowMs < untilMs) {
      this.#letIn();
      const plan = this.#scheduler.schedule(this.#nowMs);
      if (plan !== null) this.#step(plan);
      else if (this.#numDone < this.#arrivals.length) this.#nowMs = this.#arrivals[this.#numDone]!.atMs;
      else break;
    }
    const { numPreemptions, numScheduledTokens } = this.#scheduler.stats();
    const numRecomputedTokens = numScheduledTokens - this.#numFirstTime;
    const totals = { numPreemptions, numRecomputedTokens, numSteps: this.#numSteps, totalMs: this.#nowMs };
    return { served: [...this.#served.values()], ...totals };
  }

  #letIn(): void {
    for (; this.#numDone < this.#arrivals.length; this.#numDone++) {
      const arrival = this.#arrivals[this.#numDone]!;
      if (arrival.atMs > this.#nowMs) return;
      const isRefused = !this.#add(this.#numDone, arrival);
      this.#served.set(this.#numDone, {
        ...{ arrival, isRefused, ttftMs: Infinity, gapMsMax: 0, endMs: Infinity, lastMs: arrival.atMs },
      });
    }
  }

  #add(seqId: number, { tenant, numPromptTokens, numOutputTokens, atMs }: Arrival): boolean {
    const promptTokenIds = new Int32Array(numPromptTokens);
    const sampling = { ...GREEDY_SAMPLING, maxSeqLen: numPromptTokens + numOutputTokens };
    const plain = { priority: 0, deadlineMs: null, wantsLogits: false };
    try {
      this.#scheduler.add({ seqId, requestId: "", promptTokenIds, sampling, tenant, ...plain }, atMs);
      return true;
    } catch (caught) {
      if (MoesaicError.from(caught).code !== "resource_exhausted") throw caught;
      return false;
    }
  }

  #step(plan: StepPlan): void {
    this.#numSteps++;
    for (const { row, sampling } of plan.newRows) this.#maxSeqLens[row] = sampling.maxSeqLen;
    this.#nowMs += this.#stepMs(plan);
    for (const output of this.#scheduler.apply(this.#answer(plan), this.#nowMs)) {
      const served = this.#served.get(output.seqId)!;
      if (output.tokenId !== undefined) this.#token(served, output.numOutputTokens);
      if (output.finish !== undefined) served.endMs = this.#nowMs - served.arrival.atMs;
    }
  }

  #token(served: Served & { lastMs: number }, numOutputTokens: number): void {
    if (numOutputTokens === 1) served.ttftMs = this.#nowMs - served.arrival.atMs;
    else served.gapMsMax = Math.max(served.gapMsMax, this.#nowMs - served.lastMs);
    served.lastMs = this.#nowMs;
  }

  #stepMs({ seqRows, tokenIds }: StepPlan): number {
    // A row with one token decodes; a chunk of one costs as much.
    const numDecodes = seqRows.length;
    const { fixedMs, perDecodeMs, perPrefillTokenMs } = this.#speed;
    return fixedMs + perDecodeMs * numDecodes + perPrefillTokenMs * (tokenIds.length - numDecodes);
  }

  #answer(plan: StepPlan): StepResult {
    const sampled = [...plan.outputs.keys()].filter((index) => plan.outputs[index] === OUTPUT_SAMPLE);
    const isFull = (index: number): boolean => plan.seqLens[index]! + 1 === this.#maxSeqLens[plan.seqRows[index]!];
    const none = new Float32Array(0);
    return {
      epoch: plan.epoch,
      stepId: plan.stepId,
      seqRows: Int32Array.from(sampled, (index) => plan.seqRows[index]!),
      tokenIds: new Int32Array(sampled.length),
      finishes: Int32Array.from(sampled, (index) => (isFull(index) ? 2 : 0)),
      logprobs: new Float32Array(sampled.length),
      numTopLogprobs: 0,
      topTokenIds: new Int32Array(0),
      ...{ topLogprobs: none, logits: none, engineUs: 0, runsOn: false },
    };
  }

  /** Tokens that were computed once at least: of what has ended, all but the last output. */
  get #numFirstTime(): number {
    let sum = 0;
    for (const { arrival, endMs } of this.#served.values()) {
      if (endMs < Infinity) sum += arrival.numPromptTokens + arrival.numOutputTokens - 1;
    }
    return sum;
  }
}

/** The value below which a fraction of the values lies. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? NaN;
}
