import { MoesaicError } from "../../proto/errors.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import type { StepExecutor } from "../engine-loop.js";
import type { PlacementPolicy } from "./placement.js";
import type { Replica } from "./replica.js";

/** A replica as the engine loop runs steps on it: chooses each step's token placement and learns from its time. */
export class ReplicaExecutor implements StepExecutor {
  readonly #replica: Replica;
  readonly #placement: PlacementPolicy;
  #waiting: { resolve: (epoch: number) => void; reject: (error: MoesaicError) => void }[] = [];

  constructor(replica: Replica, placement: PlacementPolicy) {
    this.#replica = replica;
    this.#placement = placement;
  }

  async step(plan: StepPlan, onResult: (result: StepResult) => void): Promise<void> {
    plan.tokenPlacement = this.#placement.choose(plan.tokenIds.length);
    await this.#replica.step(plan, (result) => {
      // In a granted step every sequence has one token.
      const numTokens = result.stepId === plan.stepId ? plan.tokenIds.length : plan.seqRows.length;
      this.#placement.measured(numTokens, plan.tokenPlacement, result.engineUs / 1_000);
      onResult(result);
    });
  }

  endGrants(): void {
    this.#replica.endGrants();
  }

  whenReady(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.replicaChanged();
    });
  }

  get runAheadMax(): number {
    return this.#replica.runAheadMax;
  }

  get takesMasks(): boolean {
    return this.#replica.takesMasks;
  }

  get reason(): string {
    return this.#replica.reason;
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
