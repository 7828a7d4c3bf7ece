import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import type { Logger } from "../proto/log.js";
import type { StepPlan, StepResult } from "../proto/step.js";
import type { SequenceOutput } from "./scheduler/sequence-output.js";
import type { FinishReason, SequenceSpec } from "./scheduler/sequence.js";
import type { Scheduler } from "./scheduler/scheduler.js";

/** Runs steps: a replica's ranks in production, a fake engine in tests. */
export interface StepExecutor {
  /** @throws MoesaicError unavailable when the ranks were lost before the result came */
  step(plan: StepPlan): Promise<StepResult>;
  /** Resolves with the epoch of a world that can run steps. @throws MoesaicError when there will be none */
  whenReady(): Promise<number>;
}

/** What the loop counts as it goes; `metrics.ts` shows it. */
export interface StepObserver {
  stepFinished(facts: { plan: StepPlan; result: StepResult; durationMs: number }): void;
}

/**
 * The heart of the coordinator: schedule, dispatch, apply, deliver, again. One step is in flight at a time; new sequences
 * and aborts wait in the scheduler for the next. When the ranks are lost, sequences go back to waiting with their tokens
 * and run on in the next epoch: a client sees a pause, no repeated and no missing token.
 */
export class EngineLoop {
  readonly #scheduler: Scheduler;
  readonly #executor: StepExecutor;
  readonly #observer: StepObserver;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #listeners = new Map<number, (output: SequenceOutput) => void>();
  #isPoked = false;
  #wake: () => void = () => {};
  #idleListeners: (() => void)[] = [];
  #isDraining = false;
  #isStopped = false;
  #failure: MoesaicError | null = null;
  #epoch = 1;

  constructor(scheduler: Scheduler, executor: StepExecutor, observer: StepObserver, clock: Clock, log: Logger) {
    this.#scheduler = scheduler;
    this.#executor = executor;
    this.#observer = observer;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Adds a sequence; its outputs, the last one with its finish reason, go to `listener`.
   * @throws MoesaicError invalid_argument, resource_exhausted (queue full), unavailable (draining or failed)
   */
  submit(spec: SequenceSpec, listener: (output: SequenceOutput) => void): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isDraining) throw new MoesaicError("unavailable", "the cluster is draining and accepts nothing new");
    this.#scheduler.add(spec, this.#clock.nowMs());
    this.#listeners.set(spec.seqId, listener);
    this.#poke();
  }

  /** Ends a sequence at the next step; one that has ended already is left alone. */
  abort(seqId: number, finish: FinishReason = "abort"): void {
    if (!this.#listeners.has(seqId)) return;
    this.#scheduler.abort(seqId, finish);
    this.#poke();
  }

  /** Runs until `stop`. Never throws: what goes wrong ends sequences, and is told to them. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#runEpoch(await this.#executor.whenReady());
      } catch (caught) {
        this.#fail(MoesaicError.from(caught));
        return;
      }
    }
  }

  /** Accepts nothing new; resolves when every sequence has ended, or after `graceMs` (may be Infinity), when the rest are aborted. */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true;
    const cancelTimer = Number.isFinite(graceMs) ? this.#clock.setTimer(graceMs, () => this.#abortAll()) : () => {};
    if (this.#listeners.size > 0) await new Promise<void>((resolve) => this.#idleListeners.push(resolve));
    cancelTimer();
  }

  stop(): void {
    this.#isStopped = true;
    this.#poke();
  }

  async #runEpoch(epoch: number): Promise<void> {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#scheduler.reset(epoch);
    }
    while (!this.#isStopped) {
      const plan = this.#scheduler.schedule(this.#clock.nowMs());
      this.#deliver(this.#scheduler.takeEnded());
      if (plan === null) await this.#somethingNew();
      else if (!(await this.#step(plan))) return;
    }
  }

  /** @returns false when the ranks were lost */
  async #step(plan: StepPlan): Promise<boolean> {
    const startedMs = this.#clock.nowMs();
    let result: StepResult;
    try {
      result = await this.#executor.step(plan);
    } catch (caught) {
      const error = MoesaicError.from(caught);
      this.#log.warn(
        { stepId: plan.stepId, epoch: plan.epoch, code: error.code, text: error.message },
        "step was lost",
      );
      return false;
    }
    const nowMs = this.#clock.nowMs();
    this.#observer.stepFinished({ plan, result, durationMs: nowMs - startedMs });
    this.#deliver(this.#scheduler.apply(result, nowMs));
    return true;
  }

  #deliver(outputs: SequenceOutput[]): void {
    for (const output of outputs) {
      const listener = this.#listeners.get(output.seqId);
      if (output.finish !== undefined) this.#listeners.delete(output.seqId);
      listener?.(output);
    }
    if (this.#listeners.size === 0) for (const resolve of this.#idleListeners.splice(0)) resolve();
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

  #abortAll(): void {
    for (const seqId of this.#listeners.keys()) this.#scheduler.abort(seqId);
    this.#poke();
  }

  /** No world will come again: everything that waits hears why. */
  #fail(error: MoesaicError): void {
    this.#failure = error;
    this.#log.error({ code: error.code, text: error.describe() }, "engine loop ended");
    const seqIds = [...this.#listeners.keys()];
    const nothing = { requestId: "", numPromptTokens: 0, numOutputTokens: 0, numCachedTokens: 0 };
    this.#deliver(seqIds.map((seqId) => ({ ...nothing, seqId, finish: "error" as const, error })));
  }
}
