import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import * as fc from "fast-check";
import { MoesaicError } from "../../proto/errors.js";
import { filledSafetensors, hostileFiles, safetensors } from "../../test/hostile-checkpoint.js";
import { parseHeader, readHeader, type SafetensorsHeader } from "./safetensors.js";

const FILE = "evil.safetensors";

describe("parseHeader", () => {
  it("gives each tensor's place in the file", () => {
    const header = '{"__metadata__":{"format":"pt"},"b\\u002ew":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}} ';
    const bytes = safetensors(header, 12);
    const { tensors, dataOffset } = parseHeader(bytes, bytes.length, FILE);
    assert.equal(dataOffset, 8 + header.length);
    assert.deepEqual(
      [...tensors.values()],
      [{ name: "b.w", dtype: "BF16", shape: [2, 3], fileOffset: dataOffset, bytes: 12 }],
    );
  });

  it("takes scalars, empty tensors and tensors in any order", () => {
    const header = {
      last: { dtype: "F32", shape: [], data_offsets: [2, 6] },
      none: { dtype: "I64", shape: [0, 5], data_offsets: [2, 2] },
      first: { dtype: "F4", shape: [4], data_offsets: [0, 2] },
    };
    const bytes = safetensors(header, 6);
    const { tensors, dataOffset } = parseHeader(bytes, bytes.length, FILE);
    const offsets = [...tensors].map(([name, { fileOffset, bytes }]) => [name, fileOffset - dataOffset, bytes]);
    assert.deepEqual(offsets, [
      ["last", 2, 4],
      ["none", 2, 0],
      ["first", 0, 2],
    ]);
  });

  it("takes a tensor named like a property of every object", () => {
    const bytes = safetensors('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1);
    assert.equal(parseHeader(bytes, bytes.length, FILE).tensors.get("__proto__")?.bytes, 1);
  });

  it("needs the header only, not the data", () => {
    const bytes = safetensors({ a: { dtype: "U8", shape: [1e12], data_offsets: [0, 1e12] } });
    assert.equal(parseHeader(bytes, bytes.length + 1e12, FILE).tensors.get("a")?.bytes, 1e12);
  });

  for (const { name, bytes, place, message } of hostileFiles) {
    it(`refuses ${name}`, () => {
      const error = refusal(() => parseHeader(bytes, bytes.length, FILE));
      assert.equal(error.code, "invalid_argument");
      assert.ok(error.place?.startsWith(FILE + place), `place ${error.place}`);
      if (place === "") assert.equal(error.place, FILE);
      assert.match(error.message, message);
    });
  }

  it("keeps a hostile name's control characters out of the error", () => {
    const bytes = safetensors('{"\\u001b[2J\\n\\u202e":{"dtype":"?","shape":[],"data_offsets":[0,0]}}');
    const error = refusal(() => parseHeader(bytes, bytes.length, FILE));
    assert.equal(error.place, `${FILE}: tensor \\u{1b}[2J\\u{a}\\u{202e}`);
  });

  // Whatever the bytes: a header whose tensors lie in the file and cover it, or a MoesaicError; never another exception.
  it("ends with a header or a typed error on random bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), survives), { numRuns: 2000 });
  });

  it("ends with a header or a typed error on random JSON", () => {
    const property = fc.property(fc.json({ maxDepth: 4 }), (json) => survives(safetensors(json)));
    fc.assert(property, { numRuns: 2000 });
  });

  it("ends with a header or a typed error on a mutated file", () => {
    const good = filledSafetensors(
      [
        { name: "model.norm.weight", dtype: "BF16", shape: [4] },
        { name: "lm_head.weight", dtype: "U8", shape: [2, 3] },
      ],
      (offset) => offset,
    );
    const edit = fc.record({
      at: fc.nat(good.length - 1),
      byte: fc.nat(255),
      kind: fc.constantFrom("set", "cut", "add"),
    });
    const property = fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
      survives(edits.reduce((bytes, { at, byte, kind }) => mutate(bytes, at, byte, kind), good));
    });
    fc.assert(property, { numRuns: 5000 });
  });

  it("refuses every shorter cut of a good file", () => {
    const good = filledSafetensors([{ name: "a", dtype: "U8", shape: [40] }], (offset) => offset);
    for (let bytes = 0; bytes < good.length; bytes++) {
      assert.match(refusal(() => parseHeader(good.subarray(0, bytes), bytes, FILE)).message, /truncated/);
    }
  });
});

describe("readHeader", () => {
  let dir = "";
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "moesaic-safetensors-"));
  });
  after(() => rm(dir, { recursive: true }));

  it("reads from a file what parseHeader reads from its bytes", async () => {
    const path = join(dir, "good.safetensors");
    const bytes = filledSafetensors([{ name: "a", dtype: "BF16", shape: [3, 5] }], (offset) => offset);
    await writeFile(path, bytes);
    assert.deepEqual(await readHeader(path), parseHeader(bytes, bytes.length, path));
  });

  it("refuses every hostile file with the same error as parseHeader", async () => {
    const path = join(dir, "evil.safetensors");
    for (const { name, bytes } of hostileFiles) {
      await writeFile(path, bytes);
      const expected = refusal(() => parseHeader(bytes, bytes.length, path));
      await assert.rejects(readHeader(path), { message: expected.message, place: expected.place }, name);
    }
  });

  it("says that a file is not there", async () => {
    const path = join(dir, "absent.safetensors");
    await assert.rejects(readHeader(path), { name: "MoesaicError", code: "not_found", place: path });
  });

  it("refuses a folder and a device", async () => {
    for (const path of [dir, "/dev/zero"]) {
      await assert.rejects(readHeader(path), { code: "invalid_argument", message: /regular file/ });
    }
  });
});

function refusal(parse: () => unknown): MoesaicError {
  try {
    parse();
  } catch (caught) {
    assert.ok(caught instanceof MoesaicError, `threw ${String(caught)}`);
    return caught;
  }
  assert.fail("was not refused");
}

function survives(bytes: Uint8Array): void {
  let header: SafetensorsHeader;
  try {
    header = parseHeader(bytes, bytes.length, FILE);
  } catch (caught) {
    assert.ok(caught instanceof MoesaicError, `threw ${String(caught)}`);
    assert.equal(caught.code, "invalid_argument");
    return;
  }
  const total = [...header.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0);
  assert.equal(header.dataOffset + total, bytes.length);
}

function mutate(bytes: Buffer, at: number, byte: number, kind: string): Buffer {
  const head = bytes.subarray(0, at);
  const tail = bytes.subarray(kind === "add" ? at : at + 1);
  return Buffer.concat([head, kind === "cut" ? Buffer.alloc(0) : Buffer.from([byte]), tail]);
}
