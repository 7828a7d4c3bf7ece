import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CudaDeviceProperties } from "../native/binding.js";
import { usableOf } from "./this-machine.js";

const H100 = gpu("H100", 90);
const T4 = gpu("T4", 75);

describe("usableOf", () => {
  it("takes the GPUs that the kernels are for", () => {
    assert.deepEqual(usableOf({ devices: [H100, T4], missing: null }, true), { devices: [H100], missing: null });
  });

  it("says why there is none: too old, without kernels, or not there", () => {
    const why = (devices: CudaDeviceProperties[], isBuilt: boolean) => usableOf({ devices, missing: null }, isBuilt);
    assert.deepEqual(why([T4], true), { devices: [], missing: "T4 has 7.5: the cuda kernels need 8.0 or newer" });
    assert.match(why([H100], false).missing ?? "", /not built: install nvcc/);
    assert.deepEqual(usableOf({ devices: [], missing: "no driver" }, true), { devices: [], missing: "no driver" });
  });
});

function gpu(name: string, computeCapability: number): CudaDeviceProperties {
  return { name, computeCapability, numMultiprocessors: 40, memoryBytes: 2 ** 34 };
}
