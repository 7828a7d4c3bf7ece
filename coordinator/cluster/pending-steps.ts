import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import { encodeStepPlan } from "../../proto/step-codec.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import type { ToRank } from "./rank-connection.js";

/** A plan's step and those that it grants. */
interface PendingRun {
  /** As the lead knows it: the plan's own, and the steps that were before this coordinator. */
  stepId: number;
  /** Of the last granted step. */
  lastStepId: number;
  /** Of the step whose result comes next. */
  nextStepId: number;
  columns: v1.StepPlanColumns.$Properties;
  isSent: boolean;
  onResult: (result: StepResult) => void;
  resolve: (result: StepResult | null) => void;
  reject: (error: MoesaicError) => void;
}

/**
 * The steps of an epoch that are on their way, the oldest first, and what a stream that broke makes of them: none lost, none
 * twice, none out of order.
 */
export class PendingSteps {
  #pending: PendingRun[] = [];
  /** Which granted steps are not wanted any more. */
  #endGrants: v1.EndGrants.$Properties | null = null;
  /** Of the last result that was taken: what comes a second time is dropped. */
  #lastResultId = 0;
  /** Steps of this epoch that another coordinator planned. */
  #numEarlierSteps = 0;
  /** Rows that its sequences left behind; the next plan ends them. */
  #abandonedRows: readonly number[] = [];
  #isHolding = false;
  #listeners: { stepId: number; resolve: () => void }[] = [];

  get isBusy(): boolean {
    return this.#pending.length > 0;
  }

  /** Of the last step whose result is here. */
  get lastResultId(): number {
    return this.#lastResultId;
  }

  /** A new epoch, of which no step has run. */
  epochBegan(): void {
    this.epochAdopted(0, []);
  }

  /**
   * Goes on with another coordinator's epoch.
   * @param lastStepId of the last plan that the lead got; results up to it are of no interest any more
   * @param liveRows rows of that coordinator's sequences
   */
  epochAdopted(lastStepId: number, liveRows: readonly number[]): void {
    this.#lastResultId = this.#numEarlierSteps = lastStepId;
    this.#abandonedRows = liveRows;
    this.#endGrants = null;
    this.#isHolding = false;
  }

  /**
   * @param onResult called with the result of each step of the plan
   * @returns the plan as the lead is to get it now, null while plans are held back; and the last result to come, null when the
   *   run that the plan goes on with ends before
   */
  begin(
    plan: StepPlan,
    onResult: (result: StepResult) => void,
  ): { columns: v1.StepPlanColumns.$Properties | null; result: Promise<StepResult | null> } {
    const stepId = plan.stepId + this.#numEarlierSteps;
    const followsStepId = plan.followsStepId === 0 ? 0 : plan.followsStepId + this.#numEarlierSteps;
    const finishedRows = Int32Array.of(...this.#abandonedRows, ...plan.finishedRows);
    this.#abandonedRows = [];
    const encoded = encodeStepPlan({ ...plan, stepId, followsStepId, finishedRows });
    const columns = { ...encoded, last_result_id: this.#lastResultId };
    const isSent = !this.#isHolding;
    const lastStepId = stepId + plan.numGrantedSteps;
    const result = new Promise<StepResult | null>((resolve, reject) => {
      this.#pending.push({ stepId, lastStepId, nextStepId: stepId, columns, isSent, onResult, resolve, reject });
    });
    return { columns: isSent ? columns : null, result };
  }

  /** What begins from now on is held back. */
  hold(): void {
    this.#isHolding = true;
  }

  /** @returns the plans that were held back, in order: the lead is to get them now */
  release(): v1.StepPlanColumns.$Properties[] {
    this.#isHolding = false;
    const held = this.#pending.filter(({ isSent }) => !isSent);
    for (const step of held) step.isSent = true;
    return held.map(({ columns }) => columns);
  }

  /** What was sent and a lead that got no plan after `lastStepId` has missed, or may have, in order. */
  missedBy(lastStepId: number): ToRank[] {
    const missed = this.#pending.filter(({ stepId, isSent }) => isSent && stepId > lastStepId);
    const plans = missed.map(({ columns }) => ({ step_plan: columns }));
    return this.#endGrants === null ? plans : [...plans, { end_grants: this.#endGrants }];
  }

  /** @returns false when it is an old result that came again  @throws MoesaicError internal when it is not the next one */
  finish(result: StepResult): boolean {
    if (result.stepId <= this.#lastResultId) return false;
    const [pending] = this.#pending;
    if (pending === undefined || pending.nextStepId !== result.stepId) {
      const expected = pending?.nextStepId ?? "none";
      throw new MoesaicError("internal", `a result of step ${result.stepId} came, expected: ${expected}`);
    }
    this.#lastResultId = pending.nextStepId++;
    const own = { ...result, stepId: result.stepId - this.#numEarlierSteps };
    pending.onResult(own);
    if (result.runsOn && result.stepId < pending.lastStepId) return true;
    this.#pending.shift();
    pending.resolve(own);
    if (result.stepId < pending.lastStepId) this.#dropFollowers(pending);
    this.#tell();
    return true;
  }

  /** A run ended early: what was to go on with it is void, and nothing is heard of it. */
  #dropFollowers({ lastStepId }: PendingRun): void {
    const followers = this.#pending.splice(0);
    this.#lastResultId = followers.at(-1)?.lastStepId ?? lastStepId;
    for (const { resolve } of followers) resolve(null);
  }

  /** @returns what tells the lead to end the grants that it has; null when there are none, or it was told */
  endGrants(): ToRank | null {
    const run = this.#pending.findLast(({ stepId, lastStepId }) => lastStepId > stepId);
    if (run === undefined || run.lastStepId <= (this.#endGrants?.step_id ?? 0)) return null;
    this.#endGrants = { epoch: run.columns.epoch ?? 0, step_id: run.lastStepId };
    return { end_grants: this.#endGrants };
  }

  /** Whoever waits for a step hears the error. */
  fail(error: MoesaicError): void {
    for (const { reject } of this.#pending.splice(0)) reject(error);
    this.#tell();
  }

  /** Resolves when the steps that were sent have ended; those that are sent later are not waited for. */
  async whenDone(): Promise<void> {
    const stepId = this.#pending.findLast(({ isSent }) => isSent)?.stepId;
    if (stepId !== undefined) await new Promise<void>((resolve) => this.#listeners.push({ stepId, resolve }));
  }

  #tell(): void {
    const nextId = this.#pending[0]?.stepId ?? Infinity;
    const done = this.#listeners.filter(({ stepId }) => stepId < nextId);
    this.#listeners = this.#listeners.filter(({ stepId }) => stepId >= nextId);
    for (const { resolve } of done) resolve();
  }
}
