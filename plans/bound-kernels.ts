/** A kernel, and the ops that it computes. */
export interface KernelOfOps {
  package: string;
  kernel: string;
  ops: string[];
}

/** What was asked for the ops before another kernel got them; kernel is null where a package has none for them. */
export interface Refusal {
  package: string;
  kernel: string | null;
  reason: string;
}

/** What native's ProgramDescription says of a bound kernel. */
export interface BoundKernel extends KernelOfOps {
  refused: Refusal[];
}

/** The same ones once, with their number, in the order of their first use. */
export function countKernels<K extends KernelOfOps>(kernels: readonly K[]): (K & { count: number })[] {
  const rows = new Map<string, K & { count: number }>();
  for (const kernel of kernels) {
    const key = JSON.stringify(kernel);
    const row = rows.get(key) ?? { ...kernel, count: 0 };
    row.count++;
    rows.set(key, row);
  }
  return [...rows.values()];
}

/** `linear + rope_kv_write`. */
export function opsText({ ops }: KernelOfOps): string {
  return ops.join(" + ");
}

/** `cpu/linear_bf16_avx512`. */
export function kernelText({ package: name, kernel }: { package: string; kernel: string | null }): string {
  return kernel === null ? name : `${name}/${kernel}`;
}

/** `cuda/linear_bf16_fast is for precision fast`. */
export function refusalText(refusal: Refusal): string {
  return `${kernelText(refusal)} ${refusal.reason}`;
}
