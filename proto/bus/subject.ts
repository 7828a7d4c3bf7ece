import { MoesaicError } from "../errors.js";
import { MAX_PAYLOAD_BYTES } from "./bus.js";

/**
 * The grammar both buses take, narrower than that of NATS: no spaces, no `$` of the server's own subjects.
 * @throws MoesaicError invalid_argument
 */
export function checkSubject(subject: string, noun: "subject" | "key" = "subject"): void {
  if (subject.length > MAX_SUBJECT_CHARACTERS || !SUBJECT.test(subject)) {
    throw wrong(noun, "tokens of letters, digits, _ and -, joined by dots", subject);
  }
}

/** A subject in which `*` may stand for a token and a last `>` for one or more. @throws MoesaicError invalid_argument */
export function checkPattern(pattern: string): void {
  if (pattern.length > MAX_SUBJECT_CHARACTERS || !PATTERN.test(pattern)) {
    throw wrong("pattern", "a subject in which a token may be * and the last one >", pattern);
  }
}

/** One token, as names of queues and buckets are. @throws MoesaicError invalid_argument */
export function checkToken(token: string, noun: string): void {
  if (token.length > 128 || !TOKEN.test(token)) {
    throw wrong(noun, "at most 128 letters, digits, _ and -", token);
  }
}

/** @throws MoesaicError invalid_argument */
export function checkPayload(payload: Uint8Array, maxBytes = MAX_PAYLOAD_BYTES): void {
  if (payload.byteLength > maxBytes) {
    throw new MoesaicError("invalid_argument", `payload: at most ${maxBytes} bytes, got ${payload.byteLength}`);
  }
}

/** @throws MoesaicError invalid_argument */
export function checkRevision(revision: number): void {
  if (!Number.isSafeInteger(revision) || revision < 1) {
    throw new MoesaicError("invalid_argument", `revision: expected a positive integer, got ${revision}`);
  }
}

/** @throws MoesaicError invalid_argument */
export function checkTtl(ttlMs: number): void {
  if (!Number.isInteger(ttlMs) || ttlMs < 100 || ttlMs > 86_400_000) {
    throw new MoesaicError("invalid_argument", `ttlMs: expected 100 to 86400000 milliseconds, got ${ttlMs}`);
  }
}

/** Whether a subject or key fits a pattern; both must have been checked. */
export function subjectMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const tokens = subject.split(".");
  if (wanted.at(-1) === ">") return tokens.length >= wanted.length && fits(wanted.slice(0, -1), tokens);
  return tokens.length === wanted.length && fits(wanted, tokens);
}

function fits(wanted: string[], tokens: string[]): boolean {
  return wanted.every((token, index) => token === "*" || token === tokens[index]);
}

function wrong(noun: string, expected: string, got: string): MoesaicError {
  return new MoesaicError("invalid_argument", `${noun}: expected ${expected}, got ${JSON.stringify(got.slice(0, 80))}`);
}

const MAX_SUBJECT_CHARACTERS = 256;
const TOKEN = /^[\w-]+$/;
const SUBJECT = /^[\w-]+(\.[\w-]+)*$/;
const PATTERN = /^(([\w-]+|\*)\.)*([\w-]+|\*|>)$/;
