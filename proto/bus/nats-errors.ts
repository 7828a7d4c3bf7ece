import type { NatsError } from "nats";
import { MoesaicError, type ErrorCode } from "../errors.js";

/** What the `nats` package threw while doing `what`, as one of ours that says what to do. */
export function fromNats(caught: unknown, what: string): MoesaicError {
  if (caught instanceof MoesaicError) return caught;
  const error = caught as Partial<NatsError>;
  const { code, advice } = meaningOf(error);
  const text = error.api_error?.description ?? error.message ?? String(caught);
  return new MoesaicError(code, `${what}: ${text}; ${advice}`, {
    cause: caught,
    ...(code === "unavailable" ? { retryAfterMs: 1000 } : {}),
  });
}

/** Whether a write was refused because the key has another revision than was expected. */
export function isOtherRevision(caught: unknown): boolean {
  return (caught as Partial<NatsError>).api_error?.err_code === WRONG_LAST_SEQUENCE;
}

/** Whether a bucket could not be made because another client was making it. */
export function isMadeByAnother(caught: unknown): boolean {
  return MADE_BY_ANOTHER.has((caught as Partial<NatsError>).api_error?.err_code ?? 0);
}

/** Whether a request reached nobody, and so did nothing. */
export function isUnheard(caught: unknown): boolean {
  const { code, api_error } = caught as Partial<NatsError>;
  return code === NO_RESPONDERS && api_error === undefined;
}

interface Meaning {
  code: ErrorCode;
  advice: string;
}

function meaningOf(error: Partial<NatsError>): Meaning {
  if (error.api_error !== undefined) return meaningOfAnswer(error.api_error.code, error.api_error.err_code);
  return MEANINGS[error.code ?? ""] ?? UNKNOWN;
}

/** JetStream's own answers carry a status as HTTP has it and a number of their own. */
function meaningOfAnswer(status: number, number = 0): Meaning {
  if (OUT_OF_SPACE.has(number)) {
    return { code: "resource_exhausted", advice: "give JetStream more storage, or delete streams nobody needs" };
  }
  if (status === 503 || status === 404) return JETSTREAM_AWAY;
  return UNKNOWN;
}

const JETSTREAM_AWAY: Meaning = {
  code: "unavailable",
  advice: "see that the server runs with JetStream on (nats-server -js -sd DIR), then retry",
};
const SERVER_AWAY: Meaning = {
  code: "unavailable",
  advice: "see that nats-server runs and can be reached, then retry",
};
const FORBIDDEN: Meaning = {
  code: "failed_precondition",
  advice: "check the credentials file of the bus and what the server allows its user",
};
const TLS: Meaning = {
  code: "failed_precondition",
  advice:
    "write tls:// for a server with TLS, nats:// for one without, and let Node.js know its CA (NODE_EXTRA_CA_CERTS)",
};
const UNKNOWN: Meaning = { code: "internal", advice: "the server's log may say more" };

const MEANINGS: Readonly<Record<string, Meaning>> = {
  "503": JETSTREAM_AWAY,
  TIMEOUT: { code: "deadline_exceeded", advice: "it may have happened all the same" },
  CONNECTION_REFUSED: SERVER_AWAY,
  CONNECTION_TIMEOUT: SERVER_AWAY,
  CONNECTION_CLOSED: SERVER_AWAY,
  DISCONNECT: SERVER_AWAY,
  CANCELLED: SERVER_AWAY,
  ECONNREFUSED: SERVER_AWAY,
  ECONNRESET: SERVER_AWAY,
  EHOSTUNREACH: SERVER_AWAY,
  ENETUNREACH: SERVER_AWAY,
  ENOTFOUND: SERVER_AWAY,
  EAI_AGAIN: SERVER_AWAY,
  BAD_AUTHENTICATION: FORBIDDEN,
  AUTHORIZATION_VIOLATION: FORBIDDEN,
  AUTHENTICATION_EXPIRED: FORBIDDEN,
  AUTHENTICATION_TIMEOUT: FORBIDDEN,
  ACCOUNT_EXPIRED: FORBIDDEN,
  PERMISSIONS_VIOLATION: FORBIDDEN,
  SERVER_OPT_NA: TLS,
  TLS,
  DEPTH_ZERO_SELF_SIGNED_CERT: TLS,
  SELF_SIGNED_CERT_IN_CHAIN: TLS,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS,
  CERT_HAS_EXPIRED: TLS,
  ERR_TLS_CERT_ALTNAME_INVALID: TLS,
};

const NO_RESPONDERS = "503";
const WRONG_LAST_SEQUENCE = 10071;
/** The name is in use with another configuration, or the subjects belong to a stream: both said of one that is not whole yet. */
const MADE_BY_ANOTHER: ReadonlySet<number> = new Set([10058, 10065]);
/** Insufficient resources, storage or memory resources exceeded, maximum bytes. */
const OUT_OF_SPACE: ReadonlySet<number> = new Set([10023, 10028, 10047, 10052, 10054, 10077]);
