import { MoesaicError } from "../../proto/errors.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import type { StepExecutor } from "../engine-loop.js";
import type { Replica } from "./replica.js";

/** A replica as the engine loop runs steps on it. */
export class ReplicaExecutor implements StepExecutor {
  readonly #replica: Replica;
  #waiting: { resolve: (epoch: number) => void; reject: (error: MoesaicError) => void }[] = [];

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  step(plan: StepPlan): Promise<StepResult> {
    return this.#replica.step(plan);
  }

  whenReady(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.replicaChanged();
    });
  }

  /** To be called on every change of the replica. */
  replicaChanged(): void {
    const { state, reason, epoch } = this.#replica;
    if (state === "ready") for (const { resolve } of this.#waiting.splice(0)) resolve(epoch);
    if (state !== "failed" && state !== "closed") return;
    const error = new MoesaicError(state === "failed" ? "failed_precondition" : "unavailable", reason);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
