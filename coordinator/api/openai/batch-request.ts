import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import { v1 } from "../../../proto/messages.js";
import { encodeRequests } from "../../jobs/job-request.js";
import { isDeeperThan } from "../json-depth.js";
import { bodyReaderOf, type BatchBody, type BatchEndpoint } from "./batch-body.js";
import { inputLines, type InputLine } from "./batch-input.js";
import { MAX_JSON_DEPTH } from "./json-body.js";
import { readBody } from "./request-body.js";

/** A line of a batch's input file that can be run. */
export interface BatchRequest extends BatchBody {
  customId: string;
}

/** What is wrong with a line, as OpenAI lists it. */
export interface BatchProblem {
  code: string;
  message: string;
  /** From 1; 0: of no line. */
  line: number;
  /** Path in the line, empty for all of it. */
  param: string;
}

export const MAX_BATCH_REQUESTS = 50_000;
/** More are not looked for: a file that is none of ours has as many as lines. */
const MAX_PROBLEMS = 64;
const MAX_MESSAGE_LENGTH = 400;

const lineSchema = z.strictObject({
  custom_id: z.string().min(1).max(512),
  method: z.literal("POST"),
  url: z.string(),
  body: z.record(z.string(), z.unknown()),
});

/** The requests of a file that was found to be right, in its order. */
export async function* batchRequests(
  content: AsyncIterable<Uint8Array>,
  endpoint: BatchEndpoint,
): AsyncIterable<BatchRequest> {
  for await (const line of inputLines(content)) yield readLine(line, endpoint);
}

/** All that is wrong with a file, in its order; nothing: every line of it can be run. */
export async function problemsOf(content: AsyncIterable<Uint8Array>, endpoint: BatchEndpoint): Promise<BatchProblem[]> {
  const problems: BatchProblem[] = [];
  const lineOf = new Map<string, number>();
  for await (const line of inputLines(content)) {
    const problem = lineOf.size >= MAX_BATCH_REQUESTS ? tooMany(line) : problemOf(line, endpoint, lineOf);
    if (problem !== null) problems.push(problem);
    if (problems.length >= MAX_PROBLEMS || problem?.code === TOO_MANY) break;
  }
  if (problems.length === 0 && lineOf.size === 0) problems.push(of("empty_file", "the file has no requests", 0, ""));
  return problems;
}

const TOO_MANY = "too_many_requests";

function tooMany({ number }: InputLine): BatchProblem {
  return of(TOO_MANY, `a batch has at most ${MAX_BATCH_REQUESTS} requests; send the rest in another`, number, "");
}

/** @param lineOf by id, those of the lines before; the line's own is added */
function problemOf(line: InputLine, endpoint: BatchEndpoint, lineOf: Map<string, number>): BatchProblem | null {
  try {
    const { customId, request } = readLine(line, endpoint);
    const first = lineOf.get(customId);
    if (first !== undefined)
      return of("duplicate_custom_id", `line ${first} has this id too`, line.number, "custom_id");
    lineOf.set(customId, line.number);
    encodeRequests(v1.SubmitJobRequest.create({ requests: [request] }));
    return null;
  } catch (caught) {
    if (caught instanceof LineError) return caught.problem;
    const { message, code, place } = MoesaicError.from(caught);
    const inBody = (place ?? "").replace(/^requests\[0\]\.?/, "");
    return of(
      code === "unimplemented" ? "unsupported_parameter" : "invalid_request",
      message,
      line.number,
      `body.${inBody}`,
    );
  }
}

class LineError extends Error {
  constructor(readonly problem: BatchProblem) {
    super(problem.message);
  }
}

/** @throws LineError, and MoesaicError for what is wrong with the body */
function readLine({ number, text }: InputLine, endpoint: BatchEndpoint): BatchRequest {
  const { custom_id: customId, url, body } = lineFields(parsed(number, text), number);
  if (url !== endpoint) {
    throw new LineError(of("mismatched_url", `expected ${endpoint}, that of the batch`, number, "url"));
  }
  return { customId, ...bodyReaderOf(endpoint)(body) };
}

function parsed(number: number, text: string | null): unknown {
  try {
    const value: unknown = JSON.parse(text ?? "");
    if (!isDeeperThan(value, MAX_JSON_DEPTH)) return value;
  } catch {
    // Said below; the parser's own words quote the line.
  }
  const message = "the line is not JSON of at most 6 MiB in UTF-8, nested at most 64 levels";
  throw new LineError(of("invalid_json_line", message, number, ""));
}

function lineFields(value: unknown, number: number): z.infer<typeof lineSchema> {
  try {
    return readBody(lineSchema, value);
  } catch (caught) {
    const { message, place = "" } = MoesaicError.from(caught);
    throw new LineError(of("invalid_line", message, number, place));
  }
}

function of(code: string, message: string, line: number, param: string): BatchProblem {
  return { code, message: message.slice(0, MAX_MESSAGE_LENGTH), line, param };
}
