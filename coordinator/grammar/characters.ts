import type { Piece } from "./automaton-builder.js";
import { anyOf, literal, rule, sequence, symbol } from "./pieces.js";

/** Code points from the first to the last, both included. */
export type CodePoints = readonly [first: number, last: number];

export const CODE_POINT_MAX = 0x10ffff;

/** How a character is written: as it is, or as within a JSON string. */
export type CharacterWriter = (ranges: readonly CodePoints[]) => Piece;

/** One character of a class as UTF-8. Surrogates are no characters. */
export const plainCharacter: CharacterWriter = (ranges) => {
  const sorted = union(ranges);
  const ascii = intersection(sorted, [[0, 0x7f]]);
  const others = intersection(sorted, [
    [0x80, 0xd7ff],
    [0xe000, CODE_POINT_MAX],
  ]);
  const pieces = ascii.map(([first, last]) => symbol(first, last));
  if (others.length > 0) pieces.push(rule(`characters ${others.join(" ")}`, () => anyOf(others.flatMap(utf8Pieces))));
  return anyOf(pieces);
};

/** One character of a class as a JSON string has it: quote, backslash and control characters are escaped. */
export const jsonCharacter: CharacterWriter = (ranges) => {
  const sorted = union(ranges);
  // As a rule it costs one state wherever it stands, however many escapes it has.
  return rule(`characters of a string ${sorted.join(" ")}`, () => writtenInJson(sorted));
};

function writtenInJson(sorted: readonly CodePoints[]): Piece {
  const asTheyAre = intersection(sorted, [
    [0x20, 0x21],
    [0x23, 0x5b],
    [0x5d, CODE_POINT_MAX],
  ]);
  const escaped = intersection(sorted, [
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
  ]);
  const escapes = escaped.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, index) =>
      literal(JSON.stringify(String.fromCharCode(first + index)).slice(1, -1)),
    ),
  );
  return anyOf([...(asTheyAre.length > 0 ? [plainCharacter(asTheyAre)] : []), ...escapes]);
}

/** Sorted, without overlaps. */
export function union(ranges: readonly CodePoints[]): CodePoints[] {
  const merged: [number, number][] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** All characters that are in none of the ranges. */
export function complement(ranges: readonly CodePoints[]): CodePoints[] {
  const gaps: CodePoints[] = [];
  let next = 0;
  for (const [first, last] of union(ranges)) {
    if (first > next) gaps.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= CODE_POINT_MAX) gaps.push([next, CODE_POINT_MAX]);
  return gaps;
}

/** Both sorted and without overlaps. */
export function intersection(a: readonly CodePoints[], b: readonly CodePoints[]): CodePoints[] {
  return a.flatMap(([first, last]) =>
    b.map(([from, to]): CodePoints => [Math.max(first, from), Math.min(last, to)]).filter(([from, to]) => from <= to),
  );
}

/** Runs of bytes that are the characters of a range of two to four bytes each: one byte range per place. */
function utf8Pieces([first, last]: CodePoints): Piece[] {
  for (const border of [0x7ff, 0xffff]) {
    if (first <= border && last > border) return [...utf8Pieces([first, border]), ...utf8Pieces([border + 1, last])];
  }
  // A place may range freely only where the places after it go through all of their values.
  for (const mask of [0x3f, 0xfff, 0x3ffff]) {
    if ((first & ~mask) === (last & ~mask)) break;
    if ((first & mask) !== 0) return [...utf8Pieces([first, first | mask]), ...utf8Pieces([(first | mask) + 1, last])];
    if ((last & mask) !== mask) {
      const border = (last & ~mask) - 1;
      return [...utf8Pieces([first, border]), ...utf8Pieces([border + 1, last])];
    }
  }
  const [from, to] = [Buffer.from(String.fromCodePoint(first)), Buffer.from(String.fromCodePoint(last))];
  return [sequence(...Array.from(from, (byte, place) => symbol(byte, to[place])))];
}
