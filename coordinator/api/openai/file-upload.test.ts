import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MoesaicError } from "../../../proto/errors.js";
import { errorReplyOf } from "./error-reply.js";
import { receiveFile } from "./file-upload.js";
import { MAX_FILE_BYTES, type FormPart } from "./form.js";

const MIB = Buffer.alloc(1 << 20);

/** A form with one file of so many bytes, which are never in memory together. */
async function* formWith(numBytes: number): AsyncGenerator<FormPart> {
  const bytes = async function* (): AsyncGenerator<Uint8Array> {
    for (let left = numBytes; left > 0; left -= MIB.length) yield MIB.subarray(0, Math.min(left, MIB.length));
  };
  yield { kind: "file", name: "file", filename: "a.jsonl", bytes: bytes() };
}

describe("receiveFile", () => {
  it("keeps the largest file that is taken, whole", async () => {
    let numKept = 0;
    const keep = async (bytes: Uint8Array): Promise<void> => void (numKept += bytes.length);
    assert.equal((await receiveFile(formWith(MAX_FILE_BYTES), keep)).numBytes, MAX_FILE_BYTES);
    assert.equal(numKept, MAX_FILE_BYTES);
  });

  it("refuses a larger one as too large, as OpenAI does", async () => {
    const error = await receiveFile(formWith(MAX_FILE_BYTES + 1), async () => {}).then(
      () => assert.fail("it was taken"),
      (caught: unknown) => MoesaicError.from(caught),
    );
    const { status, body } = errorReplyOf(error);
    assert.equal(status, 413);
    assert.deepEqual([body.error.type, body.error.param], ["invalid_request_error", "file"]);
    assert.match(body.error.message, /expected at most 209715200 bytes/);
  });
});
