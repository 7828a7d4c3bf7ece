import type { Bus } from "../../proto/bus/bus.js";
import { decodeRecord, encodeRecord } from "../../proto/bus/bus-record.js";
import {
  spareBucket,
  spareKey,
  spareSchema,
  type SpareClaim,
  type SpareOffer,
  type SpareRecord,
} from "../../proto/bus/spare.js";

/**
 * Claims one spare of the cluster that `accepts`, the one with the least memory first, for whoever asked. Of any number
 * of coordinators that want the same spare exactly one gets it; it then attaches to `claim.grpcAddress` by itself.
 * @returns null when there is none
 * @throws MoesaicError unavailable, deadline_exceeded (the spare may then be claimed: it comes, or expires)
 */
export async function claimSpare(
  bus: Bus,
  clusterName: string,
  claim: SpareClaim,
  accepts: (offer: SpareOffer) => boolean,
): Promise<SpareOffer | null> {
  // A spare that renews its offer at this moment escapes a claim; it is there in the next round.
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const spares = (await readSpares(bus, clusterName)).filter(
      ({ record }) => record.claim === null && accepts(record),
    );
    if (spares.length === 0) return null;
    for (const { record, revision } of spares) {
      const claimed = encodeRecord({ ...record, claim });
      if ((await spareBucket(bus).update(spareKey(record), claimed, revision)) !== null) return offerOf(record);
    }
  }
  return null;
}

/** Spares of the cluster that nobody has claimed, the one with the least memory first. */
export async function listSpares(bus: Bus, clusterName: string): Promise<SpareOffer[]> {
  const spares = await readSpares(bus, clusterName);
  return spares.filter(({ record }) => record.claim === null).map(({ record }) => offerOf(record));
}

/** What is no offer, or lies about its own key, is passed over. */
async function readSpares(bus: Bus, clusterName: string): Promise<{ record: SpareRecord; revision: number }[]> {
  const entries = await spareBucket(bus).list(`${clusterName}.*`);
  return entries
    .flatMap(({ key, value, revision }) => {
      const record = decodeRecord(value, spareSchema);
      return record !== null && spareKey(record) === key ? [{ record, revision }] : [];
    })
    .toSorted((a, b) => a.record.memoryBytesFree - b.record.memoryBytesFree);
}

function offerOf({ clusterName, workerId, hostId, device, memoryBytesFree, version }: SpareRecord): SpareOffer {
  return { clusterName, workerId, hostId, device, memoryBytesFree, version };
}

const MAX_ROUNDS = 3;
