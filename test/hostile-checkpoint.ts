/**
 * Checkpoints as an attacker or a broken download would leave them, each with the error it must give. Sizes are a few
 * bytes, so that a test can afford all of them.
 */
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ErrorCode } from "../proto/errors.js";

/** One safetensors file that must be refused: `place` follows the file's name, `message` says what was wrong. */
export interface HostileFile {
  name: string;
  bytes: Buffer;
  place: string;
  message: RegExp;
}

/** One model folder that must be refused. `place` is searched in the error's place. */
export interface HostileFolder {
  name: string;
  files: Record<string, string | Buffer>;
  code: ErrorCode;
  place: string;
  message: RegExp;
}

/** A tensor to be stored, of as many bytes as dtype and shape ask for. */
export interface TensorSpec {
  name: string;
  dtype: "BF16" | "U8" | "F32";
  shape: number[];
}

export const hostileFiles: readonly HostileFile[] = [
  // ---- length ------------------------------------------------------------------------------------------------------
  file("an empty file", Buffer.alloc(0), "", /truncated: wanted 10 bytes, there are 0/),
  file("a length without a header", lengthPrefix(2n), "", /truncated: wanted 10 bytes, there are 8/),
  file("a truncated header", safetensors(one()).subarray(0, 30), "", /truncated: wanted \d+ bytes, there are 30/),
  file("a header length of 0", withLength(0n), "", /header length from 2 .* there is 0/),
  file("a header length of 2^64 - 1", withLength(2n ** 64n - 1n), "", /there is 18446744073709551615/),
  file("a header length over the format's limit", withLength(100_000_001n), "", /header length .* 100000001/),
  file("a header length over the file's size", withLength(99_999n), "", /truncated: wanted 100007 bytes/),
  file("a header length that cuts the JSON", withLength(20n), ": header byte 20", /the end of the text/),
  file("a header length that reaches into the data", withLength(1n, true), ": header byte", /wanted the end/),

  // ---- JSON --------------------------------------------------------------------------------------------------------
  file("white space before the header", safetensors(` ${JSON.stringify(one())}`, 4), ": header byte 0", /byte 32/),
  file("an array for a header", safetensors("[]"), ": header byte 0", /wanted "\{"/),
  file("JSON that ends early", safetensors('{"a":'), ": header byte 5", /the end of the text/),
  file("a comma too many", safetensors("{,}"), ": header byte 1", /wanted "\\""/),
  file("a second value after the header", safetensors("{}{}"), ": header byte 2", /wanted the end/),
  file("bytes that are not UTF-8 in a name", notUtf8(), ": header byte 2", /UTF-8/),
  file("half a surrogate pair in a name", safetensors('{"\\ud800":{}}'), ": header byte 2", /valid escapes/),
  file("an unknown escape in a name", safetensors('{"\\x":{}}'), ": header byte 2", /valid escapes/),
  file("a line break in a name", safetensors('{"a\n":{}}'), ": header byte 3", /byte 10/),
  file("a name of 600 bytes", safetensors({ ["n".repeat(600)]: entry() }, 4), ": header byte 2", /at most 512 bytes/),
  file("the same tensor twice", twice('"a"', '"a"'), ": header byte 53", /the key a once/),
  file("the same tensor twice, once escaped", twice('"a"', '"\\u0061"'), ": header byte 53", /the key a once/),
  file("a field twice", safetensors('{"a":{"dtype":"U8","dtype":"U8"}}'), ": header byte 19", /key dtype once/),
  file("metadata that is not text", safetensors({ __metadata__: { n: 1 } }), ": header byte 21", /wanted "\\""/),
  file("nested metadata", safetensors({ __metadata__: { n: {} } }), ": header byte 21", /wanted "\\""/),
  file("a million open braces", safetensors('{"a":'.repeat(200_000)), ": tensor a", /wanted the fields/),

  // ---- fields ------------------------------------------------------------------------------------------------------
  file("a tensor without a shape", safetensors('{"a":{"dtype":"U8"}}'), ": tensor a", /there is dtype/),
  file("an unknown field", safetensors({ a: { ...entry(), device: 0 } }), ": tensor a", /there is device/),
  file("an unknown dtype", safetensors({ a: { ...entry(), dtype: "Q4_K" } }), ": tensor a", /there is Q4_K/),
  file("a dtype named like a method", safetensors({ a: { ...entry(), dtype: "toString" } }), ": tensor a", /dtype/),
  file("a negative axis", withField("shape", "[-4]"), ": header byte 28", /whole number .* there is -4/),
  file("a fractional axis", withField("shape", "[4.5]"), ": header byte 28", /there is 4\.5/),
  file("an axis with an exponent", withField("shape", "[4e0]"), ": header byte 28", /there is 4e0/),
  file("an axis of 2^53", withField("shape", "[9007199254740992]"), ": header byte 28", /2\^53/),
  file("an axis that is text", withField("shape", '["4"]'), ": header byte 28", /there is "\\""/),
  file("a shape of nine axes", withField("shape", `[${"1,".repeat(8)}4]`), ": tensor a", /at most 8 axes/),
  file("a shape whose product overflows", withField("shape", "[4294967296,4294967296]"), ": tensor a", /2\^53/),
  file(
    "a shape whose product wraps to the right size",
    withField("shape", "[4294967296,4294967296,4]"),
    ": tensor a",
    /2\^53/,
  ),
  file(
    "half a byte of F4",
    safetensors({ a: { dtype: "F4", shape: [3], data_offsets: [0, 2] } }, 2),
    ": tensor a",
    /whole bytes/,
  ),

  // ---- offsets -----------------------------------------------------------------------------------------------------
  file("offsets that go backwards", withField("data_offsets", "[4,0]"), ": tensor a", /begin <= end/),
  file("one offset", withField("data_offsets", "[4]"), ": tensor a", /begin, end/),
  file("three offsets", withField("data_offsets", "[0,4,8]"), ": tensor a", /at most 2 data_offsets/),
  file("a negative offset", withField("data_offsets", "[-4,0]"), ": header byte 47", /there is -4/),
  file(
    "more bytes than the shape asks for",
    withField("data_offsets", "[0,8]", 8),
    ": tensor a",
    /wanted 4 bytes .* 8/,
  ),
  file(
    "fewer bytes than the shape asks for",
    withField("data_offsets", "[0,3]", 3),
    ": tensor a",
    /wanted 4 bytes .* 3/,
  ),
  file("two tensors that overlap", two([0, 4], [2, 6], 6), ": tensor b", /overlaps .* wanted begin 4, there is 2/),
  file("two tensors in one place", two([0, 4], [0, 4], 4), ": tensor b", /overlaps/),
  file("a hole between two tensors", two([0, 4], [5, 9], 9), ": tensor b", /hole .* wanted begin 4, there is 5/),
  file("a hole before the first tensor", withField("data_offsets", "[4,8]", 8), ": tensor a", /hole/),
  file("truncated data", safetensors(one(), 3), "", /truncated: wanted \d+ bytes/),
  file("bytes after the last tensor", safetensors(one(), 5), "", /belong to no tensor/),
  file(
    "offsets far behind the end",
    withField("data_offsets", "[9007199254740987,9007199254740991]"),
    ": tensor a",
    /hole/,
  ),
];

export const hostileFolders: readonly HostileFolder[] = [
  folder("an empty folder", {}, "not_found", "", /wanted model\.safetensors\.index\.json or model\.safetensors/),
  indexed("an index pointing outside the folder", { a: "../evil.safetensors" }, "tensor a", /in the same folder/),
  indexed("an index with an absolute path", { a: "/etc/evil.safetensors" }, "tensor a", /in the same folder/),
  indexed("an index into a folder below", { a: "sub/evil.safetensors" }, "tensor a", /in the same folder/),
  indexed("an index with a Windows path", { a: "..\\evil.safetensors" }, "tensor a", /in the same folder/),
  indexed("an index with a drive", { a: "C:evil.safetensors" }, "tensor a", /in the same folder/),
  indexed("an index with a NUL in a name", { a: "evil\0.safetensors" }, "tensor a", /in the same folder/),
  indexed("an index that names another kind of file", { a: "weights.bin" }, "tensor a", /\.safetensors file/),
  indexed("an index with a number for a file", { a: 7 }, "tensor a", /there is 7/),
  indexed("an index without tensors", {}, "index.json", /weight_map/),
  folder(
    "an index that is a list",
    { "model.safetensors.index.json": "[]" },
    "invalid_argument",
    "index.json",
    /weight_map/,
  ),
  folder(
    "an index with one tensor in two files",
    { "model.safetensors.index.json": '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}' },
    "invalid_argument",
    "index.json: byte 35",
    /the key a once/,
  ),
  folder(
    "an index nested without end",
    { "model.safetensors.index.json": "[".repeat(100_000) },
    "invalid_argument",
    "index.json: byte 65",
    /64 levels/,
  ),
  folder(
    "an index that is not JSON",
    { "model.safetensors.index.json": '{"weight_map": NaN}' },
    "invalid_argument",
    "index.json: byte 15",
    /wanted a JSON value/,
  ),
  folder(
    "a missing shard",
    { ...index({ a: "x.safetensors", b: "y.safetensors" }), "x.safetensors": safetensors(one(), 4) },
    "not_found",
    "y.safetensors",
    /download the missing shard/,
  ),
  folder(
    "a tensor in two files",
    {
      ...index({ a: "x.safetensors", b: "y.safetensors" }),
      "x.safetensors": safetensors(one(), 4),
      "y.safetensors": two([0, 4], [4, 8], 8),
    },
    "invalid_argument",
    "y.safetensors: tensor a",
    /also in .*x\.safetensors/,
  ),
  folder(
    "a tensor in another file than the index says",
    {
      ...index({ a: "x.safetensors", b: "x.safetensors", c: "y.safetensors" }),
      "x.safetensors": safetensors(one(), 4),
      "y.safetensors": safetensors({ b: entry() }, 4),
    },
    "not_found",
    "x.safetensors: tensor b",
    /it is in .*y\.safetensors/,
  ),
  folder(
    "a tensor of the index that is in no file",
    { ...index({ a: "x.safetensors", b: "x.safetensors" }), "x.safetensors": safetensors(one(), 4) },
    "not_found",
    "x.safetensors: tensor b",
    /in none of the files/,
  ),
  folder(
    "a damaged shard",
    { ...index({ a: "x.safetensors" }), "x.safetensors": safetensors(one(), 2) },
    "invalid_argument",
    "x.safetensors",
    /truncated/,
  ),
];

/** A safetensors file: the length, the header (spelled as given when it is text), and `dataBytes` zeros. */
export function safetensors(header: string | Buffer | object, dataBytes = 0): Buffer {
  const json = Buffer.isBuffer(header) || typeof header === "string" ? header : JSON.stringify(header);
  const bytes = Buffer.from(json);
  return Buffer.concat([lengthPrefix(BigInt(bytes.length)), bytes, Buffer.alloc(dataBytes)]);
}

/** Writes the files of a hostile or a good model folder, which is made. */
export async function writeFolder(path: string, files: Record<string, string | Buffer>): Promise<void> {
  await mkdir(path, { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
}

/** As the Hugging Face cache does: the named file is a symbolic link to one elsewhere. */
export async function writeLinked(path: string, target: string, content: Buffer): Promise<void> {
  await writeFile(target, content);
  await symlink(target, path);
}

/** Writes a well-formed file of any size that takes no room on disk: its tensors are zeros that were never written. */
export async function writeSparse(path: string, tensors: readonly TensorSpec[]): Promise<void> {
  const { header, dataBytes } = layOut(tensors);
  const start = safetensors(header);
  await writeFile(path, start);
  await truncate(path, start.length + dataBytes);
}

/** A well-formed file whose data bytes are `byteAt(offset in the data)`. */
export function filledSafetensors(tensors: readonly TensorSpec[], byteAt: (offset: number) => number): Buffer {
  const { header, dataBytes } = layOut(tensors);
  return Buffer.concat([safetensors(header), Buffer.from(Array.from({ length: dataBytes }, (_, i) => byteAt(i)))]);
}

const ELEMENT_BYTES = { BF16: 2, U8: 1, F32: 4 } as const;

function layOut(tensors: readonly TensorSpec[]): { header: object; dataBytes: number } {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(({ name, dtype, shape }) => {
      const begin = end;
      end += shape.reduce((product, axis) => product * axis, ELEMENT_BYTES[dtype]);
      return [name, { dtype, shape, data_offsets: [begin, end] }];
    }),
  );
  return { header, dataBytes: end };
}

function file(name: string, bytes: Buffer, place: string, message: RegExp): HostileFile {
  return { name, bytes, place, message };
}

function folder(
  name: string,
  files: Record<string, string | Buffer>,
  code: ErrorCode,
  place: string,
  message: RegExp,
): HostileFolder {
  return { name, files, code, place, message };
}

function indexed(name: string, weightMap: Record<string, unknown>, place: string, message: RegExp): HostileFolder {
  return folder(name, index(weightMap), "invalid_argument", place, message);
}

function index(weightMap: Record<string, unknown>): Record<string, string> {
  return { "model.safetensors.index.json": JSON.stringify({ metadata: { total_size: 0 }, weight_map: weightMap }) };
}

function entry(): object {
  return { dtype: "U8", shape: [4], data_offsets: [0, 4] };
}

function one(): object {
  return { a: entry() };
}

function two(first: [number, number], second: [number, number], dataBytes: number): Buffer {
  return safetensors({ a: { ...entry(), data_offsets: first }, b: { ...entry(), data_offsets: second } }, dataBytes);
}

function twice(firstKey: string, secondKey: string): Buffer {
  const value = JSON.stringify(entry());
  return safetensors(`{${firstKey}:${value},${secondKey}:${value}}`, 4);
}

/** The tensor `a` with one field spelled as given. */
function withField(field: "shape" | "data_offsets", text: string, dataBytes = 4): Buffer {
  const fields = { dtype: '"U8"', shape: "[4]", data_offsets: "[0,4]", [field]: text };
  const spelled = Object.entries(fields).map(([key, value]) => `"${key}":${value}`);
  return safetensors(`{"a":{${spelled.join()}}}`, dataBytes);
}

/** A good file with another length in front; `added` counts from the true length. */
function withLength(headerBytes: bigint, added = false): Buffer {
  const bytes = safetensors(one(), 4);
  const length = added ? bytes.readBigUInt64LE(0) + headerBytes : headerBytes;
  return Buffer.concat([lengthPrefix(length), bytes.subarray(8)]);
}

function notUtf8(): Buffer {
  return safetensors(Buffer.concat([Buffer.from('{"'), Buffer.from([0xc3, 0x28]), Buffer.from('":{}}')]));
}

function lengthPrefix(headerBytes: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(headerBytes);
  return bytes;
}
