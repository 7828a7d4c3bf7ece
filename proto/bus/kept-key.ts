import type { Clock } from "../clock.js";
import { MoesaicError } from "../errors.js";
import type { Logger } from "../log.js";
import type { Bus, KeyValue, KvEntry } from "./bus.js";

export interface KeptKeyOptions {
  bus: Bus;
  kv: KeyValue;
  key: string;
  value: Uint8Array;
  /** Time between two writes; a third of the bucket's ttlMs, so that two may fail. */
  intervalMs: number;
  clock: Clock;
  log: Logger;
  /** Someone else wrote the key, which is written over. */
  onOther: (entry: KvEntry) => void;
}

/**
 * A key that lives as long as its writer: written again and again, each time only over the revision written before, so
 * that what others write is seen and not lost. Failures are retried for ever; the entry expires by itself meanwhile.
 */
export class KeptKey {
  readonly #options: KeptKeyOptions;
  readonly #stopListening: () => void;
  #revision: number | null = null;
  #cancelTimer = (): void => {};
  #writing: Promise<void> | null = null;
  #isDue = false;
  #isEnded = false;
  #hasFailed = false;

  constructor(options: KeptKeyOptions) {
    this.#options = options;
    this.#stopListening = options.bus.onState((state) => {
      if (state === "connected") this.renew();
      if (state === "closed") this.#end();
    });
    this.renew();
  }

  /** Writes now rather than at the next interval; while it writes, once more afterwards. */
  renew(): void {
    if (this.#isEnded) return;
    this.#isDue = this.#writing !== null;
    if (this.#isDue) return;
    this.#cancelTimer();
    this.#writing = this.#write().finally(() => this.#written());
  }

  /** Deletes the key if it is still ours; where the bus is away it expires instead. */
  async stop(): Promise<void> {
    const wasEnded = this.#isEnded;
    this.#end();
    await this.#writing;
    if (wasEnded || this.#revision === null) return;
    await this.#options.kv
      .delete(this.#options.key, this.#revision)
      .catch((caught: unknown) => this.#logFailure(caught));
  }

  #written(): void {
    this.#writing = null;
    if (this.#isEnded) return;
    if (this.#isDue) return this.renew();
    this.#cancelTimer = this.#options.clock.setTimer(this.#options.intervalMs, () => this.renew());
  }

  #end(): void {
    this.#isEnded = true;
    this.#cancelTimer();
    this.#stopListening();
  }

  async #write(): Promise<void> {
    const { bus, key, log } = this.#options;
    if (bus.state !== "connected") return;
    try {
      await this.#writeOverOurs();
      if (this.#hasFailed) log.info({ key }, "key on the bus written again");
      this.#hasFailed = false;
    } catch (caught) {
      this.#logFailure(caught);
    }
  }

  async #writeOverOurs(): Promise<void> {
    const { kv, key, value } = this.#options;
    for (let attempt = 0; attempt < MAX_ATTEMPTS && !this.#isEnded; attempt += 1) {
      const revision =
        this.#revision === null ? await kv.create(key, value) : await kv.update(key, value, this.#revision);
      this.#revision = revision;
      if (revision !== null) return;
      await this.#meetOther();
    }
  }

  /** The entry may also be our own: a write that was taken for lost. */
  async #meetOther(): Promise<void> {
    const { kv, key, value, onOther } = this.#options;
    const entry = await kv.get(key);
    if (entry === null) return;
    const isOurs = Buffer.compare(entry.value, value) === 0;
    if (!isOurs) onOther(entry);
    this.#revision = entry.revision;
  }

  #logFailure(caught: unknown): void {
    const { log, key } = this.#options;
    const { code, message } = MoesaicError.from(caught);
    if (!this.#hasFailed) log.warn({ key, code, err: message }, "key on the bus was not written; retrying");
    this.#hasFailed = true;
  }
}

/** Each other attempt meets somebody else's write. */
const MAX_ATTEMPTS = 4;
