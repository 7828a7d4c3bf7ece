import { readFileSync } from "node:fs";
import type { OutputConstraint } from "../client/generate-request.js";
import { MoesaicError } from "../proto/errors.js";
import type { ArgumentsOf } from "./command.js";
import { text, texts } from "./options.js";

/** What the output of every request must be that does not say it itself. */
export const CONSTRAINT_OPTIONS = {
  "json-schema": text("file with a JSON schema: the output is JSON of it"),
  regex: text("regular expression that matches the whole output"),
  choice: texts("choice", "a text that the output may be; given several times, it is one of them"),
} as const;

/** @throws MoesaicError invalid_argument for more than one of them, and for a file that is no JSON; not_found */
export function constraintOf(args: ArgumentsOf<typeof CONSTRAINT_OPTIONS>): OutputConstraint | undefined {
  const given = (["json-schema", "regex", "choice"] as const).filter((name) => args[name] !== undefined);
  if (given.length > 1) {
    const there = given.map((name) => `--${name}`).join(" and ");
    throw new MoesaicError("invalid_argument", `expected one of --json-schema, --regex and --choice, got ${there}`);
  }
  if (args.regex !== undefined) return { regex: args.regex };
  if (args.choice !== undefined) return { choice: args.choice };
  return args["json-schema"] === undefined ? undefined : { jsonSchema: readSchema(args["json-schema"]) };
}

function readSchema(file: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw MoesaicError.from(cause);
    throw new MoesaicError("invalid_argument", `not JSON: ${cause.message}`, { place: file, cause });
  }
}
