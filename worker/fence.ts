import { MoesaicError } from "../proto/errors.js";

/**
 * Keeps a worker from obeying a coordinator that was succeeded without knowing it: each holder of the cluster's lease has a
 * higher fencing token than those before, and a process obeys none that is lower than the highest it has seen.
 */
export class Fence {
  #highest = 0;

  /** @param token 0 from a coordinator without fencing, which passes   @throws MoesaicError failed_precondition */
  pass(token: number): void {
    if (token !== 0 && token < this.#highest) {
      throw new MoesaicError(
        "failed_precondition",
        `fencing: this coordinator's lease has token ${token}, and this worker has obeyed one with token ` +
          `${this.#highest}: another coordinator of the cluster came after it; end the older coordinator, or start this ` +
          "worker again if the bus lost its JetStream directory",
      );
    }
    this.#highest = Math.max(this.#highest, token);
  }
}
