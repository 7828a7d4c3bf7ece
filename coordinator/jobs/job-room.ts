import { MoesaicError } from "../../proto/errors.js";
import type { JobLog } from "./job-log.js";

/** How many bytes all that is kept may take: jobs with their results, and objects. What comes from outside may take half. */
export class JobRoom {
  readonly #maxBytes: number;
  readonly #logs: readonly Pick<JobLog, "bytes">[];

  constructor(maxBytes: number, logs: readonly Pick<JobLog, "bytes">[]) {
    this.#maxBytes = maxBytes;
    this.#logs = logs;
  }

  /** @throws MoesaicError resource_exhausted when requests or an upload would take the room of results */
  checkInput(bytes: number): void {
    this.#check(bytes, this.#maxBytes / 2);
  }

  /** @throws MoesaicError resource_exhausted */
  checkResult(bytes: number): void {
    this.#check(bytes, this.#maxBytes);
  }

  #check(bytes: number, bound: number): void {
    const taken = this.#logs.reduce((sum, log) => sum + log.bytes, 0);
    if (taken + bytes <= bound) return;
    const text =
      `jobs and files take ${taken} bytes and may take ${bound} here; delete jobs or files, ` +
      "or raise spec.jobs.maxBytes";
    throw new MoesaicError("resource_exhausted", text);
  }
}
