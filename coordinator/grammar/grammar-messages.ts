import type { ErrorCode } from "../../proto/errors.js";
import type { GrammarSpec } from "./grammar-spec.js";

/** What the grammar thread is asked. Every question has an answer with its id. */
export type Question =
  | { id: number; kind: "compile"; spec: GrammarSpec }
  /** The state after one more token. */
  | { id: number; kind: "advance"; grammarId: number; state: number; tokenId: number };

/** Not answered: nobody will ask about this grammar any more. */
export interface Release {
  kind: "release";
  grammarId: number;
}

/** A state and what may follow in it. Sets of tokens are numbered by grammar and sent once. */
export interface StateAnswer {
  grammarId: number;
  state: number;
  allowedSetId: number;
  /** -1: none. */
  stayingSetId: number;
  /** Sets that were not sent before. */
  newSets: { setId: number; words: Int32Array; size: number }[];
}

export type Answer =
  | { id: number; answer: StateAnswer }
  | { id: number; error: { code: ErrorCode; message: string; place: string | undefined } };
