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
  return readTimes(numThreads, BYTES, REPEATS);
}

/** The same, less exact, in an eighth of the time: for a machine that does other things meanwhile. */
export function quickReadBandwidth(numThreads: number): Promise<number> {
  return readTimes(numThreads, BYTES / 4, 2);
}

/** A small machine is measured with what it can spare. */
function readTimes(numThreads: number, bytes: number, repeats: number): Promise<number> {
  const { memoryBytes } = native.deviceProperties();
  return native.measureReadBandwidth(numThreads, Math.min(bytes, Math.floor(memoryBytes / 8)), repeats);
}

/** Bytes per second from this machine's memory to the first GPU's. */
export function hostToDeviceBandwidth(): Promise<number> {
  return native.measureHostToDevice(BYTES / 4, REPEATS);
}
