import { appendFile, stat } from "node:fs/promises";
import type { DeviceKind } from "../native/binding.js";
import { native } from "../native/index.js";
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
  else {
    const width = Math.max(...Object.keys(figures).map((name) => name.length));
    for (const [name, value] of Object.entries(figures)) await out.line(`${name.padEnd(width)}  ${shown(value)}`);
  }
  if (csv === undefined) return;
  await appendFile(csv, await csvOf([figures], csv));
}

/** Lines for the end of a CSV file, after a header where there is no such file yet. All figures have the same names. */
export async function csvOf(lines: readonly Figures[], csv: string): Promise<string> {
  const header = (await isThere(csv)) ? [] : [Object.keys(lines[0] ?? {})];
  return [...header, ...lines.map((line) => Object.values(line))].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function shown(value: Figures[string]): string {
  if (value === null) return "not measured";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return value.toPrecision(4);
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
