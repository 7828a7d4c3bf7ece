import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MoesaicError } from "./errors.js";
import { checkJoinToken } from "./join-token.js";

describe("checkJoinToken", () => {
  it("takes what cannot be guessed and can stand in a header", () => {
    for (const token of ["0123456789abcdef", "a-b_c/d+e=f.g~h!i", "x".repeat(256)]) {
      assert.equal(checkJoinToken(token), token);
    }
  });

  it("refuses the rest without repeating it", () => {
    for (const token of [
      "",
      "short",
      "x".repeat(257),
      "with a space in it",
      "sixteen characters\n",
      "säuerlich-sauerteig",
    ]) {
      assert.throws(
        () => checkJoinToken(token),
        ({ code, message }: MoesaicError) =>
          code === "invalid_argument" &&
          /expected 16 to 256/.test(message) &&
          (token === "" || !message.includes(token)),
      );
    }
  });
});
