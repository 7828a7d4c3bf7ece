import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import type { v1 } from "../../../proto/messages.js";
import type { KeptStores } from "../../jobs/jobs.js";

const DAY_SECONDS = 86_400;
/** OpenAI's bounds of an expiry, and how long a file is kept that names none. */
const MIN_EXPIRY_SECONDS = 3_600;
const MAX_EXPIRY_SECONDS = 30 * DAY_SECONDS;

/** Seconds from an object's creation on. */
export const expirySeconds = z.coerce.number().int().min(MIN_EXPIRY_SECONDS).max(MAX_EXPIRY_SECONDS);

export interface StoredFile {
  id: string;
  document: v1.KeptObject;
}

/** @throws MoesaicError not_found */
export function findFile({ objects }: KeptStores, id: string, tenant: string): StoredFile {
  const document = objects.find(id, "file", tenant);
  if (document !== null) return { id, document };
  const text = `there is no file ${id.slice(0, 128)}: it was never uploaded, was deleted, or has expired`;
  throw new MoesaicError("not_found", text, { place: "file_id" });
}

/** @param seconds how long it is kept */
export function fileDocument(
  tenant: string,
  file: v1.KeptFile.$Properties,
  seconds: number = MAX_EXPIRY_SECONDS,
): v1.KeptObject.$Properties {
  const createdUnixMs = Date.now();
  return { tenant, created_unix_ms: createdUnixMs, expires_unix_ms: createdUnixMs + 1_000 * seconds, file };
}

export function shownFile({ id, document }: StoredFile): object {
  const { created_unix_ms: createdUnixMs, expires_unix_ms: expiresUnixMs, file } = document;
  return {
    id,
    object: "file",
    bytes: file!.num_bytes,
    created_at: Math.floor(createdUnixMs / 1_000),
    expires_at: Math.floor(expiresUnixMs / 1_000),
    filename: file!.filename,
    purpose: file!.purpose,
    status: "processed",
    status_details: null,
  };
}
