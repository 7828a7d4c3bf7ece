import { MoesaicError } from "../../proto/errors.js";
import type { Sequence } from "./sequence.js";

/** What only our own mistake can cause, where one looks at every token: an assertion's text would cost more than it. */
export function broken({ seqId }: Sequence, what: string): MoesaicError {
  return new MoesaicError("internal", `assertion failed: sequence ${seqId} ${what}`);
}

/** Why a sequence ends whose deadline has passed. */
export function overdue({ requestId, arrivalMs, deadlineMs, outputTokenIds }: Sequence): MoesaicError {
  const text = `wanted an end within ${deadlineMs! - arrivalMs} ms, there were ${outputTokenIds.length} output tokens by then`;
  return new MoesaicError("deadline_exceeded", text, { requestId });
}

/** Why a sequence ends that has all blocks to itself and cannot go on. */
export function outOfBlocks({ requestId, numTokens }: Sequence, numBlocks: number): MoesaicError {
  const text =
    `KV blocks: a sequence of ${numTokens} tokens has the pool of ${numBlocks} blocks to itself and needs ` +
    `more; ask for fewer tokens, or give the engine more blocks`;
  return new MoesaicError("resource_exhausted", text, { requestId });
}
