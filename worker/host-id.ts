import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/**
 * `HOSTNAME/MARK`. The mark is of this boot and of the namespaces of shared memory: processes with equal ids see the
 * same /dev/shm, while containers of one machine that do not share it differ, whatever their host names are.
 */
export function hostId(): string {
  const facts = [
    readOrNone(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8")),
    readOrNone(() => readlinkSync("/proc/self/ns/ipc")),
    readOrNone(() => readlinkSync("/proc/self/ns/mnt")),
  ];
  return `${hostname()}/${createHash("sha256").update(facts.join("\n")).digest("hex").slice(0, 12)}`;
}

/** A system without these files has no such namespaces either. */
function readOrNone(read: () => string): string {
  try {
    return read();
  } catch {
    return "none";
  }
}
