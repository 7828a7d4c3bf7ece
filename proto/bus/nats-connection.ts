import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { credsAuthenticator, type Authenticator, type ConnectionOptions, type NatsConnection } from "nats";
import { systemClock } from "../clock.js";
import { MoesaicError } from "../errors.js";
import { fromNats } from "./nats-errors.js";
import { connectNats } from "./nats-transport.js";

export interface NatsOptions {
  /** `nats://host:port`, or `tls://host:port` where the server must prove who it is. No user or password in it. */
  url: string;
  /** File with the JWT and seed of a NATS user (`.creds`), read again at every reconnect; null for a server without. */
  credentialsFile: string | null;
  /** Shown by the server's monitoring, such as `coordinator`. */
  clientName: string;
  /** How long the first connection may take. Default 10 s. */
  connectTimeoutMs?: number;
}

/**
 * The first connection, tried until it is there or the time is over; later the package reconnects for ever, at first
 * every 100 ms, then the more seldom the longer the outage lasts, every 5 s at most.
 * @throws MoesaicError unavailable with what to do; failed_precondition where the server refuses us; invalid_argument
 *   for a URL or credentials file that is none
 */
export async function openNatsConnection(options: NatsOptions): Promise<NatsConnection> {
  const timeoutMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
  const endMs = systemClock.nowMs() + timeoutMs;
  const settings = connectionOptions(options);
  for (;;) {
    const leftMs = endMs - systemClock.nowMs();
    try {
      return await connectNats({ ...settings, timeout: Math.max(1, Math.min(leftMs, ATTEMPT_TIMEOUT_MS)) });
    } catch (caught) {
      const error = asRefusal(caught, options, timeoutMs);
      if (error.code !== "unavailable" || leftMs <= FIRST_RETRY_MS) throw error;
      await sleep(FIRST_RETRY_MS);
    }
  }
}

function connectionOptions({ url, credentialsFile, clientName }: NatsOptions): ConnectionOptions {
  checkUrl(url);
  return {
    servers: url,
    name: clientName,
    ...(url.startsWith("tls://") ? { tls: {} } : {}),
    ...(credentialsFile === null ? {} : { authenticator: authenticatorFrom(credentialsFile) }),
    maxReconnectAttempts: -1,
    reconnectDelayHandler: reconnectDelay(),
    // Credentials may be renewed while we are away: a refusal is no reason to give up for ever.
    ignoreAuthErrorAbort: true,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    noAsyncTraces: true,
  };
}

function checkUrl(url: string): void {
  const isPlain = /^(nats|tls):\/\/[^\s/@]{1,500}$/.test(url);
  if (isPlain && URL.canParse(url)) return;
  // What stands before an @ is a secret: it is not repeated.
  const got = url.replace(/\/\/.*@/, "//…@").slice(0, 100);
  throw new MoesaicError(
    "invalid_argument",
    `bus: expected nats://HOST:PORT or tls://HOST:PORT, credentials in a file, got ${JSON.stringify(got)}`,
  );
}

/** Reads the file now, to say at once what is wrong with it, and whenever the server asks: it may be renewed. */
function authenticatorFrom(path: string): Authenticator {
  let credentials = readCredentials(path);
  return (nonce) => {
    try {
      credentials = readCredentials(path);
    } catch {
      // Half-written or gone for a moment: the server decides about those we had.
    }
    return credsAuthenticator(credentials)(nonce);
  };
}

function readCredentials(path: string): Uint8Array {
  const credentials = readFile(path);
  try {
    credsAuthenticator(credentials)("nonce");
  } catch (cause) {
    const message = "expected the JWT and seed of a NATS user, as nsc writes them, found something else";
    throw new MoesaicError("invalid_argument", message, { place: path, cause });
  }
  return credentials;
}

function readFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code, message } = MoesaicError.from(cause);
    throw new MoesaicError(code, `the bus needs this credentials file: ${message}`, { place: path, cause });
  }
}

function asRefusal(caught: unknown, { url }: NatsOptions, timeoutMs: number): MoesaicError {
  const error = fromNats(caught, `connecting to ${url}`);
  if (error.code === "internal") return notNats(caught, url);
  if (error.code !== "unavailable" && error.code !== "deadline_exceeded") return error;
  return new MoesaicError(
    "unavailable",
    `no NATS server at ${url} within ${timeoutMs} ms: start it (nats-server -js -sd DIR; on Debian and Ubuntu ` +
      "apt-get install nats-server), correct the address, or use the embedded bus",
    { cause: caught },
  );
}

function notNats(cause: unknown, url: string): MoesaicError {
  const { message } = MoesaicError.from(cause);
  const text = `what answers at ${url} does not speak as a NATS server does (${message}): correct the address`;
  return new MoesaicError("failed_precondition", text, { cause });
}

/** A quarter of the time since it was first asked after a pause, between 100 ms and 5 s, with jitter. */
function reconnectDelay(): () => number {
  let sinceMs = 0;
  let lastMs = -Infinity;
  return () => {
    const nowMs = systemClock.nowMs();
    if (nowMs - lastMs > 2 * MAX_RECONNECT_DELAY_MS) sinceMs = nowMs;
    lastMs = nowMs;
    const delayMs = Math.min(MAX_RECONNECT_DELAY_MS, Math.max(MIN_RECONNECT_DELAY_MS, (nowMs - sinceMs) / 4));
    return delayMs * (0.75 + Math.random() / 4);
  };
}

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const ATTEMPT_TIMEOUT_MS = 3000;
const FIRST_RETRY_MS = 200;
const PING_INTERVAL_MS = 5000;
const MIN_RECONNECT_DELAY_MS = 100;
const MAX_RECONNECT_DELAY_MS = 5000;
