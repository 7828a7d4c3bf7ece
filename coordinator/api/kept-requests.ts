import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";

type GenerateEvent = v1.GenerateEvent.$Properties;

/** How long a request that may be resumed runs on with nobody who reads, milliseconds. */
const GRACE_MS = 30_000;
/** How long the events of one that has ended are kept, milliseconds. */
const KEPT_MS = 60_000;
/** Most that is kept of all requests together, in events, prompt tokens and alternatives; those that ended first go first. */
const KEPT_SIZE_MAX = 500_000;

/** How a request comes to be run, and what tells it from another of the same id. */
export interface KeptStart {
  requestId: string;
  /** Requests of different tenants have nothing to do with each other. */
  tenant: string;
  /** Equal for a request that is sent again. */
  fingerprint: string;
  /** Begins to generate; the signal ends it. */
  run(signal: AbortSignal): AsyncIterable<GenerateEvent>;
}

/**
 * Requests that may be resumed: what each generates is kept, so that a client whose stream was cut reads on where it was. A request
 * that comes twice is generated once, and both read it.
 */
export class KeptRequests {
  readonly #clock: Clock;
  /** In the order in which they came. */
  readonly #requests = new Map<string, KeptRequest>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The events after `afterOffset` of each choice: those that are kept, then the others as they come.
   * @throws MoesaicError failed_precondition when another request has the id; not_found when there is nothing to resume
   */
  read(start: KeptStart, afterOffset: number, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    const key = keyOf(start.tenant, start.requestId);
    const known = this.#requests.get(key);
    if (known !== undefined && known.fingerprint !== start.fingerprint) throw otherRequest(start.requestId);
    if (known === undefined && afterOffset > 0) throw nothingKept(start.requestId);
    return (known ?? this.#start(key, start)).read(afterOffset, signal);
  }

  /** Ends a request now. @returns false when there is none */
  cancel(tenant: string, requestId: string): boolean {
    const request = this.#requests.get(keyOf(tenant, requestId));
    request?.end();
    return request !== undefined;
  }

  #start(key: string, start: KeptStart): KeptRequest {
    const forget = () => void this.#requests.delete(key);
    const request = new KeptRequest(start.fingerprint, this.#clock, forget, () => this.#makeRoom());
    this.#requests.set(key, request);
    void request.pump(start.run(request.signal));
    return request;
  }

  #makeRoom(): void {
    let size = 0;
    for (const request of this.#requests.values()) size += request.size;
    for (const request of this.#requests.values()) {
      if (size <= KEPT_SIZE_MAX) return;
      if (request.isIdle) {
        size -= request.size;
        request.end();
      }
    }
  }
}

class KeptRequest {
  readonly fingerprint: string;
  /** Of what is kept. */
  size = 0;
  readonly #clock: Clock;
  readonly #forget: () => void;
  readonly #onEnded: () => void;
  readonly #aborter = new AbortController();
  readonly #events: GenerateEvent[] = [];
  readonly #wakes = new Set<() => void>();
  #numReaders = 0;
  #hasEnded = false;
  #error: MoesaicError | null = null;
  #cancelTimer: () => void = () => {};

  constructor(fingerprint: string, clock: Clock, forget: () => void, onEnded: () => void) {
    this.fingerprint = fingerprint;
    this.#clock = clock;
    this.#forget = forget;
    this.#onEnded = onEnded;
  }

  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Whether it has ended and nobody reads it. */
  get isIdle(): boolean {
    return this.#hasEnded && this.#numReaders === 0;
  }

  /** Takes all events. One that fails is forgotten at once: sent again, it is tried again. */
  async pump(events: AsyncIterable<GenerateEvent>): Promise<void> {
    try {
      for await (const event of events) this.#take(event);
    } catch (caught) {
      this.#error = MoesaicError.from(caught);
    }
    this.#hasEnded = true;
    this.#cancelTimer();
    if (this.#error === null && !this.signal.aborted) this.#cancelTimer = this.#clock.setTimer(KEPT_MS, this.#forget);
    else this.#forget();
    this.#wakeAll();
    this.#onEnded();
  }

  async *read(afterOffset: number, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    this.#numReaders += 1;
    if (!this.#hasEnded) this.#cancelTimer();
    const onAbort = () => this.#wakeAll();
    signal.addEventListener("abort", onAbort);
    try {
      for (let index = 0; !signal.aborted;) {
        const event = this.#events[index];
        if (event !== undefined) {
          index += 1;
          if (Number(event.offset) > afterOffset) yield event;
        } else if (this.#hasEnded) break;
        else await this.#somethingNew();
      }
      if (this.#error !== null) throw this.#error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#left();
    }
  }

  end(): void {
    this.#cancelTimer();
    this.#aborter.abort();
    this.#forget();
  }

  #take(event: GenerateEvent): void {
    this.#events.push(event);
    this.size += sizeOf(event);
    this.#wakeAll();
  }

  #left(): void {
    this.#numReaders -= 1;
    if (this.#numReaders > 0 || this.#hasEnded) return;
    this.#cancelTimer = this.#clock.setTimer(GRACE_MS, () => this.end());
  }

  #somethingNew(): Promise<void> {
    return new Promise((resolve) => this.#wakes.add(resolve));
  }

  #wakeAll(): void {
    for (const wake of this.#wakes) wake();
    this.#wakes.clear();
  }
}

function keyOf(tenant: string, requestId: string): string {
  return JSON.stringify([tenant, requestId]);
}

function sizeOf({ started, delta }: GenerateEvent): number {
  const numAlternatives = (delta?.logprobs ?? []).reduce((sum, { top }) => sum + (top?.length ?? 0), 0);
  return 1 + (started?.prompt_token_ids?.length ?? 0) + numAlternatives;
}

function otherRequest(requestId: string): MoesaicError {
  const message = `request_id: ${requestId} is that of another request; choose one that is used once`;
  return new MoesaicError("failed_precondition", message, { place: "request_id" });
}

function nothingKept(requestId: string): MoesaicError {
  const message =
    `nothing is kept of request ${requestId}: its stream was cut more than ${GRACE_MS / 1_000} s ago, it ended more than ` +
    `${KEPT_MS / 1_000} s ago, or the coordinator is another; send it again without resume_after_offset`;
  return new MoesaicError("not_found", message, { place: "resume_after_offset" });
}
