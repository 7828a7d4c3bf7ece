import type { z } from "zod";
import { MoesaicError } from "../errors.js";

/** What goes over the bus and is read by others: JSON with snake_case names. */
export function encodeRecord(record: object): Uint8Array {
  return Buffer.from(JSON.stringify(renamed(record, toSnakeCase)));
}

/** A record that anyone may have written, checked by `schema`. @returns null when it is none */
export function decodeRecord<T>(bytes: Uint8Array, schema: z.ZodType<T>): T | null {
  if (bytes.byteLength > MAX_RECORD_BYTES) return null;
  try {
    const parsed = schema.safeParse(renamed(JSON.parse(Buffer.from(bytes).toString("utf8")), toCamelCase));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** Checks our own side of a record before it is announced. @throws MoesaicError invalid_argument */
export function checkRecord<T>(record: unknown, schema: z.ZodType<T>, noun: string): T {
  const parsed = schema.safeParse(record);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${noun}.${path.join(".")}: ${message}`);
  throw new MoesaicError("invalid_argument", problems.join("; "));
}

function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [rename(name), renamed(inner, rename)]));
}

function toSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function toCamelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Also bounds how deep hostile JSON can nest. */
const MAX_RECORD_BYTES = 4096;
