import { text as readStream } from "node:stream/consumers";
import type { OutputConstraint, SamplingParams } from "../client/generate-request.js";
import { MoesaicError } from "../proto/errors.js";
import { text, tokenIds } from "./options.js";
import { parseRequestLines, type RequestLine } from "./request-lines.js";
import { readTextFile } from "./text-file.js";

export const INPUT_OPTIONS = {
  prompt: text("text, tokenized as it is"),
  tokens: tokenIds("tokens", "prompt as token ids: 1,2,3"),
  input: text("JSON lines, one request each; - reads standard input"),
} as const;

export interface InputArguments {
  prompt?: string | undefined;
  tokens?: number[] | undefined;
  input?: string | undefined;
}

/** @throws MoesaicError invalid_argument unless exactly one input is given, and for bad lines; not_found for the file */
export async function readRequests(
  args: InputArguments,
  sampling: SamplingParams,
  constraint?: OutputConstraint,
): Promise<RequestLine[]> {
  const given = Object.entries({ prompt: args.prompt, tokens: args.tokens, input: args.input }).filter(
    ([, value]) => value !== undefined,
  );
  if (given.length !== 1) {
    const there = given.length === 0 ? "none" : given.map(([name]) => `--${name}`).join(" and ");
    throw new MoesaicError("invalid_argument", `expected one of --prompt, --tokens and --input, got ${there}`);
  }
  const defaults = constraint === undefined ? { sampling } : { sampling, constraint };
  if (args.prompt !== undefined) return [{ id: 0, request: { prompt: args.prompt, ...defaults } }];
  if (args.tokens !== undefined) return [{ id: 0, request: { tokenIds: args.tokens, ...defaults } }];
  const file = args.input ?? "-";
  const lines = file === "-" ? await readStream(process.stdin) : await readTextFile(file, "JSON lines, a request each");
  return parseRequestLines(lines, file === "-" ? "standard input" : file, defaults);
}
