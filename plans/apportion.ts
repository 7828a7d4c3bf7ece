import { assert } from "../proto/errors.js";

/** [begin, end). */
export type Range = [number, number];

export function sizeOf([begin, end]: Range): number {
  return end - begin;
}

/** A range in larger units: heads as rows. */
export function scaled([begin, end]: Range, factor: number): Range {
  return [begin * factor, end * factor];
}

/**
 * Cuts [0, total) into consecutive ranges whose sizes follow `weights`, each at least `least` long. Of equal weights the
 * first get the remainder: 90 over four is 23, 23, 22, 22.
 * @param total at least `least` for each weight
 * @param weights above 0
 */
export function apportion(total: number, weights: readonly number[], least = 1): Range[] {
  assert(total >= least * weights.length, `${total} over ${weights.length} ranges`);
  const quotas = quotasOf(total, weights);
  const sizes = quotas.map((quota) => Math.max(least, Math.floor(quota)));
  takeExcess(sizes, quotas, total, least);
  giveRest(sizes, quotas, total);
  let begin = 0;
  return sizes.map((size) => [begin, (begin += size)]);
}

function quotasOf(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((part, weight) => part + weight, 0);
  return weights.map((weight) => (total * weight) / sum);
}

/** Ranges lifted to `least` are paid for by those furthest above their quota. */
function takeExcess(sizes: number[], quotas: readonly number[], total: number, least: number): void {
  let excess = sizes.reduce((sum, size) => sum + size, 0) - total;
  for (; excess > 0; excess--) {
    const above = (index: number): number => (sizes[index]! > least ? sizes[index]! - quotas[index]! : -Infinity);
    const payer = sizes.reduce((best, _, index) => (above(index) >= above(best) ? index : best), 0);
    sizes[payer]! -= 1;
  }
}

/** What flooring left over goes to the ranges furthest below their quota, the first of equals first. */
function giveRest(sizes: number[], quotas: readonly number[], total: number): void {
  const rest = total - sizes.reduce((sum, size) => sum + size, 0);
  const below = sizes.map((size, index) => ({ index, missing: quotas[index]! - size }));
  // Equal weights may give quotas that differ in their last bits.
  below.sort((a, b) => (Math.abs(a.missing - b.missing) < 1e-6 ? a.index - b.index : b.missing - a.missing));
  for (const { index } of below.slice(0, rest)) sizes[index]! += 1;
}
