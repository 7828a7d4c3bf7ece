import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { v1 } from "../../proto/messages.js";
import { MAX_BODY_BYTES, type RecordPlace } from "./job-log.js";

/**
 * A job's file: a line that names the format, then records:
 *
 *     head bytes (u32)   body bytes (u32)   CRC-32 of all but itself (u32)   head   body        little-endian
 *
 * A CRC tells a record that was written whole from one that was not. It is no seal against somebody with the disk.
 */
export const FILE_HEADER = Buffer.from("moesaic job 1\n");
const FRAME_BYTES = 12;
const MAX_HEAD_BYTES = 4_096;
/** Heads are small and bodies are read whole, so that little is read twice. */
const READ_BYTES = 256 * 1024;

export function encodeRecord(head: v1.JobRecord.$Properties, body: Uint8Array): Buffer {
  const headBytes = v1.JobRecord.encode(head).finish();
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.writeUInt32LE(headBytes.length, 0);
  frame.writeUInt32LE(body.length, 4);
  frame.writeUInt32LE(checksum(frame, headBytes, body), 8);
  return Buffer.concat([frame, headBytes, body]);
}

export interface ScannedRecord {
  head: v1.JobRecord;
  /** Of the whole record. */
  place: RecordPlace;
}

/** How a file ended: with a whole record, in the middle of the last one, or with one that is wrong and more behind it. */
export interface ScanEnd {
  /** Bytes before the first record that is not whole. */
  validBytes: number;
  ending: "whole" | "torn" | "damaged";
}

/** Yields the whole records from the beginning on, and returns why it stopped. */
export async function* scanRecords(file: FileHandle, size: number): AsyncGenerator<ScannedRecord, ScanEnd> {
  const reader = new FileReader(file, size);
  const header = await reader.bytes(0, FILE_HEADER.length);
  if (header === null || !FILE_HEADER.equals(header))
    return { validBytes: 0, ending: header === null ? "torn" : "damaged" };
  let at = FILE_HEADER.length;
  while (at < size) {
    const record = await readRecord(reader, at);
    if (!("head" in record)) return { validBytes: at, ending: at + record.wantedBytes >= size ? "torn" : "damaged" };
    yield record;
    at += record.place.size;
  }
  return { validBytes: at, ending: "whole" };
}

/** @returns null when what is there is not the record that was written there */
export async function readBody(file: FileHandle, { at, size }: RecordPlace): Promise<Uint8Array | null> {
  const bytes = Buffer.alloc(size);
  const { bytesRead } = await file.read(bytes, 0, size, at);
  if (bytesRead < size || size < FRAME_BYTES) return null;
  const [headSize, bodySize] = [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
  if (FRAME_BYTES + headSize + bodySize !== size) return null;
  const body = bytes.subarray(FRAME_BYTES + headSize);
  const isWhole = bytes.readUInt32LE(8) === checksum(bytes, bytes.subarray(FRAME_BYTES, FRAME_BYTES + headSize), body);
  return isWhole ? body : null;
}

/** The record at an offset, or how many bytes it says it has. */
async function readRecord(reader: FileReader, at: number): Promise<ScannedRecord | { wantedBytes: number }> {
  const frame = await reader.bytes(at, FRAME_BYTES);
  if (frame === null) return { wantedBytes: FRAME_BYTES };
  const [headSize, bodySize] = [frame.readUInt32LE(0), frame.readUInt32LE(4)];
  if (headSize > MAX_HEAD_BYTES || bodySize > MAX_BODY_BYTES) return { wantedBytes: FRAME_BYTES };
  const size = FRAME_BYTES + headSize + bodySize;
  const rest = await reader.bytes(at + FRAME_BYTES, headSize + bodySize);
  if (rest === null) return { wantedBytes: size };
  const head = rest.subarray(0, headSize);
  if (frame.readUInt32LE(8) !== checksum(frame, head, rest.subarray(headSize))) return { wantedBytes: size };
  return { head: v1.JobRecord.decode(head), place: { at, size } };
}

function checksum(frame: Uint8Array, head: Uint8Array, body: Uint8Array): number {
  return crc32(body, crc32(head, crc32(frame.subarray(0, 8))));
}

/** Reads forward in large pieces. */
class FileReader {
  readonly #file: FileHandle;
  readonly #size: number;
  #piece = Buffer.alloc(0);
  #pieceAt = 0;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  /** @returns null when the file ends before; valid until the next call */
  async bytes(at: number, count: number): Promise<Buffer | null> {
    if (at + count > this.#size) return null;
    if (at < this.#pieceAt || at + count > this.#pieceAt + this.#piece.length) await this.#load(at, count);
    const begin = at - this.#pieceAt;
    return begin + count > this.#piece.length ? null : this.#piece.subarray(begin, begin + count);
  }

  async #load(at: number, count: number): Promise<void> {
    const piece = Buffer.alloc(Math.min(Math.max(count, READ_BYTES), this.#size - at));
    const { bytesRead } = await this.#file.read(piece, 0, piece.length, at);
    this.#piece = piece.subarray(0, bytesRead);
    this.#pieceAt = at;
  }
}
