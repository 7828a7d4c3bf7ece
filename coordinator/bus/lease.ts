import { z } from "zod";
import { systemClock, type Clock } from "../../proto/clock.js";
import type { Bus, KeyValue, KvEntry } from "../../proto/bus/bus.js";
import { clusterNameField, idField } from "../../proto/bus/bus-fields.js";
import { checkRecord, decodeRecord, encodeRecord } from "../../proto/bus/bus-record.js";
import { checkTimeout } from "../../proto/bus/deadline.js";
import { assert, MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";

export interface LeaseOptions {
  clusterName: string;
  /** Of this process, not reused by its successor. */
  holderId: string;
  /** How long a holder that died keeps others out, milliseconds. Default 10 s; the same in all processes. */
  ttlMs?: number;
  clock?: Clock;
  log: Logger;
}

/** `expired`: could not be renewed in time. `taken`: the key is gone or somebody else's. */
export type LeaseLoss = "expired" | "taken";

/**
 * The right to be the coordinator of a cluster, held by one process at a time: a key that only its holder renews.
 *
 *     ttlMs 10 s   0 ......... 2.5 ........ 5 ........ 7.5 . 8 .......... 10
 *                  write      renew      renew      renew  lost for us   gone for others
 *
 * Time counts from before a write was sent, so the holder always gives up before anyone else can begin, unless
 * its clock runs a fifth slower than the server's. A process that was stopped meanwhile does not know it yet: hence the
 * fencing token, the revision with which the lease was acquired. Every later holder's is higher, and who is told to do
 * something by a coordinator refuses a token lower than the highest it has seen. That takes a NATS server whose
 * JetStream directory outlives it.
 */
export class CoordinatorLease {
  readonly #key: string;
  readonly #holderId: string;
  readonly #ttlMs: number;
  readonly #kv: KeyValue;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #lostListeners = new Set<(loss: LeaseLoss) => void>();
  #term: Term | null = null;
  #numTerms = 0;
  #lastToken = 0;

  /** @throws MoesaicError invalid_argument */
  constructor(bus: Bus, { clusterName, holderId, ttlMs = 10_000, clock = systemClock, log }: LeaseOptions) {
    this.#key = checkRecord(clusterName, clusterNameField, "clusterName");
    this.#holderId = checkRecord(holderId, idField, "holderId");
    this.#ttlMs = ttlMs;
    this.#kv = bus.kv(`moesaic_lease_${clusterName}`, { ttlMs });
    this.#bus = bus;
    this.#clock = clock;
    this.#log = log;
  }

  /** The highest fencing token that this process was given; 0 before the first. */
  get lastToken(): number {
    return this.#lastToken;
  }

  /** The fencing token while the lease is held, by the clock, else null. Ask right before acting as the coordinator. */
  get token(): number | null {
    const term = this.#term;
    return term !== null && this.#clock.nowMs() < term.heldUntilMs ? term.token : null;
  }

  /** Called once per loss, not after `release`; the returned function ends that. */
  onLost(listener: (loss: LeaseLoss) => void): () => void {
    this.#lostListeners.add(listener);
    return () => this.#lostListeners.delete(listener);
  }

  /**
   * Takes the lease if nobody else holds it.
   * @returns the fencing token, null when another holds it
   * @throws MoesaicError unavailable, deadline_exceeded (perhaps it was ours); failed_precondition when the server forgot the tokens it gave
   */
  async tryAcquire(): Promise<number | null> {
    assert(this.#term === null, "a lease is acquired once at a time");
    const sentAtMs = this.#clock.nowMs();
    const value = this.#nextValue();
    const revision = (await this.#kv.create(this.#key, value)) ?? (await this.#takeOverOwn(value));
    if (revision === null) return null;
    this.#checkRises(revision);
    const heldUntilMs = this.#heldUntilMs(sentAtMs);
    // So slow an answer is worth nothing; what was written is our own and is written over the next time.
    if (this.#clock.nowMs() >= heldUntilMs) throw this.#tooSlow();
    this.#begin({ token: revision, revision, value, heldUntilMs });
    return revision;
  }

  /**
   * Takes the lease as soon as it can be had, through outages of the bus as well.
   * @returns the fencing token
   * @throws MoesaicError deadline_exceeded; failed_precondition as `tryAcquire`
   */
  async acquire(timeoutMs: number): Promise<number> {
    checkTimeout(timeoutMs);
    const endMs = this.#clock.nowMs() + timeoutMs;
    for (;;) {
      const token = await this.#tryThroughOutage();
      if (token !== null) return token;
      const leftMs = endMs - this.#clock.nowMs();
      if (leftMs <= 0) throw this.#notAcquired(timeoutMs);
      await this.#pause(Math.min(leftMs, this.#ttlMs / 4));
    }
  }

  /** Gives the lease back, so that another can have it at once. Where the bus is away, it expires. */
  async release(): Promise<void> {
    const term = this.#term;
    if (term === null) return;
    this.#end(term);
    await term.renewing;
    try {
      await this.#kv.delete(this.#key, term.revision);
      this.#log.info({ token: term.token }, "coordinator lease released");
    } catch (caught) {
      this.#log.warn({ token: term.token, err: MoesaicError.from(caught).message }, "coordinator lease left to expire");
    }
  }

  #begin(fields: Pick<Term, "token" | "revision" | "value" | "heldUntilMs">): void {
    const term: Term = { ...fields, renewing: Promise.resolve(), cancelRenewal: () => {}, cancelExpiry: () => {} };
    this.#term = term;
    this.#lastToken = term.token;
    this.#log.info({ token: term.token, holderId: this.#holderId }, "coordinator lease acquired");
    this.#watchExpiry(term);
    this.#renewLater(term, this.#ttlMs / 4);
  }

  #end(term: Term): void {
    term.cancelRenewal();
    term.cancelExpiry();
    this.#term = null;
  }

  #lose(term: Term, loss: LeaseLoss): void {
    if (this.#term !== term) return;
    this.#end(term);
    this.#log.warn({ token: term.token, loss }, "coordinator lease lost");
    for (const listener of [...this.#lostListeners]) listener(loss);
  }

  /** Its own timer, since a renewal may hang as long as the lease lives. */
  #watchExpiry(term: Term): void {
    term.cancelExpiry();
    const leftMs = Math.max(0, term.heldUntilMs - this.#clock.nowMs());
    term.cancelExpiry = this.#clock.setTimer(leftMs, () => this.#lose(term, "expired"));
  }

  #renewLater(term: Term, delayMs: number): void {
    term.cancelRenewal = this.#clock.setTimer(delayMs, () => (term.renewing = this.#renew(term)));
  }

  async #renew(term: Term): Promise<void> {
    const outcome = await this.#renewOnce(term).catch((caught: unknown) => {
      this.#log.debug({ err: MoesaicError.from(caught).message }, "coordinator lease was not renewed; retrying");
      return "unknown" as const;
    });
    if (this.#term !== term) return;
    if (outcome === "taken") return this.#lose(term, "taken");
    if (outcome === "renewed") this.#watchExpiry(term);
    this.#renewLater(term, this.#ttlMs / (outcome === "renewed" ? 4 : 16));
  }

  async #renewOnce(term: Term): Promise<"renewed" | "taken" | "unknown"> {
    const sentAtMs = this.#clock.nowMs();
    const revision = await this.#kv.update(this.#key, term.value, term.revision);
    if (revision === null) return this.#findOwn(term);
    term.revision = revision;
    term.heldUntilMs = this.#heldUntilMs(sentAtMs);
    return "renewed";
  }

  /** A renewal whose answer was lost leaves our own value under a revision we do not know: the next one continues there. */
  async #findOwn(term: Term): Promise<"taken" | "unknown"> {
    const entry = await this.#kv.get(this.#key);
    if (entry === null || Buffer.compare(entry.value, term.value) !== 0) return "taken";
    term.revision = entry.revision;
    return "unknown";
  }

  /** What this process wrote before it lost the lease, or did not hear of, keeps nobody safe: it is written over. */
  async #takeOverOwn(value: Uint8Array): Promise<number | null> {
    const entry = await this.#kv.get(this.#key);
    if (entry === null || holderOf(entry) !== this.#holderId) return null;
    return this.#kv.update(this.#key, value, entry.revision);
  }

  async #tryThroughOutage(): Promise<number | null> {
    try {
      return await this.tryAcquire();
    } catch (caught) {
      const error = MoesaicError.from(caught);
      if (error.code !== "unavailable" && error.code !== "deadline_exceeded") throw error;
      return null;
    }
  }

  /** Anew when the bus comes back: who held the lease before the outage takes it again at once, and goes first. */
  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        stopListening();
        resolve();
      };
      let cancel = this.#clock.setTimer(delayMs, wake);
      const stopListening = this.#bus.onState((state) => {
        cancel();
        if (state === "closed") wake();
        else cancel = this.#clock.setTimer(delayMs, wake);
      });
    });
  }

  /** Differs from term to term, so that a value read back tells whose write it was. */
  #nextValue(): Uint8Array {
    this.#numTerms += 1;
    return encodeRecord({ holderId: this.#holderId, term: this.#numTerms });
  }

  #heldUntilMs(sentAtMs: number): number {
    return sentAtMs + this.#ttlMs * 0.8;
  }

  #checkRises(token: number): void {
    if (token > this.#lastToken) return;
    throw new MoesaicError(
      "failed_precondition",
      `the bus ${this.#bus.name} gave fencing token ${token} after ${this.#lastToken}: its server lost its JetStream ` +
        "directory; give it one that outlives it (nats-server -js -sd DIR) and restart all coordinators of the cluster",
    );
  }

  #tooSlow(): MoesaicError {
    const text = `the bus ${this.#bus.name} took longer to answer than a lease of ${this.#ttlMs} ms is held`;
    return new MoesaicError("deadline_exceeded", text);
  }

  #notAcquired(timeoutMs: number): MoesaicError {
    return new MoesaicError(
      "deadline_exceeded",
      `the coordinator lease of ${this.#key} was not to be had within ${timeoutMs} ms: another coordinator holds it, or ` +
        `the bus ${this.#bus.name} (${this.#bus.state}) is away`,
    );
  }
}

interface Term {
  readonly token: number;
  readonly value: Uint8Array;
  revision: number;
  /** Of the clock; from then on the lease is not ours, whatever the server says. */
  heldUntilMs: number;
  renewing: Promise<void>;
  cancelRenewal: () => void;
  cancelExpiry: () => void;
}

function holderOf({ value }: KvEntry): string | null {
  return decodeRecord(value, holderSchema)?.holderId ?? null;
}

const holderSchema = z.object({ holderId: idField, term: z.int().positive() });
