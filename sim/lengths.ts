import { MoesaicError } from "../proto/errors.js";
import type { Random } from "./random.js";

/** How many tokens prompts or outputs have. */
export type Lengths =
  | { kind: "fixed"; numTokens: number }
  | { kind: "uniform"; min: number; max: number }
  /** The logarithm is normal: half of all are below the median, `sigma` is its standard deviation. */
  | { kind: "lognormal"; median: number; sigma: number };

/** What nobody's prompt has, so that a long tail does not become one request of a million tokens. */
const LONGEST = 2 ** 20;
const FORMS = "512, uniform:64:1024 or lognormal:512:0.8";

/** @throws MoesaicError invalid_argument that names the forms */
export function parseLengths(text: string): Lengths {
  const [kind = "", ...values] = text.split(":");
  const [a, b] = values.map(Number);
  if (/^\d{1,7}$/.test(text) && isLength(Number(text))) return { kind: "fixed", numTokens: Number(text) };
  if (values.length === 2 && isLength(a) && b !== undefined) {
    if (kind === "uniform" && isLength(b) && b >= a) return { kind, min: a, max: b };
    if (kind === "lognormal" && b >= 0 && b <= 5) return { kind, median: a, sigma: b };
  }
  const message = `expected tokens such as ${FORMS}, from 1 to ${LONGEST}, got ${text.slice(0, 80)}`;
  throw new MoesaicError("invalid_argument", message);
}

export function drawLength(lengths: Lengths, random: Random): number {
  if (lengths.kind === "fixed") return lengths.numTokens;
  if (lengths.kind === "uniform") return random.integer(lengths.min, lengths.max);
  const drawn = Math.round(lengths.median * Math.exp(lengths.sigma * normal(random)));
  return Math.min(LONGEST, Math.max(1, drawn));
}

/** Mean 0, variance 1 (Box and Muller). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.fraction())) * Math.cos(2 * Math.PI * random.fraction());
}

function isLength(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value >= 1 && value <= LONGEST;
}
