import { z } from "zod";
import { systemClock, type Clock } from "../clock.js";
import type { Logger } from "../log.js";
import type { Bus, KeyValue, KvEntry, KvWatch } from "./bus.js";
import { clusterNameField, grpcAddressField, hostIdField, idField, versionField } from "./bus-fields.js";
import { checkRecord, decodeRecord, encodeRecord } from "./bus-record.js";
import { KeptKey } from "./kept-key.js";

/** A worker without a rank, and what it could hold. */
export interface SpareOffer {
  clusterName: string;
  /** Of this process. */
  workerId: string;
  hostId: string;
  device: "cpu" | "cuda";
  /** What the device could give to weights and KV cache. */
  memoryBytesFree: number;
  version: string;
}

/** Who took the spare, and where it is to attach. */
export interface SpareClaim {
  coordinatorId: string;
  /** HOST:PORT */
  grpcAddress: string;
}

/** An offer as it is on the bus; at most one claim is ever written to it. */
export interface SpareRecord extends SpareOffer {
  claim: SpareClaim | null;
}

export interface OfferedSpare {
  /** Resolves when a coordinator has claimed the spare; null when it was withdrawn or the bus closed before. */
  readonly claimed: Promise<SpareClaim | null>;
  /** A coordinator may have claimed it a moment before: see `claimed`. */
  withdraw(): Promise<void>;
}

/**
 * Offers a worker until a coordinator claims it or `withdraw`. A worker that dies is forgotten after SPARE_TTL_MS.
 * @throws MoesaicError invalid_argument
 */
export function offerSpare(
  bus: Bus,
  offer: SpareOffer,
  { clock = systemClock, log }: { clock?: Clock; log: Logger },
): OfferedSpare {
  const record = checkRecord({ ...offer, claim: null }, spareSchema, "offer");
  return new Offered(bus, record, clock, log);
}

class Offered implements OfferedSpare {
  readonly claimed: Promise<SpareClaim | null>;
  readonly #kv: KeyValue;
  readonly #key: string;
  readonly #watch: KvWatch;
  readonly #kept: KeptKey;
  #settle: (claim: SpareClaim | null) => void = () => {};

  constructor(bus: Bus, record: SpareRecord, clock: Clock, log: Logger) {
    this.claimed = new Promise((resolve) => (this.#settle = resolve));
    this.#kv = spareBucket(bus);
    this.#key = spareKey(record);
    this.#watch = this.#kv.watch(this.#key);
    this.#kept = new KeptKey({
      bus,
      kv: this.#kv,
      key: this.#key,
      value: encodeRecord(record),
      intervalMs: SPARE_TTL_MS / 3,
      clock,
      log,
      onOther: (entry) => !this.#takeClaim(entry),
    });
    void this.#follow(log);
  }

  async withdraw(): Promise<void> {
    await this.#kept.stop();
    const left = await this.#kv.get(this.#key).catch(() => null);
    if (left !== null) this.#takeClaim(left);
    this.#watch.stop();
    this.#settle(null);
  }

  /** The watch tells of a claim at once; without it the next write of the key would find it. */
  async #follow(log: Logger): Promise<void> {
    try {
      for await (const { value, revision } of this.#watch) {
        if (value !== null && this.#takeClaim({ key: this.#key, value, revision })) break;
      }
    } catch (caught) {
      log.warn({ err: String(caught) }, "spare's key could not be watched; claims are noticed at the next write");
      return;
    }
    this.#settle(null);
  }

  /** @returns false when the entry is no claim; a claim is answered by deleting the key */
  #takeClaim({ value, revision }: KvEntry): boolean {
    const claim = decodeRecord(value, spareSchema)?.claim ?? null;
    if (claim === null) return false;
    this.#settle(claim);
    this.#watch.stop();
    void this.#kept.stop();
    void this.#kv.delete(this.#key, revision).catch(() => {
      // It expires.
    });
    return true;
  }
}

export function spareBucket(bus: Bus): KeyValue {
  return bus.kv("moesaic_spares", { ttlMs: SPARE_TTL_MS });
}

export function spareKey({ clusterName, workerId }: Pick<SpareOffer, "clusterName" | "workerId">): string {
  return `${clusterName}.${workerId}`;
}

export const spareSchema = z.object({
  clusterName: clusterNameField,
  workerId: idField,
  hostId: hostIdField,
  device: z.enum(["cpu", "cuda"]),
  memoryBytesFree: z.int().nonnegative(),
  version: versionField,
  claim: z.object({ coordinatorId: idField, grpcAddress: grpcAddressField }).nullable(),
});

/** How long a spare that died is still offered, milliseconds. */
export const SPARE_TTL_MS = 15_000;
