import { z } from "zod";

import { suggestion } from "./nearest-name.js";
import { isWholeNumber, shown } from "./plain-value.js";
import type { YamlPath, YamlSource } from "./yaml-source.js";

/** The value that a schema accepts, or the problems it has with it. */
export type Checked<T> = { value: T; problems: []; issues: [] } | { value: null; problems: string[]; issues: Issue[] };

/** Where a problem is, from the value that was checked. */
export interface Issue {
  path: YamlPath;
  /** Of a key that the schema does not know. */
  isUnknownKey: boolean;
}

/**
 * Holds the value at `path` of a source against a schema and reports every problem with its place in the file.
 * Schemas are strict mappings and lists whose leaves are made by the functions below.
 */
export function checkYaml<T>(source: YamlSource, path: YamlPath, schema: z.ZodType<T>): Checked<T> {
  const parsed = schema.safeParse(valueAt(source.value, path), { reportInput: true });
  if (parsed.success) return { value: parsed.data, problems: [], issues: [] };
  const { issues } = parsed.error;
  return {
    value: null,
    problems: issues.flatMap((issue) => issueLines(source, path, schema, issue)),
    issues: issues.flatMap(issuesOf),
  };
}

/** A leaf that says what it wants: `wanted("a path", isPath)`. */
export function wanted<T>(expected: string, accepts: (value: unknown) => boolean): z.ZodType<T> {
  return z.custom<T>(accepts, { error: `expected ${expected}` });
}

export function wholeNumber(min: number, max: number): z.ZodType<number> {
  return wanted(`a whole number from ${min} to ${max}`, (value) => isWholeNumber(value, min, max));
}

export function autoOrWholeNumber(min: number, max: number): z.ZodType<number | "auto"> {
  const accepts = (value: unknown): boolean => value === "auto" || isWholeNumber(value, min, max);
  return wanted(`auto or a whole number from ${min} to ${max}`, accepts);
}

export function wholeNumberOrNull(min: number, max: number): z.ZodType<number | null> {
  const accepts = (value: unknown): boolean => value === null || isWholeNumber(value, min, max);
  return wanted(`null or a whole number from ${min} to ${max}`, accepts);
}

export function oneOf<const T extends string | boolean>(...values: T[]): z.ZodType<T> {
  const names = values.map(String);
  return wanted([names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" or "), (value) =>
    values.some((candidate) => candidate === value),
  );
}

export function flag(): z.ZodType<boolean> {
  return oneOf(true, false);
}

export function text(expected: string, pattern = /^[^\0\n\r]{1,4096}$/): z.ZodType<string> {
  return wanted(expected, (value) => typeof value === "string" && pattern.test(value));
}

export function textOrNull(expected: string): z.ZodType<string | null> {
  const accepts = (value: unknown): boolean => typeof value === "string" && /^[^\0\n\r]{1,4096}$/.test(value);
  return wanted(expected, (value) => value === null || accepts(value));
}

function issueLines(source: YamlSource, base: YamlPath, schema: z.ZodType, issue: z.core.$ZodIssue): string[] {
  const path = pathOf(issue);
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, path);
    return issue.keys.map((key) => {
      const place = source.placeOfKey([...base, ...path, key]);
      return `${place}: ${dotted([...base, ...path, key])}: no such key${suggestion(key, known)}`;
    });
  }
  const there = issue.input === undefined ? "it is missing" : `got ${shown(issue.input)}`;
  return [`${source.placeOf([...base, ...path])}: ${dotted([...base, ...path])}: ${expectation(issue)}, ${there}`];
}

function issuesOf(issue: z.core.$ZodIssue): Issue[] {
  const path = pathOf(issue);
  if (issue.code !== "unrecognized_keys") return [{ path, isUnknownKey: false }];
  return issue.keys.map((key) => ({ path: [...path, key], isUnknownKey: true }));
}

function pathOf({ path }: z.core.$ZodIssue): YamlPath {
  return path.map((part) => (typeof part === "number" ? part : String(part)));
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code !== "invalid_type") return issue.message;
  return issue.expected === "array" ? "expected a list" : "expected a mapping";
}

/** `spec.workers[0].ranks`. */
export function dotted(path: YamlPath): string {
  const joined = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`)).join("");
  return joined.startsWith(".") ? joined.slice(1) : joined || "the document";
}

export function valueAt(value: unknown, path: YamlPath): unknown {
  return path.reduce<unknown>((parent, part) => (parent as Record<string | number, unknown> | null)?.[part], value);
}

/** The keys that a schema knows at a path, to suggest one of them. */
function keysAt(schema: z.core.$ZodType, path: YamlPath): string[] {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return keysAt(schema.unwrap(), path);
  if (schema instanceof z.ZodPipe) return keysAt(schema.out, path);
  if (schema instanceof z.ZodArray) return keysAt(schema.element, path.slice(1));
  if (!(schema instanceof z.ZodObject)) return [];
  const [head, ...rest] = path;
  const shape: Record<string, z.core.$ZodType> = schema.shape;
  if (head === undefined) return Object.keys(shape);
  const inner = shape[head];
  return inner === undefined ? [] : keysAt(inner, rest);
}
