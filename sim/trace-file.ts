import { z } from "zod";
import { MoesaicError } from "../proto/errors.js";
import { throwProblems } from "../plans/problems.js";
import { PREFIX_BLOCK, type Trace, type TraceRequest } from "./trace.js";

/** A trace of a file; without times of its own requests come when somebody says so. */
export interface FileTrace {
  requests: Trace;
  hasTimes: boolean;
}

/** No trace that is simulated in a sitting has more. */
const MAX_REQUESTS = 1_000_000;
/** Tokens of one request. */
const MAX_TOKENS = 2 ** 24;
/** More bad lines than this say nothing new. */
const MAX_PROBLEMS = 20;

const FORMATS =
  "a CSV with TIMESTAMP,ContextTokens,GeneratedTokens (Azure LLM inference traces), JSON lines with timestamp, input_length, " +
  "output_length and hash_ids (Mooncake traces), or JSON lines with prompt_len and output_len";

/**
 * Reads a published trace format, which it knows by the first line; empty lines are left out. Times count from the first request.
 * @param fileName as it is to stand in errors
 * @throws MoesaicError invalid_argument with every bad line, up to twenty
 */
export function parseTrace(text: string, fileName: string): FileTrace {
  const lines = text.split("\n").map((line) => line.trim());
  const first = lines.findIndex((line) => line !== "");
  if (first < 0)
    throw new MoesaicError("invalid_argument", `expected ${FORMATS}; the file is empty`, { place: fileName });
  const reader = readerOf(lines[first]!.replace(/^\uFEFF/, ""), `${fileName}:${first + 1}`);
  const requests: TraceRequest[] = [];
  const problems: string[] = [];
  for (let index = reader.isCsv ? first + 1 : first; index < lines.length && problems.length < MAX_PROBLEMS; index++) {
    if (lines[index] === "") continue;
    const read = reader.read(lines[index]!);
    if (typeof read === "string") problems.push(`${fileName}:${index + 1}: ${read}`);
    else requests.push(read);
  }
  if (problems.length === 0 && requests.length === 0)
    problems.push(`${fileName}:${first + 1}: expected a request after it`);
  if (requests.length > MAX_REQUESTS) problems.push(`${fileName}: expected at most ${MAX_REQUESTS} requests; cut it`);
  throwProblems(problems, fileName);
  return { requests: fromZero(requests), hasTimes: reader.hasTimes };
}

interface LineReader {
  isCsv: boolean;
  hasTimes: boolean;
  /** @returns the request, or what is wrong with the line */
  read(line: string): TraceRequest | string;
}

function readerOf(firstLine: string, place: string): LineReader {
  if (/^TIMESTAMP,ContextTokens,GeneratedTokens$/i.test(firstLine)) return AZURE;
  if (firstLine.startsWith("{")) return /"(prompt_len|output_len)"/.test(firstLine) ? LENGTHS : MOONCAKE;
  throw new MoesaicError("invalid_argument", `expected ${FORMATS}, got ${firstLine.slice(0, 80)}`, { place });
}

/** In the order of their times, which published traces keep only nearly; equal ones as they stand. */
function fromZero(requests: readonly TraceRequest[]): Trace {
  const sorted = requests.toSorted((a, b) => a.atMs - b.atMs);
  const beginMs = sorted[0]?.atMs ?? 0;
  return sorted.map((request) => ({ ...request, atMs: request.atMs - beginMs }));
}

// ---- formats -----------------------------------------------------------------------------------------------------------

const AZURE: LineReader = {
  isCsv: true,
  hasTimes: true,
  read(line) {
    const cells = line.split(",");
    const [time = "", prompt = "", output = ""] = cells;
    if (cells.length !== 3) return `expected three cells, got ${cells.length}`;
    const atMs = instantMs(time);
    if (atMs === null) return `TIMESTAMP: expected a time such as 2023-11-16 18:17:03.9799600, got ${shown(time)}`;
    return lengthsOf(atMs, Number(prompt || NaN), Number(output || NaN), []);
  },
};

const tokens = z.number();
const mooncakeLine = z.looseObject({
  timestamp: z.number().nonnegative(),
  input_length: tokens,
  output_length: tokens,
  hash_ids: z
    .array(z.int().nonnegative())
    .max(MAX_TOKENS / PREFIX_BLOCK)
    .default([]),
});

const MOONCAKE: LineReader = {
  isCsv: false,
  hasTimes: true,
  read: (line) =>
    readJson(line, mooncakeLine, ({ timestamp, input_length: prompt, output_length: output, hash_ids: prefixIds }) =>
      lengthsOf(timestamp, prompt, output, prefixIds),
    ),
};

const lengthsLine = z.looseObject({ prompt_len: tokens, output_len: tokens });

const LENGTHS: LineReader = {
  isCsv: false,
  hasTimes: false,
  read: (line) =>
    readJson(line, lengthsLine, ({ prompt_len: prompt, output_len: output }) => lengthsOf(0, prompt, output, [])),
};

function readJson<T>(
  line: string,
  shape: z.ZodType<T>,
  use: (value: T) => TraceRequest | string,
): TraceRequest | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return `expected a JSON object, got ${shown(line)}`;
  }
  const checked = shape.safeParse(value);
  if (checked.success) return use(checked.data);
  const [issue] = checked.error.issues;
  return `${issue?.path.join(".") || "the line"}: ${issue?.message ?? "is not a request"}`;
}

/** A request that generates nothing is one that generates a token: nothing would be heard of it. */
function lengthsOf(atMs: number, prompt: number, output: number, prefixIds: readonly number[]): TraceRequest | string {
  if (!isCount(prompt) || prompt === 0) return `expected 1 to ${MAX_TOKENS} prompt tokens, got ${prompt}`;
  if (!isCount(output)) return `expected 0 to ${MAX_TOKENS} output tokens, got ${output}`;
  return { atMs, numPromptTokens: prompt, numOutputTokens: Math.max(1, output), prefixIds };
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS;
}

/** `YYYY-MM-DD HH:MM:SS`, with a fraction and an offset or without; UTC where nothing is said. Milliseconds with a fraction. */
function instantMs(text: string): number | null {
  const parts = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?$/.exec(text.trim());
  if (parts === null) return null;
  const seconds = Date.parse(`${parts[1]}T${parts[2]}${parts[4] ?? "Z"}`);
  return Number.isNaN(seconds) ? null : seconds + 1_000 * Number(parts[3] ?? 0);
}

function shown(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
