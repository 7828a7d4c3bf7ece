import type { Metadata } from "@grpc/grpc-js";
import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { JOIN_TOKEN_KEY } from "../../proto/join-token.js";
import { checkTenant, DEFAULT_TENANT, TENANT_KEY } from "../../proto/tenant.js";

/** What a caller may do: use models, look at the cluster, steer it, be a rank of it. */
export type Role = "user" | "operator" | "admin" | "rank";

/** Who asks, on whose account, until when, as part of which trace. Made once per RPC, before its handler runs. */
export interface RequestContext {
  method: string;
  /** host:port of the caller. */
  peer: string;
  identity: string;
  roles: ReadonlySet<Role>;
  /** Fair sharing and cache salts go by tenant. */
  tenant: string;
  /** Monotonic milliseconds by the coordinator's clock; Infinity when the caller set none. */
  deadlineMs: number;
  /** W3C trace context of the caller, or null. */
  traceparent: string | null;
  /** What vendors of tracing add to it. */
  tracestate?: string;
  /** Aborted when the caller is gone or its deadline has passed. */
  signal: AbortSignal;
}

/** Whose a call is and what ends it: all that a generation knows of it. */
export type CallLimits = Pick<RequestContext, "tenant" | "deadlineMs" | "signal">;

/** The role each RPC asks for. An RPC that is not listed is denied: forgetting one fails closed. */
const REQUIRED_ROLES: Readonly<Record<string, Role>> = {
  "/moesaic.v1.Inference/Generate": "user",
  "/moesaic.v1.Inference/Cancel": "user",
  "/moesaic.v1.Inference/Logits": "user",
  "/moesaic.v1.Inference/Tokenize": "user",
  "/moesaic.v1.Inference/Detokenize": "user",
  "/moesaic.v1.Inference/ListModels": "user",
  "/moesaic.v1.Jobs/Submit": "user",
  "/moesaic.v1.Jobs/Get": "user",
  "/moesaic.v1.Jobs/List": "user",
  "/moesaic.v1.Jobs/Watch": "user",
  "/moesaic.v1.Jobs/Cancel": "user",
  "/moesaic.v1.Jobs/Delete": "user",
  "/moesaic.v1.Cluster/Status": "operator",
  "/moesaic.v1.Cluster/Watch": "operator",
  "/moesaic.v1.Cluster/Explain": "operator",
  "/moesaic.v1.Cluster/Drain": "admin",
  "/moesaic.v1.Rank/Attach": "rank",
};

/** Decides who a caller is. Until keys and certificates exist the API listens on loopback alone and trusts the machine. */
export type Authenticate = (peer: string, metadata: Metadata) => { identity: string; tenant: string; roles: Set<Role> };

/** Everybody on this machine is trusted with everything, and to say on whose account it asks. */
export const trustLoopback: Authenticate = (peer, metadata) => {
  if (!isLoopback(peer)) {
    throw new MoesaicError(
      "failed_precondition",
      `a caller from ${peer} is not on loopback, and no security is configured`,
    );
  }
  const tenant = checkTenant(String(metadata.get(TENANT_KEY)[0] ?? DEFAULT_TENANT));
  return { identity: "local", tenant, roles: new Set<Role>(["user", "operator", "admin", "rank"]) };
};

/** As `trustLoopback`, and whoever presents the cluster's join token may be a rank from anywhere, and nothing else. */
export function loopbackOrJoinToken(joinToken: string): Authenticate {
  return (peer, metadata) => {
    if (isLoopback(peer)) return trustLoopback(peer, metadata);
    const presented = metadata.get(JOIN_TOKEN_KEY)[0];
    if (typeof presented === "string" && isEqual(presented, joinToken)) {
      return { identity: `rank at ${peer}`, tenant: DEFAULT_TENANT, roles: new Set<Role>(["rank"]) };
    }
    const what =
      presented === undefined ? "presents no join token" : "presents a join token that is not this cluster's";
    throw new MoesaicError(
      "failed_precondition",
      `a caller from ${peer} is not on loopback and ${what}: a worker needs the same MOESAIC_JOIN_TOKEN as \`moesaic up\`; ` +
        "whoever is no worker is served on the coordinator's own machine alone, at 127.0.0.1",
    );
  };
}

/** In constant time, whatever the lengths. */
function isEqual(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

export interface CallFacts {
  method: string;
  peer: string;
  metadata: Metadata;
  deadline: Date | number;
  signal: AbortSignal;
}

/** @throws MoesaicError failed_precondition when the caller may not make this call */
export function createRequestContext(call: CallFacts, authenticate: Authenticate, clock: Clock): RequestContext {
  const { identity, tenant, roles } = authenticate(call.peer, call.metadata);
  const required = REQUIRED_ROLES[call.method];
  if (required === undefined || !roles.has(required)) {
    throw new MoesaicError(
      "failed_precondition",
      `${call.method}: ${identity} does not have the role ${required ?? "any"}; a join token makes a rank and nothing ` +
        "else, so make this call on the coordinator's own machine, at 127.0.0.1",
    );
  }
  const traceparent = call.metadata.get("traceparent")[0];
  const tracestate = call.metadata.get("tracestate")[0];
  return {
    method: call.method,
    peer: call.peer,
    identity,
    roles,
    tenant,
    deadlineMs: deadlineOf(call.deadline, clock),
    traceparent: typeof traceparent === "string" ? traceparent : null,
    ...(typeof tracestate === "string" ? { tracestate } : {}),
    signal: call.signal,
  };
}

/** gRPC's deadlines are wall-clock times; ours are monotonic. */
function deadlineOf(deadline: Date | number, clock: Clock): number {
  const remainingMs = Number(deadline) - Date.now();
  return Number.isFinite(remainingMs) ? clock.nowMs() + remainingMs : Infinity;
}

/** @param peer ADDRESS:PORT as the socket has it, an IPv6 address with or without brackets */
function isLoopback(peer: string): boolean {
  const address = peer.slice(0, peer.lastIndexOf(":")).replaceAll(/[[\]]/g, "");
  return address === "::1" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address);
}
