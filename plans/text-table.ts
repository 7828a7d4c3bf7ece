/**
 * A title and aligned rows below it. Columns are as wide as their widest cell; those of numbers are aligned at their end.
 * @param header names of the columns, where rows do not speak for themselves
 */
export function renderSection(title: string, rows: readonly string[][], header?: string[]): string {
  const lines = header === undefined ? rows : [header, ...rows];
  const numColumns = Math.max(0, ...lines.map((row) => row.length));
  const columns = Array.from({ length: numColumns }, (_, column) => ({
    cells: lines.map((row) => row[column] ?? ""),
    isNumeric: rows.every((row) => /^([+-]?\d.*|-?)$/.test(row[column] ?? "")),
  }));
  const padded = columns.map(({ cells, isNumeric }) => {
    const width = Math.max(...cells.map((cell) => cell.length));
    return cells.map((cell) => (isNumeric ? cell.padStart(width) : cell.padEnd(width)));
  });
  const text = lines.map((_, row) => `  ${padded.map((cells) => cells[row] ?? "").join("  ")}`.trimEnd());
  return [title, ...text].join("\n");
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Two cells: `13,761,264,768 B`, and `(12.82 GiB)` where that is easier to grasp. */
export function bytes(value: number): [string, string] {
  const exact = `${count(value)} B`;
  if (value < 2 ** 20) return [exact, ""];
  return [exact, value < 2 ** 30 ? `(${(value / 2 ** 20).toFixed(2)} MiB)` : `(${(value / 2 ** 30).toFixed(2)} GiB)`];
}

/** Milliseconds to three digits or so. */
export function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}
