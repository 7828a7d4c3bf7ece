import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_CODES, MoesaicError } from "./errors.js";
import { fromGrpcStatus, toStatusError } from "./grpc-status.js";

describe("gRPC status", () => {
  for (const code of ERROR_CODES) {
    it(`carries ${code} with its message, place and retry time there and back`, () => {
      const error = fromGrpcStatus(
        toStatusError(new MoesaicError(code, "what", { place: "ü.yaml:1:2", retryAfterMs: 5 })),
      );
      assert.deepEqual([error.code, error.message, error.place, error.retryAfterMs], [code, "what", "ü.yaml:1:2", 5]);
    });
  }

  it("calls what it does not know internal", () => {
    assert.equal(fromGrpcStatus(Object.assign(new Error("x"), { code: 15, details: "lost" })).code, "internal");
    assert.equal(fromGrpcStatus("odd").code, "internal");
  });
});

describe("MoesaicError.from", () => {
  it("knows system errors by their errno, native errors by their name, and aborts", () => {
    assert.equal(MoesaicError.from(Object.assign(new Error("x"), { code: "ENOENT" })).code, "not_found");
    const native = new Error("bad shape");
    native.name = "invalid_argument";
    assert.equal(MoesaicError.from(native).code, "invalid_argument");
    assert.equal(MoesaicError.from(new DOMException("stop", "AbortError")).code, "cancelled");
  });
});
