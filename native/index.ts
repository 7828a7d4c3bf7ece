import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { MoesaicError } from "../proto/errors.js";
import type { Binding } from "./binding.js";

/**
 * The native addon, loaded at the first call. Whatever a function throws or rejects with is a MoesaicError.
 * @throws MoesaicError failed_precondition when the addon was not built
 */
export const native: Binding = {
  deviceProperties: wrapped("deviceProperties"),
  cudaDevices: wrapped("cudaDevices"),
  measureReadBandwidth: wrappedAsync("measureReadBandwidth"),
  measureGpuCopy: wrappedAsync("measureGpuCopy"),
  measureHostToDevice: wrappedAsync("measureHostToDevice"),
  measureFileReads: wrappedAsync("measureFileReads"),
  measureCopy: wrappedAsync("measureCopy"),
  measureSocket: wrappedAsync("measureSocket"),
  measureCollectives: wrappedAsync("measureCollectives"),
  openPackage: wrapped("openPackage"),
  describeProgram: wrapped("describeProgram"),
  surveyKernels: wrapped("surveyKernels"),
  openEngine: wrapped("openEngine"),
  listenDataPlane: wrapped("listenDataPlane"),
  dataPlaneAddresses: wrapped("dataPlaneAddresses"),
  closeDataPlane: wrapped("closeDataPlane"),
  connectEngine: wrappedAsync("connectEngine"),
  loadWeights: wrappedAsync("loadWeights"),
  loadDummyWeights: wrappedAsync("loadDummyWeights"),
  step: wrappedAsync<"step">("step"),
  endGrants: wrapped("endGrants"),
  profileStep: wrappedAsync("profileStep"),
  followLead: wrappedAsync("followLead"),
  endEpoch: wrappedAsync("endEpoch"),
  abortEngine: wrapped("abortEngine"),
  collectiveStats: wrapped("collectiveStats"),
  progress: wrapped("progress"),
  stepTimes: wrapped("stepTimes"),
  expertTokens: wrapped("expertTokens"),
  closeEngine: wrapped("closeEngine"),
  writeBuffer: wrapped("writeBuffer"),
  readBuffer: wrapped("readBuffer"),
};

/** Absolute path of a kernel package of this build: `reference`, `cpu`, or another publisher's beside them. */
export function packagePath(name: string): string {
  return join(nativeFolder(), `libmoesaic_kernels_${name}.so`);
}

/** Names of the kernel packages of this build, and of those that were put beside them. */
export function installedPackages(): string[] {
  const names = readdirSync(nativeFolder()).map((file) => /^libmoesaic_kernels_(.+)\.so$/.exec(file)?.[1]);
  return names.filter((name) => name !== undefined).toSorted();
}

let loaded: Binding | undefined;

function load(): Binding {
  if (loaded !== undefined) return loaded;
  const file = join(nativeFolder(), "moesaic.node");
  if (!existsSync(file)) {
    const advice =
      "run npx moesaic build (in a checkout: npm run build), or point MOESAIC_NATIVE_DIR at the folder that holds it";
    throw new MoesaicError("failed_precondition", `the native addon is not built (${file} is absent); ${advice}`);
  }
  try {
    loaded = createRequire(import.meta.url)(file) as Binding;
    return loaded;
  } catch (error) {
    throw new MoesaicError("failed_precondition", `${file} cannot be loaded here; run npx moesaic build`, {
      cause: error,
    });
  }
}

/** The build folder of the package that this file is part of, wherever it was compiled or bundled to. */
function nativeFolder(): string {
  const configured = process.env["MOESAIC_NATIVE_DIR"];
  if (configured !== undefined && configured !== "") return configured;
  const here = dirname(fileURLToPath(import.meta.url));
  let root = here;
  while (!existsSync(join(root, "package.json")) && dirname(root) !== root) root = dirname(root);
  return join(root, "build", "native", "out");
}

function wrapped<Name extends keyof Binding>(name: Name): Binding[Name] {
  const call = (...args: unknown[]): unknown => {
    try {
      return invoke(name, args);
    } catch (error) {
      throw MoesaicError.from(error);
    }
  };
  return call as Binding[Name];
}

/**
 * As wrapped, for functions that return promises: these reject and never throw. Not an async function, which would keep
 * its arguments, and with them the engine's handle, from the garbage collector until the promise is settled.
 */
function wrappedAsync<Name extends keyof Binding>(name: Name): Binding[Name] {
  const call = (...args: unknown[]): Promise<unknown> => {
    try {
      return (invoke(name, args) as Promise<unknown>).catch(rethrow);
    } catch (error) {
      return Promise.reject(MoesaicError.from(error));
    }
  };
  return call as Binding[Name];
}

function invoke(name: keyof Binding, args: unknown[]): unknown {
  return (load()[name] as (...args: unknown[]) => unknown)(...args);
}

function rethrow(error: unknown): never {
  throw MoesaicError.from(error);
}
