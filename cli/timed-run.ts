import type { MoesaicClient } from "../client/client.js";
import { MoesaicError } from "../proto/errors.js";

/** One greedy request of a fixed length as its client saw it. */
export interface TimedRun {
  tokenIds: number[];
  /** Request sent to first token received. */
  ttftMs: number;
  /** Between successive tokens, in order; 0 between those that came together. */
  gapsMs: number[];
}

/**
 * @param onToken hears how many tokens have come, at each
 * @throws MoesaicError when the run ended early
 */
export async function timedRun(
  client: MoesaicClient,
  promptTokenIds: readonly number[],
  outputLen: number,
  signal: AbortSignal,
  onToken: (count: number) => void = () => {},
): Promise<TimedRun> {
  const request = { tokenIds: promptTokenIds, sampling: { temperature: 0, ignoreEos: true, maxTokens: outputLen } };
  const startedMs = performance.now();
  const run: TimedRun = { tokenIds: [], ttftMs: 0, gapsMs: [] };
  let lastMs = startedMs;
  for await (const event of client.generate(request, { signal })) {
    if (event.type === "finish" && event.error !== null) throw event.error;
    if (event.type !== "delta") continue;
    const nowMs = performance.now();
    for (const tokenId of event.tokenIds) {
      if (run.tokenIds.length === 0) run.ttftMs = nowMs - startedMs;
      else run.gapsMs.push(nowMs - lastMs);
      lastMs = nowMs;
      run.tokenIds.push(tokenId);
      onToken(run.tokenIds.length);
    }
  }
  if (run.tokenIds.length === outputLen) return run;
  throw new MoesaicError("internal", `expected ${outputLen} tokens of a run, got ${run.tokenIds.length}`);
}

/** Seeded token ids, so that every run of a benchmark asks the same. */
export function benchPrompt(length: number, vocabSize: number, seed: number): number[] {
  let state = (seed * 2_654_435_761 + 1) % 2 ** 32;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * vocabSize);
  });
}

/** How many tokens two runs have in common before they part. */
export function numSameFirst(a: readonly number[], b: readonly number[]): number {
  const parting = a.findIndex((tokenId, index) => tokenId !== b[index]);
  return parting < 0 ? a.length : parting;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value that a part `q` of the values does not exceed. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
