import { once } from "node:events";
import type { Writable } from "node:stream";

/**
 * Standard output: results only. A reader that went away (`moesaic … | head -1`) is no error: what comes later is
 * dropped, and `onClosed` tells the command that it may stop.
 */
export class Output {
  onClosed: () => void = () => {};
  /** Whether a person looks at it. */
  readonly isTerminal: boolean;
  readonly #stream: Writable;
  #isClosed = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    this.isTerminal = "isTTY" in stream && stream.isTTY === true;
    stream.on("error", () => this.#close());
  }

  /** Resolves when the reader has room for more. */
  async write(text: string): Promise<void> {
    if (this.#isClosed || this.#stream.write(text)) return;
    const settled = new AbortController();
    const events = ["drain", "close"].map((name) => once(this.#stream, name, { signal: settled.signal }));
    await Promise.race(events).catch(() => this.#close());
    settled.abort();
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value));
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.onClosed();
  }
}
