import { deviceOf, precisionOf, reasonAgainstGpus, type ClusterSpec, type ThisMachine } from "./cluster-spec.js";

/** One thing about the engines that was decided, by whoever wrote the cluster or for want of it; to be told once. */
export interface EngineChoice {
  name: "device" | "kernels" | "precision" | "deterministic" | "dequantize";
  value: string;
  why: string;
}

const WRITTEN = "as asked";

/**
 * What the engines of a cluster are and why.
 * @param written with every `auto` as it is
 * @param decided the same from `withDevices`
 * @param machine that `decided` was decided for
 */
export function engineChoicesOf(written: ClusterSpec, decided: ClusterSpec, machine: ThisMachine): EngineChoice[] {
  return [
    { name: "device", value: deviceOf(decided), why: whyDevice(written, decided, machine) },
    { name: "kernels", ...kernelsOf(decided) },
    { name: "precision", value: precisionOf(decided), why: whyPrecision(decided) },
    { name: "deterministic", ...deterministicOf(decided) },
    { name: "dequantize", ...dequantizeOf(decided) },
  ];
}

function whyDevice(written: ClusterSpec, decided: ClusterSpec, machine: ThisMachine): string {
  if (written.spec.workers.every(({ device }) => device !== "auto")) return WRITTEN;
  if (deviceOf(decided) === "cuda") return "this machine has a GPU for every rank, and each is a replica by itself";
  return reasonAgainstGpus(written, machine) ?? WRITTEN;
}

function kernelsOf(decided: ClusterSpec): { value: string; why: string } {
  const { kernels } = decided.spec.engine;
  const device = deviceOf(decided);
  if (kernels !== "auto") return { value: [...kernels].join(", "), why: `${WRITTEN}; reference for what they lack` };
  const why = `the package of the device; reference for what it lacks`;
  return { value: device, why };
}

function whyPrecision(decided: ClusterSpec): string {
  const { precision } = decided.spec.engine;
  const isGpu = deviceOf(decided) === "cuda";
  if (precision === "fast") return `${WRITTEN}: inputs of matrix products and the KV cache in bf16`;
  if (precision === "exact") return `${WRITTEN}: float32 products, sums and KV cache${isGpu ? ", no TF32" : ""}`;
  return isGpu ? "a GPU has kernels for it: bf16 inputs, float32 sums" : "the CPU has kernels for float32 alone";
}

function deterministicOf(decided: ClusterSpec): { value: string; why: string } {
  const { deterministic } = decided.spec.engine;
  if (precisionOf(decided) === "exact") {
    return { value: "true", why: "in precision exact a row's bits never depend on what else is in its step" };
  }
  if (deterministic === true) return { value: "true", why: `${WRITTEN}: sums in one order, which costs speed` };
  const why = "sums may run in another order when more sequences share a step, which is faster";
  return { value: "false", why: deterministic === false ? `${WRITTEN}: ${why}` : why };
}

function dequantizeOf(decided: ClusterSpec): { value: string; why: string } {
  if (decided.spec.engine.dequantize) return { value: "true", why: `${WRITTEN}: MXFP4 experts are stored as bf16` };
  return { value: "false", why: "MXFP4 experts stay as they are: a quarter of the bytes of bf16 to read" };
}
