const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
const COUNT_UNITS = ["", "k", "M", "G", "T"] as const;

/** "1.50 GiB"; three figures, so that columns are easily compared. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1_024, BYTE_UNITS, " ");
}

/** "12.3k" */
export function formatCount(count: number): string {
  return scaled(count, 1_000, COUNT_UNITS, "");
}

/** A time of any length, from "0.25 ms" to "2 d 3 h". */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${figures(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${figures(seconds)} s`;
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ");
}

export function formatPercent(part: number): string {
  return `${figures(100 * part)} %`;
}

/** Three figures, none after the point from 100 on. */
export function figures(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(size >= 10 ? 1 : 2);
}

function scaled(value: number, step: number, units: readonly string[], space: string): string {
  let rest = value;
  let unit = 0;
  // What would be shown as a whole step is shown as one of the next unit.
  while (Math.abs(rest) >= step - 0.5 && unit < units.length - 1) {
    rest /= step;
    unit += 1;
  }
  return unit === 0
    ? `${figures(rest)}${units[0] === "" ? "" : space + units[0]}`
    : figures(rest) + space + units[unit];
}
