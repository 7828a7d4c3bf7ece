import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";

/** Most problems that one answer lists; the count of the others follows. */
const MAX_LISTED_PROBLEMS = 16;
/** Longer than any model's prompt. */
const MAX_TOKEN_IDS = 1 << 20;

/**
 * A body by its schema. Keys that the schema does not know are refused: a client that asks for something must not
 * believe that it got it.
 * @throws MoesaicError with every problem; place = the first one's path. unimplemented when that one is a documented
 * parameter that this server does not do, else invalid_argument
 */
export function readBody<T>(schema: z.ZodType<T>, body: unknown): T {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new MoesaicError("invalid_argument", "expected a JSON object as the body");
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap(problemsOf);
  const [first] = problems;
  const fields = first === undefined || first.path === "" ? {} : { place: first.path };
  throw new MoesaicError(first?.isUnavailable ? "unimplemented" : "invalid_argument", textOf(problems), fields);
}

/**
 * A parameter of OpenAI's that does nothing here: it may be absent, null or one of the values that ask for nothing.
 * @param why what to do instead, as a sentence's end
 */
export function unavailable(why: string, accepted: readonly unknown[] = []): z.ZodOptional<z.ZodUnknown> {
  return z
    .unknown()
    .superRefine((value, context) => {
      if (value === null || accepted.includes(value)) return;
      context.addIssue({ code: "custom", message: `is not supported: ${why}`, params: { isUnavailable: true } });
    })
    .optional();
}

/** A parameter of which only some values are served; the others are known and refused. It may be absent or null. */
export function someOf<const V extends string>(
  served: readonly V[],
  others: readonly string[],
  why: string,
): z.ZodOptional<z.ZodNullable<z.ZodType<V>>> {
  return someValueOf(served, others, why).nullable().optional();
}

/** As `someOf`, where there has to be a value. */
export function someValueOf<const V extends string>(
  served: readonly V[],
  others: readonly string[],
  why: string,
): z.ZodType<V> {
  return chosen<V>((value) => {
    if (served.includes(value as V)) return z.custom<V>();
    const isUnavailable = others.includes(value as string);
    const problem = isUnavailable
      ? `"${value as string}" is not supported: ${why}`
      : `expected one of ${served.join(", ")}`;
    return { problem, isUnavailable };
  });
}

/** An array whose length is checked before its items are: a body of millions of them must not cost their check. */
export function boundedArray<T>(item: z.ZodType<T>, minLength: number, maxLength: number): z.ZodType<T[]> {
  const bounded = z.unknown().superRefine((value, context) => {
    if (!Array.isArray(value)) context.addIssue({ code: "custom", message: "expected an array" });
    else if (value.length < minLength || value.length > maxLength) {
      const message = `expected ${minLength} to ${maxLength} items, got ${value.length}`;
      context.addIssue({ code: "custom", message });
    }
  });
  return bounded.pipe(z.array(item));
}

/**
 * A value whose schema depends on what it is. Not a union: that would try every schema, and tell of none.
 * @param choose the schema, or why there is none, and whether it is one that OpenAI knows
 */
export function chosen<T>(
  choose: (value: unknown) => z.ZodType<T> | { problem: string; path?: string; isUnavailable?: boolean },
): z.ZodType<T> {
  const schema = z.unknown().transform((value, context) => {
    const choice = choose(value);
    if ("problem" in choice) {
      const { problem: message, path, isUnavailable = false } = choice;
      context.addIssue({ code: "custom", message, path: path === undefined ? [] : [path], params: { isUnavailable } });
      return z.NEVER;
    }
    const parsed = choice.safeParse(value);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) context.addIssue(passedOn(issue));
    return z.NEVER;
  });
  return schema;
}

function passedOn(issue: z.core.$ZodIssue): { code: "custom"; message: string; path: PropertyKey[]; params: object } {
  const params = issue.code === "custom" ? (issue.params ?? {}) : {};
  return { code: "custom", message: issue.message, path: [...issue.path], params };
}

/** Token ids are many and their check is cheap; which of them exist is for the scheduler to say. */
export const tokenIds = z.custom<number[]>(
  (value) => Array.isArray(value) && value.length <= MAX_TOKEN_IDS && value.every((id) => Number.isSafeInteger(id)),
  { error: `expected an array of at most ${MAX_TOKEN_IDS} token ids` },
);

interface Problem {
  path: string;
  message: string;
  isUnavailable: boolean;
}

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  const path = pathOf(issue.path);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const message = "is no parameter of this endpoint";
      return { path: path === "" ? key : `${path}.${key}`, message, isUnavailable: false };
    });
  }
  const isUnavailable = issue.code === "custom" && issue.params?.["isUnavailable"] === true;
  return [{ path, message: issue.message.replace(/^Invalid input: /, ""), isUnavailable }];
}

function textOf(problems: readonly Problem[]): string {
  const listed = problems.slice(0, MAX_LISTED_PROBLEMS).map(({ path, message }) => `${path || "body"}: ${message}`);
  const numOthers = problems.length - listed.length;
  return listed.join("; ") + (numOthers > 0 ? `; and ${numOthers} more` : "");
}

/** `messages[0].content[1].type` */
function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}
