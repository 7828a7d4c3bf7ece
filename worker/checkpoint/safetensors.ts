import { MoesaicError } from "../../proto/errors.js";
import { JsonCursor, shown } from "./json-cursor.js";
import { RegularFile } from "./regular-file.js";

/** One tensor as a header describes it; `shape` is row-major, outermost axis first, `[]` for a scalar. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Where its first byte is, counted from the start of the file. */
  readonly fileOffset: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Where the tensors' bytes begin, counted from the start of the file; they reach to its end. */
  readonly dataOffset: number;
}

/** Bits of one element. F4 and the F6 kinds are packed without gaps. */
const DTYPE_BITS = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  I64: 64,
  U64: 64,
  F64: 64,
  C64: 64,
} as const;
export type SafetensorsDtype = keyof typeof DTYPE_BITS;

const LENGTH_BYTES = 8;
/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
/** Our limits, above those of any published checkpoint: they bound the memory that a hostile header can ask for. */
export const MAX_TENSORS = 2 ** 19;
const MAX_METADATA_KEYS = 65_536;
const MAX_NAME_BYTES = 512;
const MAX_RANK = 8;

/**
 * Reads and checks the header of one safetensors file; none of the tensors' bytes are read.
 * @throws MoesaicError as `parseHeader`, and not_found or failed_precondition when the file cannot be opened
 */
export async function readHeader(path: string): Promise<SafetensorsHeader> {
  const file = await RegularFile.open(path);
  try {
    return await readHeaderOf(file);
  } finally {
    await file.close();
  }
}

/** As `readHeader`, of a file that is open already and stays so. */
export async function readHeaderOf(file: RegularFile): Promise<SafetensorsHeader> {
  const prefix = await file.read(0, Math.min(LENGTH_BYTES, file.bytes));
  const dataOffset = checkedDataOffset(prefix, file.bytes, file.path);
  return parseHeader(await file.read(0, dataOffset), file.bytes, file.path);
}

/**
 * Checks a header completely, so that later readers may trust every offset: the tensors cover the rest of the file
 * from end to end, without hole or overlap, each with the size that its dtype and shape ask for.
 * @param bytes the start of the file, at least the length and the header   @param fileBytes size of the whole file
 * @param place the file's name in errors
 * @throws MoesaicError invalid_argument, place `FILE: header byte N` (counted after the length) or `FILE: tensor NAME`
 */
export function parseHeader(bytes: Uint8Array, fileBytes: number, place: string): SafetensorsHeader {
  const dataOffset = checkedDataOffset(bytes, Math.min(bytes.length, fileBytes), place);
  const json = bytes.subarray(LENGTH_BYTES, dataOffset);
  if (json[0] !== 0x7b) throw invalid(`${place}: header byte 0`, `wanted "{", there is byte ${json[0]}`);
  const tensors = readTensors(new JsonCursor(json, `${place}: header byte`), dataOffset, place);
  checkCoverage(tensors, dataOffset, fileBytes, place);
  return { tensors, dataOffset };
}

/** Where the header ends, once its length is known to be possible in a file of this size. */
function checkedDataOffset(prefix: Uint8Array, fileBytes: number, place: string): number {
  const shortest = LENGTH_BYTES + "{}".length;
  if (fileBytes < shortest) throw truncated(place, shortest, fileBytes);
  const headerBytes = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength).getBigUint64(0, true);
  if (headerBytes < 2n || headerBytes > MAX_HEADER_BYTES) {
    const wanted = `wanted a header length from 2 to ${MAX_HEADER_BYTES} in the first 8 bytes`;
    throw invalid(place, `${wanted}, there is ${headerBytes}; check that this is a safetensors file`);
  }
  const dataOffset = LENGTH_BYTES + Number(headerBytes);
  if (fileBytes < dataOffset) throw truncated(place, dataOffset, fileBytes);
  return dataOffset;
}

function readTensors(cursor: JsonCursor, dataOffset: number, place: string): Map<string, TensorEntry> {
  const tensors = new Map<string, TensorEntry>();
  cursor.object({ maxKeys: MAX_TENSORS, maxKeyBytes: MAX_NAME_BYTES }, (name) => {
    if (name === "__metadata__") readMetadata(cursor);
    else tensors.set(name, readTensor(cursor, name, dataOffset, place));
  });
  cursor.end();
  return tensors;
}

/** Only checked: nothing of ours depends on what a writer noted there. */
function readMetadata(cursor: JsonCursor): void {
  cursor.object({ maxKeys: MAX_METADATA_KEYS, maxKeyBytes: MAX_NAME_BYTES }, () => {
    cursor.string(MAX_HEADER_BYTES);
  });
}

function readTensor(cursor: JsonCursor, name: string, dataOffset: number, file: string): TensorEntry {
  const place = tensorPlace(file, name);
  const fields: { dtype?: string; shape?: number[]; offsets?: number[] } = {};
  cursor.object({ maxKeys: 4, maxKeyBytes: 64 }, (key) => {
    if (key === "dtype") fields.dtype = cursor.string(64);
    else if (key === "shape") fields.shape = readIntegers(cursor, MAX_RANK, place, "axes");
    else if (key === "data_offsets") fields.offsets = readIntegers(cursor, 2, place, "data_offsets");
    else throw invalid(place, `wanted the fields dtype, shape and data_offsets, there is ${shown(key)}`);
  });
  const { dtype, shape, offsets } = fields;
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    throw invalid(place, `wanted the fields dtype, shape and data_offsets, there is ${Object.keys(fields).join()}`);
  }
  return checkedEntry({ name, dtype, shape, offsets, dataOffset, place });
}

function readIntegers(cursor: JsonCursor, maxLength: number, place: string, what: string): number[] {
  const numbers: number[] = [];
  cursor.array(() => {
    if (numbers.length === maxLength) throw invalid(place, `wanted at most ${maxLength} ${what}, there are more`);
    numbers.push(cursor.unsignedInteger());
  });
  return numbers;
}

interface RawEntry {
  name: string;
  dtype: string;
  shape: number[];
  offsets: number[];
  dataOffset: number;
  place: string;
}

function checkedEntry({ name, dtype, shape, offsets, dataOffset, place }: RawEntry): TensorEntry {
  if (!isDtype(dtype)) throw invalid(place, `wanted a dtype of the safetensors format, there is ${shown(dtype)}`);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || begin > end) {
    throw invalid(place, `wanted data_offsets [begin, end] with begin <= end, there is [${offsets.join(", ")}]`);
  }
  const bytes = bytesOf(dtype, shape, place);
  if (end - begin !== bytes) {
    const wanted = `wanted ${bytes} bytes for ${dtype} [${shape.join(", ")}]`;
    throw invalid(place, `${wanted}, there are ${end - begin} in data_offsets [${begin}, ${end}]`);
  }
  return { name, dtype, shape, fileOffset: dataOffset + begin, bytes };
}

function bytesOf(dtype: SafetensorsDtype, shape: readonly number[], place: string): number {
  let bits: number = DTYPE_BITS[dtype];
  for (const axis of shape) {
    bits *= axis;
    if (!Number.isSafeInteger(bits)) {
      throw invalid(place, `wanted a tensor of at most 2^53 - 1 bits, there is ${dtype} [${shape.join(", ")}]`);
    }
  }
  if (bits % 8 !== 0)
    throw invalid(place, `wanted whole bytes, there are ${bits} bits in ${dtype} [${shape.join(", ")}]`);
  return bits / 8;
}

function checkCoverage(tensors: Map<string, TensorEntry>, dataOffset: number, fileBytes: number, place: string): void {
  const inFileOrder = [...tensors.values()].toSorted((a, b) => a.fileOffset - b.fileOffset || a.bytes - b.bytes);
  let covered = dataOffset;
  for (const { name, fileOffset, bytes } of inFileOrder) {
    if (fileOffset !== covered) {
      const fault = fileOffset < covered ? "overlaps the tensor before it" : "leaves a hole before it";
      const offsets = `wanted begin ${covered - dataOffset}, there is ${fileOffset - dataOffset}`;
      throw invalid(tensorPlace(place, name), `${fault}: ${offsets} in data_offsets`);
    }
    covered += bytes;
  }
  if (covered > fileBytes) throw truncated(place, covered, fileBytes);
  if (covered < fileBytes) {
    throw invalid(place, `wanted ${covered} bytes, there are ${fileBytes}: the last ones belong to no tensor`);
  }
}

/** Where an error about one tensor lies. */
export function tensorPlace(file: string, name: string): string {
  return `${file}: tensor ${shown(name)}`;
}

function isDtype(text: string): text is SafetensorsDtype {
  return Object.hasOwn(DTYPE_BITS, text);
}

function truncated(place: string, wantedBytes: number, thereBytes: number): MoesaicError {
  return invalid(
    place,
    `the file is truncated: wanted ${wantedBytes} bytes, there are ${thereBytes}; download it again`,
  );
}

function invalid(place: string, message: string): MoesaicError {
  return new MoesaicError("invalid_argument", message, { place });
}
