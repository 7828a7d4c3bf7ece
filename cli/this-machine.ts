import { existsSync } from "node:fs";
import { isLocalHost } from "../coordinator/cluster/local-ranks.js";
import type { CudaDeviceProperties, CudaDevices } from "../native/binding.js";
import { native, packagePath } from "../native/index.js";
import type { ThisMachine } from "../plans/cluster-spec.js";

/** The least that the cuda package has kernels for: 10 * major + minor. */
const LOWEST_COMPUTE_CAPABILITY = 80;

/** GPUs that engines can use, or why there are none. */
export function usableGpus(): CudaDevices {
  return usableOf(native.cudaDevices(), existsSync(packagePath("cuda")));
}

/** @param isBuilt whether the cuda package is there */
export function usableOf({ devices, missing }: CudaDevices, isBuilt: boolean): CudaDevices {
  if (missing !== null) return { devices: [], missing };
  if (!isBuilt)
    return { devices: [], missing: "the cuda kernels are not built: install nvcc and run npx moesaic build" };
  const usable = devices.filter(({ computeCapability }) => computeCapability >= LOWEST_COMPUTE_CAPABILITY);
  return {
    devices: usable,
    missing: usable.length > 0 ? null : `${namesOf(devices)}: the cuda kernels need 8.0 or newer`,
  };
}

/** What decides where ranks run. */
export function thisMachine(): ThisMachine {
  const { devices, missing } = usableGpus();
  return { numGpus: devices.length, missing, isLocal: isLocalHost };
}

function namesOf(devices: readonly CudaDeviceProperties[]): string {
  return devices.map(({ name, computeCapability: version }) => `${name} has ${version / 10}`).join(", ");
}
