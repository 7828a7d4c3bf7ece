import type { Quantiles } from "./cluster-view.js";

/** More are thinned out: the quantiles of a part are those of all, nearly. */
const MAX_VALUES = 4_096;

/** Latencies of the last while, each with how often it occurred. */
export class LatencyWindow {
  readonly #lengthMs: number;
  #values: { atMs: number; ms: number; count: number }[] = [];

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
  }

  add(ms: number, atMs: number, count = 1): void {
    this.#values.push({ atMs, ms, count });
    if (this.#values.length > 2 * MAX_VALUES) this.#values = this.#values.filter((_, index) => index % 2 === 1);
  }

  /** The nearest-rank quantiles of what came from `nowMs - lengthMs` on; null: nothing did. Forgets the rest. */
  quantiles(nowMs: number): Quantiles | null {
    const oldestMs = nowMs - this.#lengthMs;
    this.#values = this.#values.filter(({ atMs }) => atMs >= oldestMs);
    const sorted = this.#values.toSorted((a, b) => a.ms - b.ms);
    const total = sorted.reduce((sum, { count }) => sum + count, 0);
    if (total === 0) return null;
    const quantile = (part: number): number => {
      let seen = 0;
      return sorted.find(({ count }) => (seen += count) >= part * total)!.ms;
    };
    return { p50: quantile(0.5), p95: quantile(0.95) };
  }
}
