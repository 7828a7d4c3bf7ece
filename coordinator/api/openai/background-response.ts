import type { MoesaicError } from "../../../proto/errors.js";
import { errorOf, type GenerateEvent } from "./generate-events.js";
import type { ConversationItem } from "./conversation-item.js";
import { ResponseRun, type ResponseEvent, type ResponseRunOptions } from "./response-run.js";

/** What is written down of a response that runs in the background, beside the job that runs it. */
export interface BackgroundFacts extends ResponseRunOptions {
  /** The conversation before it, its own input last. */
  items: readonly ConversationItem[];
  numInputItems: number;
}

/**
 * A response in the background with all of its events, so that whoever comes later, or again, reads on from where it was. It is
 * made of the events of its job's one request: as they come, or of the result that is kept. The request has a seed and its
 * events one token each, so that one that is run again, by the next coordinator, has the same events.
 */
export class BackgroundResponse {
  readonly facts: BackgroundFacts;
  #run: ResponseRun;
  #events: ResponseEvent[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(facts: BackgroundFacts) {
    this.facts = facts;
    this.#run = this.#begin();
  }

  get run(): ResponseRun {
    return this.#run;
  }

  /** @param endedAt seconds since 1970, should it be the last event */
  take(event: GenerateEvent, endedAt?: number): void {
    // Run again, since ranks were lost: it begins anew, and readers go on where the events are more than they have.
    if (event.started && this.#run.status === "in_progress") this.#run = this.#begin();
    const error = errorOf(event.finish);
    if (error === null) this.#add(this.#run.take(event, endedAt));
    else this.#add(error.code === "cancelled" ? this.#run.cancel() : this.#run.fail(error));
  }

  cancel(): void {
    this.#add(this.#run.cancel());
  }

  fail(error: MoesaicError): void {
    this.#add(this.#run.fail(error));
  }

  /** Nothing more comes to this process. Readers are told by an end without a last event. */
  leave(): void {
    for (const wake of this.#waiting) wake();
  }

  /**
   * Events behind one, those that are there and those that come, until the last of the response.
   * @param sequenceNumber -1: all of them   @param signal aborted when the reader or this coordinator leaves
   */
  async *eventsAfter(sequenceNumber: number, signal: AbortSignal): AsyncIterable<ResponseEvent[]> {
    for (let next = sequenceNumber + 1; !signal.aborted;) {
      const events = this.#events.slice(next);
      next += events.length;
      if (events.length > 0) yield events;
      else if (this.#run.isLive) await this.#more(signal);
      else {
        // Run again, and refused then: who has heard more than there is now hears the end all the same.
        if (next > this.#events.length) yield this.#events.slice(-1);
        return;
      }
    }
  }

  #begin(): ResponseRun {
    const run = new ResponseRun(this.facts);
    this.#events = run.queue();
    return run;
  }

  #add(events: readonly ResponseEvent[]): void {
    this.#events.push(...events);
    for (const wake of this.#waiting) wake();
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}
