/** The closed list of error codes. They keep gRPC's meanings. */
export const ERROR_CODES = [
  "invalid_argument",
  "not_found",
  "failed_precondition",
  "resource_exhausted",
  "deadline_exceeded",
  "cancelled",
  "unavailable",
  "unimplemented",
  "internal",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

export interface ErrorFields {
  cause?: unknown;
  requestId?: string;
  /** Where the fault lies: `cluster.yaml:4:7`, `model.safetensors: tensor x`, `requests[3].temperature`. */
  place?: string;
  /** Milliseconds after which a retry makes sense; only with resource_exhausted and unavailable. */
  retryAfterMs?: number;
}

/**
 * The one error class. The message says what was wanted, what was there and what to do; the code says how a
 * caller may react. Anything caught at an edge becomes one of these by `MoesaicError.from`.
 */
export class MoesaicError extends Error {
  override readonly name = "MoesaicError";
  readonly code: ErrorCode;
  readonly requestId: string | undefined;
  readonly place: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = code;
    this.requestId = fields.requestId;
    this.place = fields.place;
    this.retryAfterMs = fields.retryAfterMs;
  }

  /** `place: message`, as it is shown to a person. */
  describe(): string {
    return this.place === undefined ? this.message : `${this.place}: ${this.message}`;
  }

  /** Any thrown value as a MoesaicError: system errors by their errno, native errors by their name, the rest internal. */
  static from(caught: unknown): MoesaicError {
    if (caught instanceof MoesaicError) return caught;
    if (!(caught instanceof Error)) return new MoesaicError("internal", String(caught));
    const code = codeOf(caught);
    return new MoesaicError(code, caught.message, { cause: caught });
  }
}

/** Whether a text is one of our codes, as native errors and gRPC metadata carry them. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return ERROR_CODES.includes(text as ErrorCode);
}

const ERRNO_CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: "not_found",
  ENOTDIR: "not_found",
  EISDIR: "invalid_argument",
  EACCES: "failed_precondition",
  EPERM: "failed_precondition",
  ENOMEM: "resource_exhausted",
  ENOSPC: "resource_exhausted",
  EMFILE: "resource_exhausted",
  EADDRINUSE: "failed_precondition",
  ECONNREFUSED: "unavailable",
  ECONNRESET: "unavailable",
  EPIPE: "unavailable",
  ETIMEDOUT: "deadline_exceeded",
  ABORT_ERR: "cancelled",
};

function codeOf(error: Error): ErrorCode {
  const { code } = error as { code?: unknown };
  if (isErrorCode(error.name)) return error.name;
  if (typeof code === "string") return ERRNO_CODES[code] ?? (isErrorCode(code) ? code : "internal");
  if (error.name === "AbortError") return "cancelled";
  return "internal";
}

/**
 * Stops on what only our own mistake can cause. On in production; one condition each.
 * @param message a function where it is asked once per token or sequence of a step: text that nobody reads costs more there
 *   than the condition
 * @throws MoesaicError internal
 */
export function assert(condition: unknown, message: string | (() => string)): asserts condition {
  if (condition) return;
  throw new MoesaicError("internal", `assertion failed: ${typeof message === "string" ? message : message()}`);
}
