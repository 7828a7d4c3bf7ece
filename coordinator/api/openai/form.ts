import multipart from "@fastify/multipart";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { MoesaicError } from "../../../proto/errors.js";

/** One part of a form: a field, or a file whose bytes are read before the next part comes. */
export type FormPart =
  { kind: "field"; name: string; value: string } | { kind: "file"; name: string; filename: string; bytes: FileBytes };

type FileBytes = AsyncIterable<Uint8Array>;

/** What a file of a form may have; a form that has more is not read to its end. */
export const MAX_FILE_BYTES = 200 * 1024 * 1024;
const LIMITS = {
  files: 1,
  // Who reads counts too, and stops; this one only ends what nobody reads.
  fileSize: MAX_FILE_BYTES + 1,
  fields: 16,
  parts: 17,
  fieldNameSize: 64,
  fieldSize: 1_024,
  headerPairs: 32,
};

/**
 * Makes the endpoints that are added to `app` take forms (multipart/form-data), and nothing else. A page in a browser may send
 * forms without asking first; those are refused by their headers (`refuseBrowserPages`).
 */
export async function takeForms(app: FastifyInstance): Promise<void> {
  app.removeAllContentTypeParsers();
  await app.register(multipart, { limits: LIMITS, throwFileSizeLimit: false });
}

/** @throws MoesaicError invalid_argument for what is no form, has more than a form may have, or ends before its end */
export async function* formParts(request: FastifyRequest): AsyncIterable<FormPart> {
  if (!request.isMultipart())
    throw new MoesaicError("invalid_argument", "expected a form with a file (multipart/form-data)");
  try {
    for await (const part of request.parts()) {
      if (part.type === "file")
        yield { kind: "file", name: part.fieldname, filename: part.filename ?? "", bytes: bytesOf(part.file) };
      else yield { kind: "field", name: part.fieldname, value: textOf(part) };
    }
  } catch (caught) {
    throw caught instanceof MoesaicError ? caught : unreadable(caught as Error);
  }
}

/** Reading it fails where the form ends before the file does. */
async function* bytesOf(file: AsyncIterable<Uint8Array>): FileBytes {
  try {
    yield* file;
  } catch (caught) {
    throw unreadable(caught as Error);
  }
}

function textOf({
  fieldname,
  value,
  valueTruncated,
}: {
  fieldname: string;
  value: unknown;
  valueTruncated: boolean;
}): string {
  if (!valueTruncated && typeof value === "string") return value;
  const place = fieldname.slice(0, LIMITS.fieldNameSize);
  throw new MoesaicError("invalid_argument", `expected a text of at most ${LIMITS.fieldSize} bytes`, { place });
}

/** Whatever stops the reading of a form, what was sent is at fault. */
function unreadable(cause: Error): MoesaicError {
  return new MoesaicError("invalid_argument", `the form cannot be read: ${cause.message}`, { cause });
}
