import type { ServerResponse } from "node:http";
import type { Clock } from "../../../proto/clock.js";

/** Proxies and clients give a silent connection up after half a minute and more; a long prefill is silent. */
const KEEP_ALIVE_MS = 10_000;
/** A client that takes nothing for so long is gone, or never meant to read. */
const STALL_MS = 120_000;

const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  // nginx would collect events before it passes them on.
  "x-accel-buffering": "no",
};

/** One server-sent event; `name` is for clients that dispatch by it. */
export interface SseEvent {
  name?: string;
  data: string;
}

/** A stream of server-sent events at the client's pace. Comments keep it alive while nothing is there to send. */
export class SseStream {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  #lastWriteMs = 0;
  #cancelTimer: () => void = () => {};

  /** Sends status and headers at once, the first event may be far away. */
  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response;
    this.#clock = clock;
    response.writeHead(200, HEADERS);
    response.flushHeaders();
    response.once("close", () => this.#cancelTimer());
    this.#lastWriteMs = clock.nowMs();
    this.#keepAlive(KEEP_ALIVE_MS);
  }

  /** Whether the client is gone. */
  get isClosed(): boolean {
    return this.#response.destroyed;
  }

  /** Resolves when more may be sent: at once, or when the client has taken what was sent before, or is gone. */
  async send(events: readonly SseEvent[]): Promise<void> {
    if (events.length === 0 || this.isClosed) return;
    this.#lastWriteMs = this.#clock.nowMs();
    if (!this.#response.write(events.map(textOf).join(""))) await this.#drained();
  }

  end(): void {
    this.#cancelTimer();
    this.#response.end();
  }

  #keepAlive(afterMs: number): void {
    this.#cancelTimer = this.#clock.setTimer(afterMs, () => {
      if (this.isClosed) return;
      const silentMs = this.#clock.nowMs() - this.#lastWriteMs;
      const isDue = silentMs >= KEEP_ALIVE_MS;
      // With a full buffer the client is not waiting for us.
      if (isDue && !this.#response.writableNeedDrain) this.#response.write(": keep-alive\n\n");
      if (isDue) this.#lastWriteMs = this.#clock.nowMs();
      this.#keepAlive(isDue ? KEEP_ALIVE_MS : KEEP_ALIVE_MS - silentMs);
    });
  }

  #drained(): Promise<void> {
    const response = this.#response;
    return new Promise((resolve) => {
      const cancelStall = this.#clock.setTimer(STALL_MS, () => response.destroy());
      const done = () => {
        cancelStall();
        response.off("drain", done).off("close", done);
        resolve();
      };
      response.on("drain", done).on("close", done);
    });
  }
}

function textOf({ name, data }: SseEvent): string {
  return name === undefined ? `data: ${data}\n\n` : `event: ${name}\ndata: ${data}\n\n`;
}
