import type { KvChange } from "./bus.js";

/** Bytes that a waiting change takes, with a guess at what the key and the object take. */
export function changeBytes({ value }: KvChange): number {
  return 256 + (value?.byteLength ?? 0);
}
