import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";

/**
 * Reads a small JSON file of a checkpoint and checks its shape.
 * @param maxBytes larger files are refused before they are read
 * @returns null when there is no such file
 * @throws MoesaicError invalid_argument when it is too large, is not JSON or has another shape; place = path
 */
export async function readJsonFile<Shape>(
  path: string,
  maxBytes: number,
  shape: z.ZodType<Shape>,
): Promise<Shape | null> {
  const text = await readTextFile(path, maxBytes);
  if (text === null) return null;
  const parsed = shape.safeParse(parseJson(text, path));
  if (parsed.success) return parsed.data;
  throw new MoesaicError("invalid_argument", problemsOf(parsed.error), { place: path });
}

/**
 * Reads a UTF-8 text file of bounded size.
 * @returns null when there is no such file
 * @throws MoesaicError invalid_argument when it is larger than `maxBytes`; place = path
 */
export async function readTextFile(path: string, maxBytes: number): Promise<string | null> {
  const found = await stat(path).catch(absent);
  if (found === null) return null;
  if (!found.isFile()) throw new MoesaicError("invalid_argument", "expected a file", { place: path });
  if (found.size > maxBytes) {
    const message = `expected at most ${maxBytes} bytes, found ${found.size}; the file is broken or not what its name says`;
    throw new MoesaicError("invalid_argument", message, { place: path });
  }
  return await readFile(path, "utf8");
}

function absent(caught: unknown): null {
  const error = MoesaicError.from(caught);
  if (error.code === "not_found") return null;
  throw error;
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new MoesaicError("invalid_argument", `expected JSON: ${MoesaicError.from(cause).message}`, {
      cause,
      place: path,
    });
  }
}

/** The first problems only: a hostile file can have one per entry. */
function problemsOf(error: z.ZodError): string {
  const shown = error.issues.slice(0, 3).map((issue) => `${issue.path.join(".") || "the whole"}: ${issue.message}`);
  return `wrong shape: ${shown.join("; ")}`;
}
