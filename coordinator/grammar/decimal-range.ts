import type { AutomatonBuilder, Piece } from "./automaton-builder.js";
import { anyOf, literal, optional, repeated, sequence, symbol } from "./pieces.js";

/** Bounds of a number; an exclusive one is not reached itself. */
export interface NumberBounds {
  min?: { value: number; isExclusive: boolean };
  max?: { value: number; isExclusive: boolean };
}

const digit = symbol(0x30, 0x39);
const digitFromOne = symbol(0x31, 0x39);
/** More digits than a double can tell apart. */
const DIGITS_MAX = 18;

const plainInteger = sequence(
  optional(literal("-")),
  anyOf([literal("0"), sequence(digitFromOne, repeated(digit, 0, DIGITS_MAX - 1))]),
);
const exponent = sequence(
  anyOf([literal("e"), literal("E")]),
  optional(anyOf([literal("+"), literal("-")])),
  repeated(digit, 1, 2),
);
const plainNumber = sequence(
  plainInteger,
  optional(sequence(literal("."), repeated(digit, 1, DIGITS_MAX))),
  optional(exponent),
);

/** A JSON number; one with bounds has no exponent. null when the bounds leave none. */
export function numberPiece(bounds: NumberBounds, isInteger: boolean): Piece | null {
  if (bounds.min === undefined && bounds.max === undefined) return isInteger ? plainInteger : plainNumber;
  const limits = { min: decimalOf(bounds.min?.value), max: decimalOf(bounds.max?.value) };
  const signs = [notNegative(bounds, limits, isInteger), negative(bounds, limits, isInteger)];
  const pieces = signs.filter((piece) => piece !== null);
  return pieces.length === 0 ? null : anyOf(pieces);
}

/** A decimal without its sign: digits before the point, without leading zeros but for "0", and after it. */
interface Decimal {
  value: number;
  whole: string;
  fraction: string;
}

interface Limits {
  min: Decimal | null;
  max: Decimal | null;
}

/** Exclusive or not, of the lower and the upper end of a range of decimals. */
interface Ends {
  low: Decimal | null;
  isLowExclusive: boolean;
  high: Decimal | null;
  isHighExclusive: boolean;
  isInteger: boolean;
}

function notNegative({ min, max }: NumberBounds, limits: Limits, isInteger: boolean): Piece | null {
  if (max !== undefined && (max.value < 0 || (max.value === 0 && max.isExclusive))) return null;
  const hasLow = min !== undefined && min.value >= 0;
  return decimals({
    low: hasLow ? limits.min : null,
    isLowExclusive: hasLow && min.isExclusive,
    high: limits.max,
    isHighExclusive: max?.isExclusive ?? false,
    isInteger,
  });
}

/** The same from the other side. Minus zero is left out. */
function negative({ min, max }: NumberBounds, limits: Limits, isInteger: boolean): Piece | null {
  if (min !== undefined && min.value >= 0) return null;
  const hasLow = max !== undefined && max.value < 0;
  const piece = decimals({
    low: hasLow ? limits.max : { value: 0, whole: "0", fraction: "" },
    isLowExclusive: hasLow ? max.isExclusive : true,
    high: limits.min,
    isHighExclusive: min?.isExclusive ?? false,
    isInteger,
  });
  return piece === null ? null : sequence(literal("-"), piece);
}

function decimals(ends: Ends): Piece | null {
  const { low, high } = ends;
  const from = low?.whole.length ?? 1;
  const to = high === null ? DIGITS_MAX : high.whole.length;
  const lengths = Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
  const pieces = lengths.map((length) => decimalsOfLength(ends, length)).filter((piece) => piece !== null);
  return pieces.length === 0 ? null : anyOf(pieces);
}

/** What is known of the digits so far: equal to those of a bound, or already clear of it. */
interface Tight {
  low: boolean;
  high: boolean;
}

/** Decimals with so many digits before the point. null when there are none within the ends. */
function decimalsOfLength(ends: Ends, length: number): Piece | null {
  const tight: Tight = {
    low: ends.low?.whole.length === length,
    high: ends.high !== null && ends.high.whole.length === length,
  };
  if (!hasMember(ends, length, tight)) return null;
  return (automaton, from) => {
    const end = automaton.state();
    new DigitWriter(automaton, ends, length, end).write(from, 0, tight);
    return end;
  };
}

function hasMember(ends: Ends, length: number, tight: Tight): boolean {
  let found = false;
  const probe = { state: () => 0, edge: () => {}, jump: () => (found = true) } as unknown as AutomatonBuilder;
  new DigitWriter(probe, ends, length, 0).write(0, 0, tight);
  return found;
}

/** Writes the states of one length. Digits past those of a bound are compared with its zeros, of which one is enough. */
class DigitWriter {
  readonly #automaton: AutomatonBuilder;
  readonly #ends: Ends;
  readonly #length: number;
  readonly #end: number;
  readonly #known = new Map<string, number>();

  constructor(automaton: AutomatonBuilder, ends: Ends, length: number, end: number) {
    this.#automaton = automaton;
    this.#ends = ends;
    this.#length = length;
    this.#end = end;
  }

  /** @param place digits read so far */
  write(state: number, place: number, tight: Tight): void {
    if (place >= this.#length && this.#mayEnd(place, tight)) this.#automaton.jump(state, this.#end);
    if (place === this.#length) return this.#writePoint(state, tight);
    if (place >= this.#length + DIGITS_MAX) return;
    this.#writeDigits(state, place, tight);
  }

  #writePoint(state: number, tight: Tight): void {
    if (this.#ends.isInteger) return;
    const point = this.#automaton.state();
    this.#automaton.edge(state, 0x2e, 0x2e, point);
    this.#writeDigits(point, this.#length, tight);
  }

  #writeDigits(state: number, place: number, tight: Tight): void {
    const least = tight.low ? this.#digitOf(this.#ends.low, place) : place === 0 && this.#length > 1 ? 1 : 0;
    const most = tight.high ? this.#digitOf(this.#ends.high, place) : 9;
    for (let digit = least; digit <= most; digit++) {
      const next = { low: tight.low && digit === least, high: tight.high && digit === most };
      this.#automaton.edge(state, 0x30 + digit, 0x30 + digit, this.#stateAfter(place + 1, next));
    }
  }

  #stateAfter(place: number, tight: Tight): number {
    const key = `${place} ${tight.low} ${tight.high}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const state = this.#automaton.state();
    this.#known.set(key, state);
    this.write(state, place, tight);
    return state;
  }

  /** Whether the number may be over here: zeros follow it. */
  #mayEnd(place: number, tight: Tight): boolean {
    const { low, high, isLowExclusive, isHighExclusive } = this.#ends;
    const isAtLow = tight.low && this.#isZeroFrom(low, place);
    const isBelowLow = tight.low && !isAtLow;
    const isAtHigh = tight.high && this.#isZeroFrom(high, place);
    return !isBelowLow && !(isAtLow && isLowExclusive) && !(isAtHigh && isHighExclusive);
  }

  #digitOf(bound: Decimal | null, place: number): number {
    return Number((bound!.whole + bound!.fraction).charAt(place) || "0");
  }

  #isZeroFrom(bound: Decimal | null, place: number): boolean {
    return /^0*$/.test((bound!.whole + bound!.fraction).slice(place));
  }
}

/** The decimal of a double's shortest spelling; magnitudes only. */
function decimalOf(value: number | undefined): Decimal | null {
  if (value === undefined) return null;
  const magnitude = Math.abs(value);
  const [whole = "0", fraction = ""] = spelled(magnitude).split(".");
  return { value: magnitude, whole, fraction };
}

/** Without an exponent. */
function spelled(magnitude: number): string {
  const text = String(magnitude);
  const [digits = "", power] = text.split("e");
  if (power === undefined) return text;
  const [whole = "", fraction = ""] = digits.split(".");
  const shift = Number(power);
  if (shift < 0) return `0.${"0".repeat(-shift - 1)}${whole}${fraction}`;
  return whole + fraction.padEnd(shift, "0");
}
