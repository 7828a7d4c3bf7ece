import { native } from "../native/index.js";

/** More than any cache holds, and read in well under a second. */
const BYTES = 1024 * 2 ** 20;
const REPEATS = 5;

/** Bytes per second that the first GPU reads and writes in its memory. */
export function gpuBandwidth(): Promise<number> {
  return native.measureGpuCopy(BYTES, REPEATS);
}

/** Bytes per second that so many threads of this process read from memory: the ceiling of decoding. */
export function readBandwidth(numThreads: number): Promise<number> {
  const { memoryBytes } = native.deviceProperties();
  // A small machine is measured with what it can spare.
  return native.measureReadBandwidth(numThreads, Math.min(BYTES, Math.floor(memoryBytes / 8)), REPEATS);
}

/** Bytes per second from this machine's memory to the first GPU's. */
export function hostToDeviceBandwidth(): Promise<number> {
  return native.measureHostToDevice(BYTES / 4, REPEATS);
}
