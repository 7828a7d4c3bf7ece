import { dirname, join } from "node:path";

import { packagePath } from "../index.js";

/** For tests: the package of awkward_package.cc, or the same one claiming another ABI version. */
export function awkwardPackagePath(variant: "awkward" | "awkward_abi" = "awkward"): string {
  return join(dirname(packagePath("reference")), "test", `libmoesaic_kernels_${variant}.so`);
}
