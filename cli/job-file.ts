import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { toGenerateMessage, type GenerateRequest } from "../client/generate-request.js";
import { MAX_REQUEST_BYTES, MAX_REQUESTS_PER_JOB } from "../coordinator/jobs/job-request.js";
import { throwProblems } from "../plans/problems.js";
import { MoesaicError } from "../proto/errors.js";
import { v1 } from "../proto/messages.js";
import { parseRequestLine, type RequestDefaults } from "./request-lines.js";
import { fileError } from "./text-file.js";

/** As JSON a character may take six bytes of what it takes in a request. */
const MAX_LINE_BYTES = 6 * MAX_REQUEST_BYTES;
/** Nobody reads more, and a file that is none has as many as lines. */
const MAX_PROBLEMS = 1_000;

/** A file of JSON lines as the requests of a job. It is read as often as it is asked for, a line at a time. */
export interface JobFile {
  /** Of every request, with defaults and ids: what makes two submissions the same. Hexadecimal SHA-256. */
  digest: string;
  numRequests: number;
  /** @throws MoesaicError failed_precondition when the file is another one by now */
  requests(): AsyncIterable<GenerateRequest>;
}

/**
 * Reads all of it and finds all that is wrong with it, before anything is sent.
 * @throws MoesaicError invalid_argument with every bad line; not_found or failed_precondition for the file
 */
export async function readJobFile(path: string, defaults: RequestDefaults): Promise<JobFile> {
  const check = new FileCheck(path);
  for await (const { line, lineNumber } of linesOf(path)) {
    check.take(line, lineNumber, defaults);
    if (check.isHopeless) break;
  }
  const { digest, numRequests } = check.end();
  return { digest, numRequests, requests: () => requestsOf(path, defaults, digest) };
}

async function* requestsOf(path: string, defaults: RequestDefaults, digest: string): AsyncIterable<GenerateRequest> {
  const check = new FileCheck(path);
  for await (const { line, lineNumber } of linesOf(path)) {
    const request = check.take(line, lineNumber, defaults);
    if (request !== null) yield request;
  }
  if (check.end().digest === digest) return;
  throw new MoesaicError("failed_precondition", "it changed while it was sent: submit it again as another job", {
    place: path,
  });
}

/** What is known of a file after each of its lines. */
class FileCheck {
  readonly #path: string;
  readonly #problems: string[] = [];
  readonly #lineOfId = new Map<string, number>();
  readonly #digest: Hash = createHash("sha256");
  #numRequests = 0;

  constructor(path: string) {
    this.#path = path;
  }

  get isHopeless(): boolean {
    return this.#problems.length >= MAX_PROBLEMS;
  }

  /** @returns null when there is no request in the line, or none that can be sent */
  take(line: string | null, lineNumber: number, defaults: RequestDefaults): GenerateRequest | null {
    const add = (problem: string): null => {
      this.#problems.push(`${this.#path}:${lineNumber}: ${problem}`);
      return null;
    };
    if (line === null) return add(`a line has at most ${MAX_LINE_BYTES} bytes of UTF-8`);
    if (line.trim() === "") return null;
    const parsed = parseRequestLine(line, this.#numRequests, defaults);
    if (Array.isArray(parsed)) return parsed.map(add)[0] ?? null;
    const request = { ...parsed.request, requestId: String(parsed.id) };
    const problem = this.#problemOf(request, lineNumber);
    return problem === null ? request : add(problem);
  }

  #problemOf(request: GenerateRequest & { requestId: string }, lineNumber: number): string | null {
    const { requestId } = request;
    const before = this.#lineOfId.get(requestId);
    if (before !== undefined) return `id: ${requestId} is that of line ${before} too`;
    if (requestId.length > 128) return `id: at most 128 characters, got ${requestId.length}`;
    if (this.#numRequests === MAX_REQUESTS_PER_JOB) return `a job has at most ${MAX_REQUESTS_PER_JOB} requests`;
    let bytes: Uint8Array;
    try {
      bytes = v1.GenerateRequest.encode(toGenerateMessage(request)).finish();
    } catch (caught) {
      return MoesaicError.from(caught).describe();
    }
    if (bytes.length > MAX_REQUEST_BYTES)
      return `a request has at most ${MAX_REQUEST_BYTES} bytes, got ${bytes.length}`;
    this.#lineOfId.set(requestId, lineNumber);
    this.#numRequests += 1;
    this.#digest.update(`${bytes.length}:`).update(bytes);
    return null;
  }

  end(): { digest: string; numRequests: number } {
    if (this.#numRequests === 0 && this.#problems.length === 0) {
      this.#problems.push(`${this.#path}:1: expected at least one line`);
    }
    if (this.isHopeless) this.#problems.push(`${this.#path}: and so on`);
    throwProblems(this.#problems, this.#path);
    return { digest: this.#digest.digest("hex"), numRequests: this.#numRequests };
  }
}

interface Line {
  /** null for one that is too long, or no UTF-8. */
  line: string | null;
  lineNumber: number;
}

/** No more of the file is in memory than its longest line. */
async function* linesOf(path: string): AsyncGenerator<Line> {
  let [parts, bytes, lineNumber]: [Buffer[], number, number] = [[], 0, 1];
  const endLine = (): Line => {
    const line = { line: bytes > MAX_LINE_BYTES ? null : decoded(Buffer.concat(parts)), lineNumber };
    [parts, bytes, lineNumber] = [[], 0, lineNumber + 1];
    return line;
  };
  const keep = (part: Buffer): void => {
    bytes += part.length;
    if (bytes <= MAX_LINE_BYTES) parts.push(part);
    else parts = [];
  };
  try {
    for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
      let begin = 0;
      for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, begin)) {
        keep(piece.subarray(begin, end));
        yield endLine();
        begin = end + 1;
      }
      keep(piece.subarray(begin));
    }
  } catch (caught) {
    throw fileError(path, caught, "JSON lines, a request each");
  }
  if (bytes > 0) yield endLine();
}

function decoded(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
