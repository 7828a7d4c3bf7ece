import { randomUUID } from "node:crypto";

/** `chatcmpl-` and 32 digits: which kind of object, and which. */
export function objectId(prefix: string): string {
  return prefix + randomUUID().replaceAll("-", "");
}

/** Seconds since 1970, as OpenAI dates objects. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}
