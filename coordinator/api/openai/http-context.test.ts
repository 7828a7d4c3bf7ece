import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, it } from "node:test";
import type { FastifyReply, FastifyRequest } from "fastify";
import { ManualClock } from "../../../proto/clock.js";
import { trustLoopback, type RequestContext } from "../request-context.js";
import { httpContext } from "./http-context.js";

function contextOf(headers: Record<string, string>): RequestContext {
  const raw = {
    headers: { host: "127.0.0.1:8000", ...headers },
    socket: { remoteAddress: "127.0.0.1", remotePort: 1 },
  };
  const request = { raw, headers: raw.headers } as unknown as FastifyRequest;
  const reply = { raw: new EventEmitter() } as unknown as FastifyReply;
  return httpContext("/moesaic.v1.Inference/Generate", request, reply, {
    authenticate: trustLoopback,
    clock: new ManualClock(),
  });
}

describe("httpContext", () => {
  it("takes over the caller's trace with its state", () => {
    const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
    const context = contextOf({ traceparent, tracestate: "vendor=1,other=2" });
    assert.equal(context.traceparent, traceparent);
    assert.equal(context.tracestate, "vendor=1,other=2");
  });

  it("has no trace where the caller has none, or one that is no text", () => {
    assert.equal(contextOf({}).traceparent, null);
    assert.equal(contextOf({ tracestate: "a=\u0001" }).tracestate, undefined);
  });
});
