import assert from "node:assert/strict";
import { MoesaicError } from "../proto/errors.js";

/** What a call throws, which must be one of ours. */
export function thrownBy(call: () => unknown): MoesaicError {
  try {
    call();
  } catch (caught) {
    assert.ok(caught instanceof MoesaicError, String(caught));
    return caught;
  }
  throw new Error("nothing was thrown");
}

/** For assert.throws and assert.rejects. */
export function failure(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MoesaicError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}
