import type { v1 } from "../../../proto/messages.js";

type TokenLogprob = v1.TokenLogprob.$Properties;

/** JSON has no infinity: what OpenAI says of a token that could not have been. */
const IMPOSSIBLE = -9999;

export interface ChatLogprob {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
}

export function chatLogprob(entry: TokenLogprob): ChatLogprob {
  return { ...tokenOf(entry), top_logprobs: (entry.top ?? []).map(tokenOf) };
}

function tokenOf(entry: Pick<TokenLogprob, "token" | "logprob">): { token: string; logprob: number; bytes: number[] } {
  return { token: tokenText(entry.token), logprob: finite(entry.logprob), bytes: [...(entry.token ?? [])] };
}

/** Columns, one entry a token. */
export interface TextLogprobs {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
  /** Index in the choice's text of the first character that the token is a part of. */
  text_offset: number[];
}

export function textLogprobs(entries: readonly TokenLogprob[], textOffset: number): TextLogprobs {
  return {
    tokens: entries.map(({ token }) => tokenText(token)),
    token_logprobs: entries.map(({ logprob }) => finite(logprob)),
    top_logprobs: entries.map(({ top }) =>
      Object.fromEntries((top ?? []).map(({ token, logprob }) => [tokenText(token), finite(logprob)])),
    ),
    text_offset: entries.map(() => textOffset),
  };
}

export function joinedLogprobs(parts: readonly TextLogprobs[]): TextLogprobs {
  return {
    tokens: parts.flatMap(({ tokens }) => tokens),
    token_logprobs: parts.flatMap((part) => part.token_logprobs),
    top_logprobs: parts.flatMap((part) => part.top_logprobs),
    text_offset: parts.flatMap((part) => part.text_offset),
  };
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A token's text; bytes that are no whole characters are spelled out, `bytes:\xe2\x82`. */
function tokenText(bytes: Uint8Array | null | undefined): string {
  try {
    return strict.decode(bytes ?? new Uint8Array());
  } catch {
    return `bytes:${[...bytes!].map((byte) => String.raw`\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

function finite(logprob: number | null | undefined): number {
  return Number.isFinite(logprob) ? logprob! : IMPOSSIBLE;
}
