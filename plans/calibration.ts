import { z } from "zod";
import { MoesaicError } from "../proto/errors.js";
import type { StepShape } from "./cost.js";
import { FIGURES, type Figure, type Figures, type KnownFigures } from "./machine-profile.js";

/** What was measured on a machine, and the figures of the cost model that explain it. */
export interface Calibration {
  /** As it is to be called. */
  machine: string;
  device: "cpu" | "cuda";
  /** YYYY-MM-DD */
  date: string;
  /** Of the moesaic that was measured. */
  version: string;
  model: string;
  precision: "exact" | "fast";
  /** Of each rank's engine; on a GPU of its host. */
  threads: number;
  /** That a rank has for weights, workspace and KV. */
  memoryBytes: number;
  /** What a reader of the figures should know; empty where there is nothing. */
  notes: string;
  figures: Figures;
  steps: MeasuredStep[];
}

/** One kind of step, or of request, that was measured often enough to have a time. */
export interface MeasuredStep {
  name: string;
  shape: StepShape;
  /** From one step to the next; of a request alone until its first token. */
  ms: number;
  /** Of these, outside the engine; null where nobody could tell. */
  outsideMs: number | null;
  /** It is the first token of a request, which was on its way before. */
  isRequest: boolean;
  /** What the figures say. */
  fittedMs: number;
}

/** How the figures of a calibration stand beside those of others. */
export function knownBy({ machine, date, figures }: Calibration): KnownFigures {
  return { figures, source: `calibrated on ${machine}, ${date}` };
}

const KIND = "moesaic.dev/calibration";
const VERSION = 1;

const positive = z.number().positive();
const count = z.int().nonnegative();
const keys = z.strictObject({ full: count, sliding: count });
const text = z.string().min(1).max(200);

const FILE_SHAPE = z.strictObject({
  kind: z.literal(KIND),
  version: z.literal(VERSION),
  machine: text,
  device: z.enum(["cpu", "cuda"]),
  date: z.iso.date(),
  moesaic: text,
  model: text,
  precision: z.enum(["exact", "fast"]),
  threads: z.int().positive(),
  memory_bytes: z.int().positive(),
  notes: z.string().max(2_000).default(""),
  figures: z.strictObject(
    Object.fromEntries(
      FIGURES.map((figure) => [snakeCased(figure), (isSpeed(figure) ? positive : z.number().nonnegative()).optional()]),
    ),
  ),
  steps: z
    .array(
      z.strictObject({
        name: text,
        num_tokens: z.int().positive(),
        num_sampled: count,
        keys_read: keys,
        pairs: keys,
        measured_ms: positive,
        outside_ms: z.number().nullable(),
        is_request: z.boolean(),
        fitted_ms: positive,
      }),
    )
    .max(10_000),
});

/**
 * Reads a calibration file: JSON with kind, version and snake_case names.
 * @param place as it is to stand in errors
 * @throws MoesaicError invalid_argument with the first thing that is wrong
 */
export function parseCalibration(json: string, place: string): Calibration {
  const parsed = FILE_SHAPE.safeParse(jsonOf(json, place));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const message = `expected a calibration as moesaic bench calibrate writes it: ${issue?.path.join(".") || "the file"}: ${issue?.message}`;
    throw new MoesaicError("invalid_argument", message, { place });
  }
  const { kind: _kind, version: _version, moesaic, memory_bytes, figures, steps, ...rest } = parsed.data;
  return {
    ...rest,
    version: moesaic,
    memoryBytes: memory_bytes,
    figures: Object.fromEntries(FIGURES.flatMap((figure) => entryOf(figure, figures[snakeCased(figure)]))),
    steps: steps.map((step) => ({
      name: step.name,
      shape: { numTokens: step.num_tokens, numSampled: step.num_sampled, keysRead: step.keys_read, pairs: step.pairs },
      ms: step.measured_ms,
      outsideMs: step.outside_ms,
      isRequest: step.is_request,
      fittedMs: step.fitted_ms,
    })),
  };
}

/** The file's text, which `parseCalibration` reads. */
export function renderCalibration(calibration: Calibration): string {
  const { version, memoryBytes, notes, figures, steps, ...rest } = calibration;
  const file = {
    kind: KIND,
    version: VERSION,
    ...rest,
    moesaic: version,
    memory_bytes: memoryBytes,
    notes,
    figures: Object.fromEntries(FIGURES.flatMap((figure) => entryOf(snakeCased(figure), rounded(figures[figure])))),
    steps: steps.map(({ name, shape, ms, outsideMs, isRequest, fittedMs }) => ({
      name,
      num_tokens: shape.numTokens,
      num_sampled: shape.numSampled,
      keys_read: shape.keysRead,
      pairs: shape.pairs,
      measured_ms: rounded(ms),
      outside_ms: outsideMs === null ? null : rounded(outsideMs),
      is_request: isRequest,
      fitted_ms: rounded(fittedMs),
    })),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

function jsonOf(json: string, place: string): unknown {
  try {
    return JSON.parse(json);
  } catch (caught) {
    const reason = caught instanceof Error ? caught.message : String(caught);
    throw new MoesaicError("invalid_argument", `expected a calibration in JSON: ${reason}`, { place, cause: caught });
  }
}

/** Speeds are divided by. */
function isSpeed(figure: Figure): boolean {
  return figure.endsWith("PerSecond");
}

function entryOf(name: string, value: number | undefined): [string, number][] {
  return value === undefined ? [] : [[name, value]];
}

function rounded<T extends number | undefined>(value: T): T {
  return (value === undefined ? value : Number(value.toPrecision(6))) as T;
}

function snakeCased(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
