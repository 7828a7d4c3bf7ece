import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { readHeader } from "../worker/checkpoint/safetensors.js";
import { SafetensorsWriter } from "./safetensors-writer.js";

describe("SafetensorsWriter", () => {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-test-"));
  after(() => rmSync(folder, { recursive: true }));

  it("writes a file that the checkpoint reader takes, in pieces and in any order", async () => {
    const path = join(folder, "a.safetensors");
    const writer = await SafetensorsWriter.create(path, [
      { name: "first", shape: [2, 3] },
      { name: "second", shape: [1] },
    ]);
    await writer.write("second", 0, Float32Array.of(7));
    await writer.write("first", 3, Float32Array.of(4, 5, 6));
    assert.ok(!existsSync(path), "an unfinished file does not have its name");
    await writer.write("first", 0, Float32Array.of(1, 2, 3));
    await writer.finish();
    const { tensors } = await readHeader(path);
    const bytes = readFileSync(path);
    const values = (name: string) => {
      const { fileOffset, bytes: length } = tensors.get(name)!;
      return [...new Float32Array(Uint8Array.from(bytes.subarray(fileOffset, fileOffset + length)).buffer)];
    };
    assert.deepEqual(tensors.get("first")!.shape, [2, 3]);
    assert.deepEqual([values("first"), values("second")], [[1, 2, 3, 4, 5, 6], [7]]);
    assert.equal(Number(bytes.readBigUInt64LE(0)) % 8, 0, "tensors begin at a multiple of 8");
  });

  it("leaves nothing behind when it is abandoned", async () => {
    const path = join(folder, "b.safetensors");
    const writer = await SafetensorsWriter.create(path, [{ name: "a", shape: [4] }]);
    await writer.abandon();
    assert.ok(!existsSync(path) && !existsSync(`${path}.unfinished`));
  });

  it("refuses to finish a file with a hole, and values that do not fit", async () => {
    const writer = await SafetensorsWriter.create(join(folder, "c.safetensors"), [{ name: "a", shape: [2] }]);
    await assert.rejects(writer.write("a", 1, Float32Array.of(1, 2)), { code: "internal" });
    await writer.write("a", 1, Float32Array.of(1));
    await assert.rejects(writer.finish(), { code: "internal" });
    await writer.abandon();
  });
});
