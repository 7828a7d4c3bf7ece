/** How one request of a trace fared, in a simulation or for real. Milliseconds on one clock. */
export interface RequestRecord {
  /** When its client sent it. */
  sentMs: number;
  numPromptTokens: number;
  /** When each of its tokens came to the client, ascending. */
  tokensMs: number[];
  /** The cluster had no room for it, or could not finish it. */
  isRefused: boolean;
}
