import type { v1 } from "../../proto/messages.js";
import type { Replica } from "./replica.js";
import type { Seat } from "./seat.js";

/** A seat as `status` shows it. */
export function rankStatus(seat: Seat, { transport }: Pick<Replica, "transport">): v1.RankStatus.$Properties {
  const { hello, ready, sized, progress } = seat;
  return {
    rank: seat.rank,
    host_id: hello?.host_id ?? "",
    pid: hello?.pid ?? 0,
    state: seat.state,
    device: hello?.device?.name ?? "",
    memory_bytes: hello?.device?.memory_bytes ?? 0,
    arenas: {
      weights: ready?.weights_bytes ?? 0,
      kv: ready?.kv_bytes ?? 0,
      workspace: ready?.workspace_bytes ?? 0,
    },
    load_bytes_planned: seat.loadBytesPlanned,
    load_bytes_done: seat.loadBytesDone,
    load_bytes_read: ready?.load_bytes_read ?? progress?.bytes_read ?? 0,
    load_ms: ready?.load_ms ?? 0,
    load_percent: loadPercent(seat),
    kv_block_bytes: sized?.kv_block_bytes ?? 0,
    collectives: progress?.collectives ?? [],
    progress_counter: progress?.counter ?? 0,
    last_op: progress?.op ?? "",
    rss_bytes: progress?.rss_bytes ?? 0,
    transport,
  };
}

function loadPercent({ ready, loadBytesDone, loadBytesPlanned }: Seat): number {
  if (ready !== null) return 100;
  return loadBytesPlanned === 0 ? 0 : Math.min(100, (100 * loadBytesDone) / loadBytesPlanned);
}
