import { MoesaicError } from "../proto/errors.js";
import type { v1 } from "../proto/messages.js";
import { RetryPolicy } from "./retry.js";

/** The events of one request from as many streams as it takes: none is lost, none comes twice. */
export class ResumedStream {
  /** Of the last event of each choice. */
  readonly #offsets: number[];
  #numUnfinished: number;

  constructor(numChoices: number) {
    this.#offsets = Array.from({ length: numChoices }, () => 0);
    this.#numUnfinished = numChoices;
  }

  /** Whether every choice has ended. */
  get isFinished(): boolean {
    return this.#numUnfinished === 0;
  }

  /**
   * @param open a stream of the events behind an offset
   * @throws MoesaicError what another attempt would not mend, or what it failed with again and again
   */
  async *read(
    open: (afterOffset: number) => AsyncIterable<v1.GenerateEvent>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<v1.GenerateEvent, void, undefined> {
    let retry = new RetryPolicy();
    for (;;) {
      try {
        for await (const event of open(Math.min(...this.#offsets))) {
          if (!this.#isNew(event)) continue;
          // Whoever gets on has all attempts again.
          retry = new RetryPolicy();
          yield event;
        }
        return;
      } catch (caught) {
        if (this.isFinished) return;
        await retry.pause(MoesaicError.from(caught), signal);
      }
    }
  }

  /** One offset stands for all choices, so that those that were further come again. */
  #isNew({ choice, offset, finish }: v1.GenerateEvent): boolean {
    if (offset <= this.#offsets[choice]!) return false;
    this.#offsets[choice] = offset;
    if (finish) this.#numUnfinished -= 1;
    return true;
  }
}
