import { MoesaicError } from "../../../proto/errors.js";

/** Deeper values are refused: each level costs a stack frame, and no schema in use comes near. */
export const JSON_DEPTH_MAX = 64;

/**
 * JSON as chat templates print it, `", "` between items and `": "` after keys: the models saw it so in training.
 * @throws MoesaicError invalid_argument beyond JSON_DEPTH_MAX levels
 */
export function templateJson(value: unknown, depth = 0): string {
  refuseTooDeep(depth);
  if (Array.isArray(value)) return `[${value.map((item) => templateJson(item, depth + 1)).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value).map(
    ([key, field]) => `${JSON.stringify(key)}: ${templateJson(field, depth + 1)}`,
  );
  return `{${fields.join(", ")}}`;
}

/** @throws MoesaicError invalid_argument when a JSON value or schema is nested beyond JSON_DEPTH_MAX */
export function refuseTooDeep(depth: number): void {
  if (depth <= JSON_DEPTH_MAX) return;
  throw new MoesaicError("invalid_argument", `JSON schema: expected at most ${JSON_DEPTH_MAX} levels of nesting`);
}
