import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import type { Logger } from "../proto/log.js";
import { OUTPUT_NONE, OUTPUT_SAMPLE, type StepPlan, type StepResult } from "../proto/step.js";
import type { PlannedStep } from "./scheduler/planned-step.js";
import type { SequenceOutput } from "./scheduler/sequence-output.js";
import type { FinishReason, SequenceSpec } from "./scheduler/sequence.js";
import type { Scheduler } from "./scheduler/scheduler.js";

/** Runs steps: a replica's ranks in production, a fake engine in tests. */
export interface StepExecutor {
  /**
   * Runs a plan's step and those that it grants, after all that were given before.
   * @param onResult called with the result of each, in order
   * @returns resolves when no more of them will come
   * @throws MoesaicError unavailable when the ranks were lost before
   */
  step(plan: StepPlan, onResult: (result: StepResult) => void): Promise<unknown>;
  /** Ends the runs that it was given: no more of their steps are begun, and the last result says so. */
  endGrants?(): void;
  /** Resolves with the epoch of a world that can run steps. @throws MoesaicError when there will be none */
  whenReady(): Promise<number>;
  /** Most steps beyond the one that runs that its ranks can be given; absent: as many as are planned. */
  readonly runAheadMax?: number;
  /** Whether plans may have masks; absent: they may. */
  readonly takesMasks?: boolean;
  /** Why it cannot run steps now, where that is known. */
  readonly reason?: string;
}

/** What the loop counts as it goes; `metrics.ts` shows it. */
export interface StepObserver {
  /**
   * @param facts durationMs: since its plan was sent, or since the result before it, whichever came later; numDecodes: sequences
   *   that got their next token one step after the last
   */
  stepFinished(facts: { step: PlannedStep; result: StepResult; durationMs: number; numDecodes: number }): void;
}

/** What has come of the steps of an epoch, and was not looked at yet. */
interface Arrivals {
  /** In the order of the steps. */
  results: { result: StepResult; atMs: number }[];
  /** Why the ranks were lost. */
  loss: MoesaicError | null;
}

export type OutputListener = (output: SequenceOutput) => void;

/** Where sequences are run: one engine loop, or a router before several. */
export interface SequenceRunner {
  /**
   * Adds a sequence; its outputs, the last one with its finish reason, go to `listener`.
   * @throws MoesaicError invalid_argument, resource_exhausted (queue full), unavailable (draining, not ready or failed)
   */
  submit(spec: SequenceSpec, listener: OutputListener): void;
  /** Ends a sequence at the next step; one that has ended already is left alone. */
  abort(seqId: number, finish?: FinishReason): void;
}

/** A sequence that runs, with all that another loop needs to run it on. */
export interface LiveSequence {
  spec: SequenceSpec;
  listener: OutputListener;
  outputTokenIds: number[];
  /** Prompt tokens whose logits the listener has. */
  numReturnedLogits: number;
  /** How it ends, where it was told to: nobody runs it on. */
  ending?: FinishReason;
}

/**
 * How long before the ranks run out of work the next step is sent, milliseconds: longer than it takes to plan and send it, and than
 * most pauses of this process. Earlier would be no gain, and what comes meanwhile would wait for one more step.
 */
const HEAD_START_MS = 25;

/**
 * The heart of the coordinator: schedule, dispatch, apply, deliver, again. Up to `runAhead` steps are sent beyond the one that
 * runs, so that the ranks need not wait for this process; new sequences and aborts wait in the scheduler for the next
 * plan. When the ranks are lost, sequences go back to waiting with their tokens
 * and run on in the next epoch: a client sees a pause, no repeated and no missing token. A pause longer than
 * `recoveryTimeoutMs` ends them.
 */
export class EngineLoop implements SequenceRunner {
  /** No world will come again. Takes the sequences that another loop can run on; the default ends them. */
  onFailed: (orphans: LiveSequence[], error: MoesaicError) => void = (orphans, error) => endAll(orphans, error);
  readonly #scheduler: Scheduler;
  readonly #executor: StepExecutor;
  readonly #observer: StepObserver;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #recoveryTimeoutMs: number;
  readonly #live = new Map<number, LiveSequence>();
  #isPoked = false;
  #wake: () => void = () => {};
  #idleListeners: (() => void)[] = [];
  #isDraining = false;
  #isStopped = false;
  /** There is no world now: nothing that ends waits for a step. */
  #isRecovering = false;
  #landedMs = 0;
  /** How long the last step took. */
  #stepMs = 0;
  #cancelAlarm: () => void = () => {};
  #failure: MoesaicError | null = null;
  #epoch = 1;

  constructor(
    scheduler: Scheduler,
    executor: StepExecutor,
    observer: StepObserver,
    clock: Clock,
    log: Logger,
    recoveryTimeoutMs = 30_000,
  ) {
    this.#scheduler = scheduler;
    this.#executor = executor;
    this.#observer = observer;
    this.#clock = clock;
    this.#log = log;
    this.#recoveryTimeoutMs = recoveryTimeoutMs;
  }

  submit(spec: SequenceSpec, listener: OutputListener): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isDraining) throw new MoesaicError("unavailable", "the cluster is draining and accepts nothing new");
    if (spec.masker !== undefined && this.#executor.takesMasks === false) {
      const text = "a rank speaks a protocol without constrained output; install the same moesaic on all hosts";
      throw new MoesaicError("failed_precondition", text, { requestId: spec.requestId });
    }
    this.#scheduler.add(spec, this.#clock.nowMs());
    if (spec.masker !== undefined) spec.masker.onKnown = () => this.#poke();
    const outputTokenIds = [...(spec.outputTokenIds ?? [])];
    const numReturnedLogits = spec.numReturnedLogits ?? 0;
    this.#live.set(spec.seqId, { spec, listener, outputTokenIds, numReturnedLogits });
    this.#poke();
  }

  abort(seqId: number, finish: FinishReason = "abort"): void {
    const sequence = this.#live.get(seqId);
    if (sequence === undefined) return;
    sequence.ending ??= finish;
    this.#scheduler.abort(seqId, finish);
    this.#poke();
  }

  /** Sequences that have not ended. */
  get numLive(): number {
    return this.#live.size;
  }

  /** Takes what has not ended away, for another loop to run on; steps in flight are computed for nobody. */
  handOver(): LiveSequence[] {
    for (const seqId of this.#live.keys()) this.#scheduler.abort(seqId);
    // Unheard, since they run on elsewhere.
    this.#scheduler.takeEnded();
    this.#poke();
    return this.#takeUnended();
  }

  /** Runs until `stop`. Never throws: what goes wrong ends sequences, and is told to them. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#runEpoch(await this.#recovered());
      } catch (caught) {
        if (!this.#isStopped) this.#fail(MoesaicError.from(caught));
        return;
      }
    }
  }

  /** Accepts nothing new; resolves when every sequence has ended, or after `graceMs` (may be Infinity), when the rest are aborted. */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true;
    const cancelTimer = Number.isFinite(graceMs) ? this.#clock.setTimer(graceMs, () => this.#abortAll()) : () => {};
    if (this.#live.size > 0) await new Promise<void>((resolve) => this.#idleListeners.push(resolve));
    cancelTimer();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelAlarm();
    this.#poke();
  }

  /** Waits for a world; sequences do not wait longer than the recovery timeout, again and again. */
  async #recovered(): Promise<number> {
    let cancelTimer = () => {};
    const watch = (): void => {
      cancelTimer = this.#clock.setTimer(this.#recoveryTimeoutMs, () => {
        this.#expire(`the ranks did not come back within ${this.#recoveryTimeoutMs} ms: ${this.#reason}`);
        watch();
      });
    };
    watch();
    this.#isRecovering = true;
    try {
      return await this.#executor.whenReady();
    } finally {
      this.#isRecovering = false;
      cancelTimer();
    }
  }

  /** Ends when the ranks were lost. */
  async #runEpoch(epoch: number): Promise<void> {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#scheduler.reset(epoch);
    }
    this.#scheduler.runAheadMax = this.#executor.runAheadMax ?? Infinity;
    const arrivals: Arrivals = { results: [], loss: null };
    while (!this.#isStopped) {
      const arrived = arrivals.results.shift();
      if (arrived !== undefined) this.#land(arrived.result, arrived.atMs);
      else if (arrivals.loss !== null) return this.#logLoss(arrivals.loss);
      else if (!this.#planStep(arrivals)) await this.#somethingNew();
    }
  }

  /** Plans and sends the next step. @returns false when there is none to be sent now */
  #planStep(arrivals: Arrivals): boolean {
    const plan = this.#isTime() ? this.#scheduler.schedule(this.#clock.nowMs()) : null;
    this.#deliver(this.#scheduler.takeEnded());
    if (plan !== null) this.#send(plan, arrivals);
    if (this.#scheduler.mustEndRun) this.#executor.endGrants?.();
    return plan !== null;
  }

  /** Whether the next step is to be planned now; when its time comes later, the loop is woken then. */
  #isTime(): boolean {
    this.#cancelAlarm();
    const { oldestInFlight: running, numStepsInFlight, mayPlan } = this.#scheduler;
    if (running === undefined || !mayPlan) return mayPlan;
    const runsOutMs = Math.max(running.size.plannedMs, this.#landedMs) + numStepsInFlight * this.#stepMs;
    const waitMs = runsOutMs - HEAD_START_MS - this.#clock.nowMs();
    if (waitMs > 0) this.#cancelAlarm = this.#clock.setTimer(waitMs, () => this.#poke());
    return waitMs <= 0;
  }

  #send(plan: StepPlan, arrivals: Arrivals): void {
    const onResult = (result: StepResult): void => {
      arrivals.results.push({ result, atMs: this.#clock.nowMs() });
      this.#poke();
    };
    this.#executor.step(plan, onResult).catch((error: unknown) => {
      arrivals.loss ??= MoesaicError.from(error);
      this.#poke();
    });
  }

  #land(result: StepResult, atMs: number): void {
    const step = this.#scheduler.oldestInFlight;
    if (step !== undefined) this.#observe(step, result, atMs);
    this.#deliver(this.#scheduler.apply(result, atMs));
    if (step !== undefined) this.#tellPrefill(step);
  }

  /** Of a step that is over, what it computed for nobody to see but those who asked. */
  #tellPrefill({ parts }: PlannedStep): void {
    for (const { sequence, position, numTokens, output } of parts) {
      if (output !== OUTPUT_NONE) continue;
      const live = this.#live.get(sequence.seqId);
      if (live?.spec.wantsPrefill !== true || live.outputTokenIds.length > 0) continue;
      live.listener({ ...outputOf(live.spec, 0), numPrefilled: position + numTokens });
    }
  }

  #observe(step: PlannedStep, result: StepResult, atMs: number): void {
    this.#stepMs = atMs - Math.max(step.size.plannedMs, this.#landedMs);
    this.#landedMs = atMs;
    const numDecodes = step.parts.filter(({ numTokens, output }) => numTokens === 1 && output === OUTPUT_SAMPLE).length;
    this.#observer.stepFinished({ step, result, durationMs: this.#stepMs, numDecodes });
  }

  #logLoss({ code, message }: MoesaicError): void {
    const { oldestInFlight: step, numStepsInFlight: numSteps } = this.#scheduler;
    this.#log.warn({ stepId: step?.stepId, epoch: this.#epoch, code, text: message, numSteps }, "step was lost");
  }

  /** Sequences that were ended meanwhile are not known any more, and nobody listens to them. */
  #deliver(outputs: SequenceOutput[]): void {
    for (const output of outputs) {
      const sequence = this.#live.get(output.seqId);
      if (sequence === undefined) continue;
      if (output.tokenId !== undefined) sequence.outputTokenIds.push(output.tokenId);
      if (output.logits !== undefined) sequence.numReturnedLogits = output.logits.position + output.logits.numTokens;
      if (output.finish !== undefined) this.#live.delete(output.seqId);
      sequence.listener(output);
    }
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#live.size === 0) for (const resolve of this.#idleListeners.splice(0)) resolve();
  }

  /** Remembers the poke too: one that comes while outputs are delivered must not be slept through. */
  #poke(): void {
    this.#isPoked = true;
    this.#wake();
  }

  async #somethingNew(): Promise<void> {
    if (!this.#isPoked) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#isPoked = false;
  }

  get #reason(): string {
    return this.#executor.reason ?? "they were lost";
  }

  #abortAll(): void {
    if (this.#isRecovering) return this.#expire(`the cluster drained while it had no ranks: ${this.#reason}`);
    for (const seqId of this.#live.keys()) this.#scheduler.abort(seqId);
    this.#poke();
  }

  /** The ranks are not waited for any longer: whoever waits hears why, and the scheduler forgets them with the next world. */
  #expire(text: string): void {
    if (this.#live.size === 0) return;
    this.#log.error({ numSeqs: this.#live.size, reason: this.#reason }, "sequences were given up");
    endAll(this.handOver(), new MoesaicError("unavailable", text));
  }

  /** No world will come again. */
  #fail(error: MoesaicError): void {
    this.#failure = error;
    this.#log.error({ code: error.code, text: error.describe() }, "engine loop ended");
    this.onFailed(this.#takeUnended(), error);
  }

  /** Empties the loop. What was told to end meanwhile ends here, as it was told. */
  #takeUnended(): LiveSequence[] {
    const all = [...this.#live.values()];
    this.#live.clear();
    for (const { spec, listener, outputTokenIds, ending } of all) {
      if (ending !== undefined) listener({ ...outputOf(spec, outputTokenIds.length), finish: ending });
    }
    this.#tellIdle();
    return all.filter(({ ending }) => ending === undefined);
  }
}

/** Ends sequences that no loop runs any more, with an error. */
export function endAll(sequences: readonly LiveSequence[], error: MoesaicError): void {
  for (const { spec, listener, outputTokenIds } of sequences) {
    listener({ ...outputOf(spec, outputTokenIds.length), finish: "error", error });
  }
}

function outputOf({ seqId, requestId, promptTokenIds }: SequenceSpec, numOutputTokens: number): SequenceOutput {
  return { seqId, requestId, numPromptTokens: promptTokenIds.length, numOutputTokens, numCachedTokens: 0 };
}
