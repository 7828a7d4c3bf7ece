import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import { GREEDY_SAMPLING } from "../../proto/step.js";
import type { SequenceRunner } from "../engine-loop.js";
import type { SequenceLogits, SequenceOutput } from "../scheduler/sequence-output.js";
import type { SequenceSpec } from "../scheduler/sequence.js";
import { EventQueue } from "./event-queue.js";
import type { RequestContext } from "./request-context.js";

/** The logits after every prompt token, as the steps that compute them come back. */
export async function* streamLogits(
  tokenIds: number[],
  seqId: number,
  loop: SequenceRunner,
  vocabSize: number,
  context: RequestContext,
): AsyncIterable<v1.LogitsEvent.$Properties> {
  const queue = new EventQueue<SequenceLogits>();
  const abort = () => loop.abort(seqId);
  context.signal.addEventListener("abort", abort);
  loop.submit(logitsSequence(tokenIds, seqId, context), (output) => take(output, queue));
  try {
    for await (const logits of queue) yield toEvent(logits, vocabSize);
  } finally {
    abort();
  }
}

function take(output: SequenceOutput, queue: EventQueue<SequenceLogits>): void {
  if (output.logits !== undefined) queue.push(output.logits);
  if (output.finish === undefined) return;
  const isWhole = output.finish === "length" || output.finish === "stop";
  queue.close(isWhole ? null : (output.error ?? new MoesaicError("cancelled", "the request was aborted")));
}

function toEvent({ position, numTokens, values }: SequenceLogits, vocabSize: number): v1.LogitsEvent.$Properties {
  const logits = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { first_position: position, num_positions: numTokens, vocab_size: vocabSize, logits };
}

/** Samples nothing: its sampling only has to be a valid one. */
function logitsSequence(tokenIds: number[], seqId: number, context: RequestContext): SequenceSpec {
  return {
    seqId,
    requestId: `logits-${seqId}`,
    promptTokenIds: tokenIds,
    sampling: { ...GREEDY_SAMPLING, maxSeqLen: tokenIds.length + 1 },
    tenant: context.tenant,
    priority: 0,
    deadlineMs: Number.isFinite(context.deadlineMs) ? context.deadlineMs : null,
    wantsLogits: true,
  };
}
