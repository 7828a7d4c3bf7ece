import { Presets, SingleBar } from "cli-progress";
import type { Job } from "../client/job.js";
import type { CommandContext } from "./context.js";

/**
 * A bar on a terminal: requests as they are sent, then as they finish, with the speed since it was first looked at. Results that
 * are printed on the same terminal show by themselves how far it is. Ends by `stop`, which leaves no trace on the screen.
 */
export class JobProgress {
  readonly #bar: SingleBar | null;
  readonly #numSubmitted: number;
  #isStarted = false;
  #first: { ms: number; numOutputTokens: number } | null = null;

  /** @param numRequests that are to be submitted, where some are */
  constructor({ stderr, out }: Pick<CommandContext, "stderr" | "out">, numRequests = 0) {
    const format = "{state} [{bar}] {value} of {total} requests{speed}";
    const options = { format, clearOnComplete: true, hideCursor: true, stream: stderr };
    this.#bar = stderr.isTTY && !out.isTerminal ? new SingleBar(options, Presets.rect) : null;
    this.#numSubmitted = numRequests;
  }

  submitted(numSubmitted: number): void {
    this.#update(numSubmitted, this.#numSubmitted, { state: "submitting", speed: "" });
  }

  show({ state, numFinished, numRequests, numOutputTokens, reason }: Job): void {
    const nowMs = performance.now();
    this.#first ??= { ms: nowMs, numOutputTokens };
    const seconds = (nowMs - this.#first.ms) / 1_000;
    const perSecond = (numOutputTokens - this.#first.numOutputTokens) / seconds;
    const speed = seconds < 1 ? "" : `, ${Math.round(perSecond)} tokens/s`;
    this.#update(numFinished, numRequests, { state, speed: reason === "" ? speed : `: ${reason}` });
  }

  stop(): void {
    if (this.#isStarted) this.#bar?.stop();
    this.#isStarted = false;
  }

  #update(value: number, total: number, fields: { state: string; speed: string }): void {
    if (this.#bar === null) return;
    if (this.#isStarted) {
      this.#bar.setTotal(total);
      this.#bar.update(value, fields);
    } else this.#bar.start(total, value, fields);
    this.#isStarted = true;
  }
}
