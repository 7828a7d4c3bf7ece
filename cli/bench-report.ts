import { appendFile, stat } from "node:fs/promises";
import type { DeviceKind } from "../native/binding.js";
import { native } from "../native/index.js";
import { renderSection } from "../plans/text-table.js";
import { packageVersion, type CommandContext } from "./context.js";

/** Figures of one benchmark by name, units last in the names; also the columns of its CSV line. */
export type Figures = Readonly<Record<string, string | number | boolean | null>>;

/** What any figure has to stand beside. */
export function machineFigures(numThreads: number, device: DeviceKind = "cpu"): Figures {
  const { name, numCores, features } = native.deviceProperties();
  const version = packageVersion();
  const gpu = device === "cuda" ? (native.cudaDevices().devices[0]?.name ?? null) : null;
  return { version, gpu, machine: name, cores: numCores, threads: numThreads, features: features.join(" ") };
}

/** Prints the figures, and appends them to a CSV file that gets its header with the first line. */
export async function report(figures: Figures, csv: string | undefined, { out, json }: CommandContext): Promise<void> {
  if (json) await out.json(figures);
  else await out.write(`${listOf(figures)}\n`);
  if (csv === undefined) return;
  await appendFile(csv, await csvOf([figures], csv));
}

/** A benchmark of several measurements. */
export interface LinesReport {
  /** What all of them have in common. */
  head: Figures;
  /** All have the same names. */
  lines: readonly Figures[];
  /** What the names mean, for people. */
  notes: string;
  csv: string | undefined;
}

/** As report, with a table for people and a line per measurement for programs. */
export async function reportLines(
  { head, lines, notes, csv }: LinesReport,
  { out, json }: CommandContext,
): Promise<void> {
  const whole = lines.map((line) => ({ ...head, ...line }));
  if (json) for (const line of whole) await out.json(line);
  else await out.write(`${listOf(head)}\n${tableOf(lines)}\n${notes}\n`);
  if (csv !== undefined) await appendFile(csv, await csvOf(whole, csv));
}

function listOf(figures: Figures): string {
  const width = Math.max(...Object.keys(figures).map((name) => name.length));
  return Object.entries(figures)
    .map(([name, value]) => `${name.padEnd(width)}  ${shown(value)}`)
    .join("\n");
}

function tableOf(lines: readonly Figures[]): string {
  const rows = lines.map((line) => Object.values(line).map((value) => (value === null ? "" : shown(value))));
  return renderSection("", rows, Object.keys(lines[0] ?? {}));
}

/** Lines for the end of a CSV file, after a header where there is no such file yet. All figures have the same names. */
export async function csvOf(lines: readonly Figures[], csv: string): Promise<string> {
  const header = (await isThere(csv)) ? [] : [Object.keys(lines[0] ?? {})];
  return [...header, ...lines.map((line) => Object.values(line))].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function shown(value: Figures[string]): string {
  if (value === null) return "not measured";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) < 1e4 ? value.toPrecision(4) : value.toFixed(0);
}

function cell(value: Figures[string]): string {
  const text = value === null ? "" : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
