import { Random } from "./random.js";

/** One request of a trace: when it comes and how long it is. What it says is not in a trace. */
export interface TraceRequest {
  /** Milliseconds after the trace begins; ascending over a trace. */
  atMs: number;
  numPromptTokens: number;
  numOutputTokens: number;
  /** One for each block of PREFIX_BLOCK prompt tokens, where known: equal ids are equal tokens. */
  prefixIds: readonly number[];
}

export type Trace = readonly TraceRequest[];

/** Tokens of a prompt that one prefix id stands for, as in the traces that have them. */
export const PREFIX_BLOCK = 512;

/** Requests a second over the time in which they come; Infinity when all come at once. */
export function rateOf(trace: Trace): number {
  const lastMs = trace.at(-1)?.atMs ?? 0;
  return lastMs === 0 ? Infinity : (1_000 * (trace.length - 1)) / lastMs;
}

/** The same requests in the same order at another mean rate, requests a second; Infinity: all at once. */
export function atRate(trace: Trace, rate: number): Trace {
  const factor = rate === Infinity ? 0 : rateOf(trace) / rate;
  return trace.map((request) => ({ ...request, atMs: request.atMs * factor }));
}

/**
 * Token ids for the prompt of request `index`, the same for the same seed. Blocks of equal prefix ids are equal; everything else is
 * unlike all other requests.
 */
export function promptTokensOf(
  { numPromptTokens, prefixIds }: TraceRequest,
  index: number,
  vocabSize: number,
  seed: number,
): Int32Array {
  const tokenIds = new Int32Array(numPromptTokens);
  for (let begin = 0; begin < numPromptTokens; begin += PREFIX_BLOCK) {
    const prefixId = prefixIds[begin / PREFIX_BLOCK];
    const block = new Random(prefixId === undefined ? mixed(seed, 2 * index + 1, begin) : mixed(seed, 2 * prefixId, 0));
    const end = Math.min(numPromptTokens, begin + PREFIX_BLOCK);
    for (let at = begin; at < end; at++) tokenIds[at] = block.integer(0, vocabSize - 1);
  }
  return tokenIds;
}

function mixed(...parts: number[]): number {
  return parts.reduce((state, part) => Math.imul(state ^ part, 0x9e3779b1) ^ (state >>> 15), 0x2545f491);
}
