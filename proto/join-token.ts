import { MoesaicError } from "./errors.js";

/** Metadata key under which a rank of another machine presents the cluster's join token. */
export const JOIN_TOKEN_KEY = "moesaic-join-token";

/**
 * A join token as an operator may give it: 16 to 256 characters that can stand in a header.
 * @throws MoesaicError invalid_argument, without the token
 */
export function checkJoinToken(token: string): string {
  if (/^[\x21-\x7e]{16,256}$/.test(token)) return token;
  const message =
    `MOESAIC_JOIN_TOKEN: expected 16 to 256 letters, digits or signs without spaces, got ${token.length} characters` +
    `${token.length >= 16 && token.length <= 256 ? " with others among them" : ""}; openssl rand -hex 16 draws a good one`;
  throw new MoesaicError("invalid_argument", message);
}
