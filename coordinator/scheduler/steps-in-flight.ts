import type { StepResult } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import { arrive, returnTo, type PlannedPart, type PlannedStep, type StepSize } from "./planned-step.js";
import type { StepDraft } from "./step-draft.js";

/** The steps of an epoch that were planned and have no result, the oldest first. */
export class StepsInFlight {
  readonly #steps: PlannedStep[] = [];
  /** Of the last step that was planned, granted ones included. */
  #plannedId = 0;
  /** Of the last step whose result was taken. */
  #takenId = 0;

  get count(): number {
    return this.#steps.length;
  }

  get oldest(): PlannedStep | undefined {
    return this.#steps[0];
  }

  get newest(): PlannedStep | undefined {
    return this.#steps.at(-1);
  }

  /** Of all steps, the oldest first. */
  get parts(): PlannedPart[] {
    return this.#steps.flatMap(({ parts }) => parts);
  }

  get nextStepId(): number {
    return this.#plannedId + 1;
  }

  /** Steps are among them that the ranks may not run. */
  get isRun(): boolean {
    return this.#steps.some(({ isGranted }) => isGranted);
  }

  /** Sends a draft's step and those that it grants. @returns the parts of the draft's own step */
  send(draft: StepDraft, numGrantedSteps: number, size: StepSize, isCertain: boolean): PlannedPart[] {
    const own = draft.send();
    this.#steps.push({ stepId: ++this.#plannedId, isGranted: false, isCertain, parts: own, size });
    const grantedSize = { ...size, numTokens: own.length, numDecodes: own.length };
    for (let i = 0; i < numGrantedSteps; i++) {
      const parts = draft.sendNext();
      this.#steps.push({ stepId: ++this.#plannedId, isGranted: true, isCertain: false, parts, size: grantedSize });
    }
    return own;
  }

  /** Whether a result is of a step that has one already. */
  isTaken(stepId: number): boolean {
    return stepId <= this.#takenId;
  }

  /** The step of a result. When its run ended with it early, what was planned behind is in flight no longer. */
  take({ stepId, runsOn }: StepResult): PlannedStep {
    assert(stepId <= this.#plannedId, () => `step ${stepId} was never planned`);
    const step = this.#steps.shift();
    assert(step?.stepId === stepId, () => `a result of step ${stepId} came, expected: ${step?.stepId ?? "none"}`);
    this.#takenId = stepId;
    const isRunLeft = this.oldest?.isGranted === true;
    assert(isRunLeft || !runsOn, () => `step ${stepId} goes on without a grant`);
    if (!isRunLeft || runsOn) return step;
    for (const { parts } of this.#steps.splice(0)) for (const part of parts) arrive(part);
    for (const part of step.parts) returnTo(part);
    return step;
  }

  /** A new epoch: what was in flight is lost, and ids begin anew. */
  reset(): void {
    this.#steps.length = 0;
    this.#plannedId = this.#takenId = 0;
  }
}
