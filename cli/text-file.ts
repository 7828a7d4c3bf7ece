import { readFile } from "node:fs/promises";
import { parseClusterSpec, type ClusterSpec } from "../plans/cluster-spec.js";
import { MoesaicError } from "../proto/errors.js";

export async function readClusterSpec(file: string): Promise<ClusterSpec> {
  return parseClusterSpec(await readTextFile(file, "a cluster file"), file);
}

/**
 * A file that somebody named on the command line.
 * @param what it should be, for the error
 * @throws MoesaicError not_found or invalid_argument with the file as its place
 */
export async function readTextFile(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (caught) {
    throw fileError(file, caught, what);
  }
}

/** What went wrong with a file that was to be read; what is no fault of the file stays as it is. */
export function fileError(file: string, caught: unknown, what: string): MoesaicError {
  if (caught instanceof MoesaicError) return caught;
  return new MoesaicError(codeOf(caught), reasonOf(caught, what), { place: file, cause: caught });
}

function codeOf(caught: unknown): "not_found" | "failed_precondition" {
  return systemCode(caught) === "ENOENT" ? "not_found" : "failed_precondition";
}

function reasonOf(caught: unknown, what: string): string {
  const code = systemCode(caught);
  if (code === "ENOENT") return `there is no such file; expected ${what}: check the path`;
  if (code === "EISDIR") return `expected ${what}, got a folder; name the file in it`;
  if (code === "EACCES") return `expected ${what}, which this user may not read; allow it`;
  return `expected ${what}, which cannot be read: ${caught instanceof Error ? caught.message : String(caught)}`;
}

function systemCode(caught: unknown): unknown {
  return caught instanceof Error && "code" in caught ? caught.code : null;
}
