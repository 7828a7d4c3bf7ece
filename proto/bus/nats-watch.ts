import type { KV, KvEntry as NatsEntry, QueuedIterator } from "nats";
import { systemClock } from "../clock.js";
import { BoundedQueue } from "./bounded-queue.js";
import { MAX_KEYS, type KvChange, type KvWatch } from "./bus.js";
import { within } from "./deadline.js";
import { changeBytes } from "./key-value-change.js";
import { fromNats } from "./nats-errors.js";
import type { NatsLink } from "./nats-link.js";

/**
 * Watches `pattern` until the reader leaves or the bus is closed. A server that restarts forgets who watched, and the
 * package would notice only after missed heartbeats: the watch is made anew as soon as the connection is back.
 */
export function watchNats(link: NatsLink, open: () => Promise<KV>, pattern: string): KvWatch {
  const watch = new NatsWatch(link, open, pattern);
  void watch.run();
  return { stop: () => watch.queue.end(), [Symbol.asyncIterator]: () => watch.queue };
}

class NatsWatch {
  readonly queue: BoundedQueue<KvChange>;
  readonly #link: NatsLink;
  readonly #open: () => Promise<KV>;
  readonly #pattern: string;
  /** Ends whatever is waited for now: the changes, the connection, the next attempt. */
  #interrupt = (): void => {};

  constructor(link: NatsLink, open: () => Promise<KV>, pattern: string) {
    this.#link = link;
    this.#open = open;
    this.#pattern = pattern;
    const stopListening = link.state.onState((state) => {
      if (state === "closed") this.queue.end();
      this.#interrupt();
    });
    this.queue = new BoundedQueue({
      maxQueued: MAX_KEYS,
      keyOf: ({ key }) => key,
      bytesOf: changeBytes,
      onEnd: () => {
        stopListening();
        this.#interrupt();
      },
    });
  }

  async run(): Promise<void> {
    while (!this.queue.isEnded) {
      if (this.#link.state.state !== "connected") {
        await this.#pause(null);
        continue;
      }
      await this.#attempt();
      if (!this.queue.isEnded && this.#link.state.state === "connected") await this.#pause(RETRY_DELAY_MS);
    }
  }

  /** Follows the changes until it is interrupted; only what no retry can mend ends the watch. */
  async #attempt(): Promise<void> {
    try {
      await this.#follow();
    } catch (caught) {
      const error = fromNats(caught, `watch ${this.#pattern}`);
      if (error.code === "failed_precondition") return this.queue.end(error);
      this.#link.log.debug({ pattern: this.#pattern, err: error.message }, "watch failed and is made again");
    }
  }

  async #follow(): Promise<void> {
    let isWanted = true;
    this.#interrupt = () => (isWanted = false);
    const changes = await this.#openWatch();
    this.#interrupt = () => changes.stop();
    if (!isWanted) return changes.stop();
    for await (const change of changes) this.queue.push(toChange(change));
  }

  async #openWatch(): Promise<QueuedIterator<NatsEntry>> {
    const opening = this.#open().then((kv) => kv.watch({ key: this.#pattern }));
    try {
      return await within(systemClock, OPEN_TIMEOUT_MS, `opening the watch ${this.#pattern}`, opening);
    } catch (caught) {
      opening.then(
        (late) => late.stop(),
        () => {},
      );
      throw caught;
    }
  }

  /** @param delayMs null: until interrupted */
  #pause(delayMs: number | null): Promise<void> {
    return new Promise((resolve) => {
      const cancel = delayMs === null ? (): void => {} : systemClock.setTimer(delayMs, resolve);
      this.#interrupt = () => {
        cancel();
        resolve();
      };
    });
  }
}

function toChange({ key, value, revision, operation }: NatsEntry): KvChange {
  return { key, value: operation === "PUT" ? value : null, revision };
}

const OPEN_TIMEOUT_MS = 5000;
const RETRY_DELAY_MS = 250;
