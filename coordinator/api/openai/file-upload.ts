import { MoesaicError } from "../../../proto/errors.js";
import { FILE_SIZE_PLACE } from "./error-reply.js";
import { MAX_FILE_BYTES, type FormPart } from "./form.js";

/** What is written at a time, and so what is in memory of an upload. */
const PIECE_BYTES = 512 * 1024;
const MAX_FILENAME_LENGTH = 256;

export interface ReceivedFile {
  filename: string;
  numBytes: number;
  /** The other fields of the form, by name. */
  fields: Record<string, string>;
}

/**
 * Reads a form with one file, at the pace at which its pieces are kept.
 * @param keep resolves when a piece is kept; the piece is its own
 * @throws MoesaicError invalid_argument for a form without a file, an empty one, one that is too large; what `keep` throws
 */
export async function receiveFile(
  parts: AsyncIterable<FormPart>,
  keep: (bytes: Uint8Array) => Promise<void>,
): Promise<ReceivedFile> {
  const fields: Record<string, string> = {};
  let received: Omit<ReceivedFile, "fields"> | null = null;
  for await (const part of parts) {
    if (part.kind === "field") fields[part.name] = part.value;
    else if (part.name !== "file") throw invalid(`expected the file in the field file, got ${part.name}`);
    else received = { filename: checkedFilename(part.filename), numBytes: await keepAll(part.bytes, keep) };
  }
  if (received === null) throw invalid("expected a field file with a file");
  return { ...received, fields };
}

/** @returns how many bytes there were */
async function keepAll(bytes: AsyncIterable<Uint8Array>, keep: (bytes: Uint8Array) => Promise<void>): Promise<number> {
  let numBytes = 0;
  let gathered: Uint8Array[] = [];
  let numGathered = 0;
  const flush = async (): Promise<void> => {
    const piece = Buffer.concat(gathered);
    [gathered, numGathered] = [[], 0];
    await keep(piece);
  };
  for await (const chunk of bytes) {
    numBytes += chunk.length;
    if (numBytes > MAX_FILE_BYTES) {
      const text = `expected at most ${MAX_FILE_BYTES} bytes, the file is larger; split it`;
      throw new MoesaicError("invalid_argument", text, { place: FILE_SIZE_PLACE });
    }
    gathered.push(chunk);
    numGathered += chunk.length;
    if (numGathered >= PIECE_BYTES) await flush();
  }
  if (numGathered > 0) await flush();
  if (numBytes === 0) throw invalid("the file is empty");
  return numBytes;
}

/** It is shown again and never used as a path. */
function checkedFilename(filename: string): string {
  if (filename !== "" && filename.length <= MAX_FILENAME_LENGTH) return filename;
  throw invalid(`expected a file name of 1 to ${MAX_FILENAME_LENGTH} characters`);
}

function invalid(text: string): MoesaicError {
  return new MoesaicError("invalid_argument", text, { place: "file" });
}
