/** Round numbers from 0 to at least `max`: three to six of them. */
export function ticksUpTo(max: number): number[] {
  const top = max > 0 ? max : 1;
  const rough = top / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const numSteps = Math.ceil(top / step - 1e-9);
  return Array.from({ length: numSteps + 1 }, (_, index) => index * step);
}

/**
 * The path of a line through points, broken where there is no value.
 * @param place where a value stands, in units of the drawing
 */
export function linePath(
  values: readonly (number | null)[],
  place: (index: number, value: number) => [number, number],
): string {
  let path = "";
  let isDown = false;
  for (const [index, value] of values.entries()) {
    if (value === null) {
      isDown = false;
      continue;
    }
    const [x, y] = place(index, value);
    path += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    // A point between two gaps is a dot, by the line's round ends.
    if (!isDown && (values[index + 1] ?? null) === null) path += "h0";
    isDown = true;
  }
  return path;
}
