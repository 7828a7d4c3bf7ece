import { MoesaicError } from "../../proto/errors.js";
import { JsonCursor } from "./json-cursor.js";
import { RegularFile } from "./regular-file.js";

/**
 * The value in a JSON file, such as a checkpoint's config.json. Refused are files over `maxBytes`, text that is not
 * UTF-8, two equal keys in one object, nesting over 64 levels, and more than 2^20 values.
 * @throws MoesaicError not_found, failed_precondition, resource_exhausted (too large), or invalid_argument at
 *   `PATH: byte N`
 */
export async function readJsonFile(path: string, maxBytes: number): Promise<unknown> {
  const bytes = await readBounded(path, maxBytes);
  const cursor = new JsonCursor(bytes, `${path}: byte`);
  cursor.skipValue();
  cursor.end();
  return JSON.parse(bytes.toString("utf8")) as unknown;
}

async function readBounded(path: string, maxBytes: number): Promise<Buffer> {
  const file = await RegularFile.open(path);
  try {
    if (file.bytes > maxBytes) throw tooLarge(path, maxBytes, file.bytes);
    return await file.read(0, file.bytes);
  } finally {
    await file.close();
  }
}

function tooLarge(path: string, maxBytes: number, bytes: number): MoesaicError {
  const message = `wanted a JSON file of at most ${maxBytes} bytes, there are ${bytes}; check that it is the right file`;
  return new MoesaicError("resource_exhausted", message, { place: path });
}
