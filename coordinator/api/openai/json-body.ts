import type { FastifyInstance } from "fastify";
import { MoesaicError } from "../../../proto/errors.js";
import { isDeeperThan } from "../json-depth.js";

/** Room for the longest text that a request may have, escaped as JSON does it. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** Deeper than any schema of a person's making. */
export const MAX_JSON_DEPTH = 64;

/**
 * Takes bodies of type application/json and no other: a page can send other types without asking, and a form is no
 * request. An absent body is for the endpoint to refuse.
 */
export function parseJsonAlone(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, async (_request: unknown, text: string) => {
    const body = text === "" ? undefined : parseJson(text);
    if (!isDeeperThan(body, MAX_JSON_DEPTH)) return body;
    throw new MoesaicError("invalid_argument", `the body is nested deeper than ${MAX_JSON_DEPTH} levels`);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new MoesaicError("invalid_argument", `the body is not JSON: ${reasonOf(cause)}`, { cause });
  }
}

/** Without the excerpt of the body that newer versions of Node.js quote: prompts do not belong into logs. */
function reasonOf(cause: unknown): string {
  return (cause as Error).message.replace(/,? *(\.\.\.)?".*$/s, "");
}
