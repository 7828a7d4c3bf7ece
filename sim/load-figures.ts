import type { RequestRecord } from "./request-record.js";

/** What clients are promised, milliseconds; Infinity where they are promised nothing. */
export interface Objective {
  ttftMs: number;
  itlMs: number;
}

/** How a trace fared. Seconds count from the first request until the last token. */
export interface LoadFigures {
  numRequests: number;
  numRefused: number;
  seconds: number;
  outputTokensPerSecond: number;
  requestsPerSecond: number;
  /** Requests that met the objective, a second: first token in time, and 99 of 100 gaps within the promised one. */
  goodput: number;
  ttftMsP50: number;
  ttftMsP99: number;
  itlMsP50: number;
  itlMsP99: number;
}

/** The part of requests, or of gaps, that an objective is about. */
const PART = 0.99;

export function loadFigures(records: readonly RequestRecord[], objective: Objective): LoadFigures {
  const served = records.filter(({ isRefused, tokensMs }) => !isRefused && tokensMs.length > 0);
  const beginMs = Math.min(...bounds(records.map(({ sentMs }) => sentMs)));
  const endMs = Math.max(beginMs, ...bounds(served.map(({ tokensMs }) => tokensMs.at(-1)!)));
  const seconds = (endMs - beginMs) / 1_000;
  const perSecond = (count: number): number => (seconds === 0 ? 0 : count / seconds);
  const ttfts = Float64Array.from(served, ttftOf).sort();
  const gaps = gapsOf(served).sort();
  return {
    numRequests: records.length,
    numRefused: records.length - served.length,
    seconds,
    outputTokensPerSecond: perSecond(served.reduce((sum, { tokensMs }) => sum + tokensMs.length, 0)),
    requestsPerSecond: perSecond(served.length),
    goodput: perSecond(served.filter((record) => meets(record, objective)).length),
    ttftMsP50: quantileOf(ttfts, 0.5),
    ttftMsP99: quantileOf(ttfts, PART),
    itlMsP50: quantileOf(gaps, 0.5),
    itlMsP99: quantileOf(gaps, PART),
  };
}

/** Whether 99 of 100 requests and gaps kept to the objective, and none was refused. */
export function meetsObjective(
  { numRefused, ttftMsP99, itlMsP99 }: LoadFigures,
  { ttftMs, itlMs }: Objective,
): boolean {
  return numRefused === 0 && ttftMsP99 <= ttftMs && itlMsP99 <= itlMs;
}

function meets(record: RequestRecord, { ttftMs, itlMs }: Objective): boolean {
  return ttftOf(record) <= ttftMs && quantileOf(gapsOf([record]).sort(), PART) <= itlMs;
}

function ttftOf({ sentMs, tokensMs }: RequestRecord): number {
  return tokensMs[0]! - sentMs;
}

function gapsOf(records: readonly RequestRecord[]): Float64Array {
  const gaps = new Float64Array(records.reduce((sum, { tokensMs }) => sum + tokensMs.length - 1, 0));
  let count = 0;
  for (const { tokensMs } of records) {
    for (let index = 1; index < tokensMs.length; index++) gaps[count++] = tokensMs[index]! - tokensMs[index - 1]!;
  }
  return gaps;
}

/** The value that a part `q` of the sorted values does not exceed; 0 of none. */
function quantileOf(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

/** Least and greatest, since so many arguments as a trace has requests are too many for a call. */
function bounds(values: readonly number[]): number[] {
  if (values.length === 0) return [];
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}
