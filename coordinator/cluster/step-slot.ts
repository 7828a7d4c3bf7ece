import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import { encodeStepPlan } from "../../proto/step-codec.js";
import type { StepPlan, StepResult } from "../../proto/step.js";

interface PendingStep {
  /** As the lead knows it: the plan's own, and the steps that were before this coordinator. */
  stepId: number;
  columns: v1.StepPlanColumns.$Properties;
  resolve: (result: StepResult) => void;
  reject: (error: MoesaicError) => void;
}

/** The one step of an epoch that may be on its way, and what a stream that broke makes of it: nothing lost, nothing twice. */
export class StepSlot {
  #pending: PendingStep | null = null;
  /** Of the last result that was taken: what comes a second time is dropped. */
  #lastResultId = 0;
  /** Steps of this epoch that another coordinator planned. */
  #numEarlierSteps = 0;
  /** Rows that its sequences left behind; the next plan ends them. */
  #abandonedRows: readonly number[] = [];
  #listeners: (() => void)[] = [];

  get isBusy(): boolean {
    return this.#pending !== null;
  }

  /** A new epoch, of which no step has run. */
  epochBegan(): void {
    this.epochAdopted(0, []);
  }

  /**
   * Goes on with another coordinator's epoch.
   * @param lastStepId of the last plan that the lead got; its result is of no interest any more
   * @param liveRows rows of that coordinator's sequences
   */
  epochAdopted(lastStepId: number, liveRows: readonly number[]): void {
    this.#lastResultId = this.#numEarlierSteps = lastStepId;
    this.#abandonedRows = liveRows;
  }

  /** @returns the plan as the lead is to get it, and the result to come */
  begin(plan: StepPlan): { columns: v1.StepPlanColumns.$Properties; result: Promise<StepResult> } {
    const stepId = plan.stepId + this.#numEarlierSteps;
    const finishedRows = Int32Array.of(...this.#abandonedRows, ...plan.finishedRows);
    this.#abandonedRows = [];
    const columns = encodeStepPlan({ ...plan, stepId, finishedRows });
    const result = new Promise<StepResult>((resolve, reject) => {
      this.#pending = { stepId, columns, resolve, reject };
    });
    return { columns, result };
  }

  /** The pending plan, when a lead that got none after `lastStepId` has missed it. */
  missedBy(lastStepId: number): v1.StepPlanColumns.$Properties | null {
    return this.#pending !== null && lastStepId < this.#pending.stepId ? this.#pending.columns : null;
  }

  /** @returns false when it is an old result that came again  @throws MoesaicError internal when nobody waits for it */
  finish(result: StepResult): boolean {
    if (result.stepId <= this.#lastResultId) return false;
    const pending = this.#pending;
    if (pending === null || pending.stepId !== result.stepId) {
      const expected = pending?.stepId ?? "none";
      throw new MoesaicError("internal", `a result of step ${result.stepId} came, expected: ${expected}`);
    }
    this.#lastResultId = result.stepId;
    this.#free();
    pending.resolve({ ...result, stepId: result.stepId - this.#numEarlierSteps });
    return true;
  }

  /** Whoever waits for the step hears the error. */
  fail(error: MoesaicError): void {
    const pending = this.#pending;
    this.#free();
    pending?.reject(error);
  }

  /** Resolves when the step that is on its way has ended. */
  whenFree(): Promise<void> {
    return new Promise((resolve) => this.#listeners.push(resolve));
  }

  #free(): void {
    this.#pending = null;
    for (const listener of this.#listeners.splice(0)) listener();
  }
}
