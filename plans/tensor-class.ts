import { sizeOf } from "./apportion.js";
import type { WeightTensor } from "./rank-program.js";

/** What a weight is for; in the order in which they are shown. */
export const TENSOR_CLASSES = ["embedding", "attention", "router", "experts", "norms", "lm_head"] as const;

export type TensorClass = (typeof TENSOR_CLASSES)[number];

/** The class of a weight by its name in the program. */
export function classOf({ name }: Pick<WeightTensor, "name">): TensorClass {
  const last = name.split(".").at(-1) ?? name;
  if (last === "embed") return "embedding";
  if (last === "lm_head") return "lm_head";
  if (last.endsWith("norm")) return "norms";
  if (last.startsWith("router")) return "router";
  return /^(gate_up|down)/.test(last) ? "experts" : "attention";
}

/** Bytes of a weight's elements as they are stored, before a kernel's packing. */
export function storedBytes({ storedDtype, numExperts, rows, cols }: WeightTensor): number {
  return numExperts * rows * cols * BYTES_PER_ELEMENT[storedDtype];
}

/** Bytes of the slices that fill a weight, as the checkpoint has them: what is read when nothing is shared. */
export function checkpointBytes({ sourceDtype, sources }: WeightTensor): number {
  const elements = sources.map(({ experts, rows, cols }) => experts.length * sizeOf(rows) * sizeOf(cols));
  return elements.reduce((sum, count) => sum + count * BYTES_PER_ELEMENT[sourceDtype], 0);
}

/** MXFP4: half a byte, and a byte of scale for 32. */
const BYTES_PER_ELEMENT = { bf16: 2, mxfp4: 17 / 32, f32: 4 } as const;
