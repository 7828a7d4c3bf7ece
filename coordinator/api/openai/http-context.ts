import { Metadata } from "@grpc/grpc-js";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../../../proto/clock.js";
import { MoesaicError } from "../../../proto/errors.js";
import { TENANT_KEY } from "../../../proto/tenant.js";
import { createRequestContext, type Authenticate, type RequestContext } from "../request-context.js";
import { refuseBrowserPages } from "./caller-check.js";

/** Milliseconds after which the caller does not want the answer any more. */
const TIMEOUT_HEADER = "x-request-timeout-ms";
const MAX_TIMEOUT_MS = 24 * 3_600_000;

/** Headers that say who calls, on whose account, as part of which trace: the same as over gRPC. */
const METADATA_HEADERS = ["authorization", "traceparent", "tracestate", TENANT_KEY] as const;

export interface Door {
  authenticate: Authenticate;
  clock: Clock;
}

/**
 * Who asks, before the body is read. The right to an endpoint is the right to the RPC that it stands for.
 * @param rpc such as `/moesaic.v1.Inference/Generate`
 * @throws MoesaicError failed_precondition for who may not call, invalid_argument for a timeout that is none
 */
export function httpContext(rpc: string, request: FastifyRequest, reply: FastifyReply, door: Door): RequestContext {
  refuseBrowserPages(request.raw);
  const { remoteAddress, remotePort } = request.raw.socket;
  const aborter = new AbortController();
  // Also after a whole answer, when there is nothing left to abort.
  reply.raw.once("close", () => aborter.abort());
  const call = {
    method: rpc,
    peer: `${remoteAddress ?? "unknown"}:${remotePort ?? 0}`,
    metadata: metadataOf(request),
    deadline: deadlineOf(request),
    signal: aborter.signal,
  };
  return createRequestContext(call, door.authenticate, door.clock);
}

function metadataOf({ headers }: FastifyRequest): Metadata {
  const metadata = new Metadata();
  for (const name of METADATA_HEADERS) {
    const value = headers[name];
    if (typeof value === "string" && /^[\x20-\x7e]*$/.test(value)) metadata.set(name, value);
  }
  return metadata;
}

function deadlineOf({ headers }: FastifyRequest): number {
  const text = headers[TIMEOUT_HEADER];
  if (text === undefined) return Infinity;
  const timeoutMs = Number(text);
  if (Number.isInteger(timeoutMs) && timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS) return Date.now() + timeoutMs;
  const message = `expected a whole number of milliseconds from 1 to ${MAX_TIMEOUT_MS}, got "${String(text)}"`;
  throw new MoesaicError("invalid_argument", message, { place: TIMEOUT_HEADER });
}
