import { z } from "zod";
import { systemClock, type Clock } from "../clock.js";
import { MoesaicError } from "../errors.js";
import type { Logger } from "../log.js";
import type { Bus, KeyValue, KvEntry, KvWatch } from "./bus.js";
import { clusterNameField, grpcAddressField, idField, versionField } from "./bus-fields.js";
import { checkRecord, decodeRecord, encodeRecord } from "./bus-record.js";
import { checkTimeout } from "./deadline.js";
import { KeptKey } from "./kept-key.js";

/** Where the coordinator of a cluster is. Whoever dials it must still prove it by TLS: anyone on the bus can write this. */
export interface CoordinatorAnnouncement {
  clusterName: string;
  /** Of this process, not reused by its successor. */
  coordinatorId: string;
  /** HOST:PORT, as workers reach it. */
  grpcAddress: string;
  /** Of the product, such as 0.1.0. */
  version: string;
}

/**
 * Announces a coordinator until `stop`, which takes the announcement back; a coordinator that dies is forgotten after
 * ANNOUNCEMENT_TTL_MS. The one that announced last is found: with standbys only the holder of the lease may announce.
 * @throws MoesaicError invalid_argument
 */
export function announceCoordinator(
  bus: Bus,
  announcement: CoordinatorAnnouncement,
  { clock = systemClock, log }: { clock?: Clock; log: Logger },
): { stop(): Promise<void> } {
  const checked = checkRecord(announcement, announcementSchema, "announcement");
  const { clusterName } = checked;
  const value = encodeRecord(checked);
  const onOther = ({ value: theirs }: KvEntry): void => {
    const other = decodeRecord(theirs, announcementSchema)?.coordinatorId ?? "unknown";
    log.warn({ clusterName, other }, "another coordinator announced the same cluster; its announcement was replaced");
  };
  const intervalMs = ANNOUNCEMENT_TTL_MS / 3;
  return new KeptKey({ bus, kv: bucketOf(bus), key: clusterName, value, intervalMs, clock, log, onOther });
}

/**
 * The coordinator that is announced for `clusterName`, waited for if need be, through outages of the bus as well.
 * @throws MoesaicError deadline_exceeded when none is announced in time, invalid_argument
 */
export async function discoverCoordinator(
  bus: Bus,
  clusterName: string,
  timeoutMs: number,
  clock: Clock = systemClock,
): Promise<CoordinatorAnnouncement> {
  checkTimeout(timeoutMs);
  checkRecord(clusterName, clusterNameField, "clusterName");
  const watch = bucketOf(bus).watch(clusterName);
  const cancel = clock.setTimer(timeoutMs, () => watch.stop());
  try {
    const found = await firstAnnouncement(watch, clusterName);
    if (found !== null) return found;
  } finally {
    cancel();
    watch.stop();
  }
  throw notAnnounced(bus, clusterName, timeoutMs);
}

async function firstAnnouncement(watch: KvWatch, clusterName: string): Promise<CoordinatorAnnouncement | null> {
  for await (const { value } of watch) {
    const announcement = value === null ? null : decodeRecord(value, announcementSchema);
    if (announcement?.clusterName === clusterName) return announcement;
  }
  return null;
}

function notAnnounced(bus: Bus, clusterName: string, timeoutMs: number): MoesaicError {
  return new MoesaicError(
    "deadline_exceeded",
    `no coordinator of the cluster ${clusterName} announced itself on the bus ${bus.name} (${bus.state}) within ` +
      `${timeoutMs} ms: see that it is up with the same bus and metadata.name, or give its address`,
  );
}

function bucketOf(bus: Bus): KeyValue {
  return bus.kv("moesaic_coordinators", { ttlMs: ANNOUNCEMENT_TTL_MS });
}

const announcementSchema = z.object({
  clusterName: clusterNameField,
  coordinatorId: idField,
  grpcAddress: grpcAddressField,
  version: versionField,
});

/** How long a coordinator that died is still found, milliseconds. */
export const ANNOUNCEMENT_TTL_MS = 15_000;
