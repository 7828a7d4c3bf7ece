import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { defineCommand } from "./command.js";

/** Part of the published package, beside the compiled files. */
const SCRIPT = fileURLToPath(new URL("../../scripts/build-native.mjs", import.meta.url));

export const buildCommand = defineCommand({
  usage: "build",
  describe: "build the native engine and its kernels for this machine: once, after the package was installed",
  options: {},
  examples: [
    ["build", "needs a C++20 compiler and CMake; CUDA kernels are built where nvcc is"],
    ["doctor", "afterwards: what this machine can run"],
  ],
  parse: () => null,
  async run(_, { out, signal }) {
    const child = spawn(process.execPath, [SCRIPT], { stdio: ["ignore", "inherit", "inherit"], signal });
    child.on("error", () => {});
    const [code] = (await once(child, "close")) as [number | null];
    if (signal.aborted) return 130;
    if (code !== 0) return 1;
    await out.line("the native engine is built");
    return 0;
  },
});
