import { setTimeout as sleep } from "node:timers/promises";
import type { MoesaicClient } from "../client/client.js";
import { MoesaicError } from "../proto/errors.js";
import type { RequestRecord } from "../sim/request-record.js";
import { promptTokensOf, type Trace, type TraceRequest } from "../sim/trace.js";

/**
 * Sends a trace to a cluster, each request at its time whether or not the others have been answered, and greedy to its length.
 * Times count from when a request should have been sent: what its client was late belongs to it.
 */
export async function replayTrace(
  client: MoesaicClient,
  trace: Trace,
  { vocabSize, seed, signal }: { vocabSize: number; seed: number; signal: AbortSignal },
): Promise<RequestRecord[]> {
  const startedMs = performance.now();
  return Promise.all(
    trace.map(async (request, index) => {
      const sentMs = startedMs + request.atMs;
      const aheadMs = sentMs - performance.now();
      if (aheadMs > 0) await sleep(aheadMs, undefined, { signal });
      const record = { sentMs, numPromptTokens: request.numPromptTokens, tokensMs: [], isRefused: false };
      await run(client, request, promptTokensOf(request, index, vocabSize, seed), record, signal);
      return record;
    }),
  );
}

async function run(
  client: MoesaicClient,
  { numOutputTokens }: TraceRequest,
  promptTokenIds: Int32Array,
  record: RequestRecord,
  signal: AbortSignal,
): Promise<void> {
  const sampling = { temperature: 0, ignoreEos: true, maxTokens: numOutputTokens };
  try {
    for await (const event of client.generate({ tokenIds: [...promptTokenIds], sampling }, { signal })) {
      if (event.type === "finish" && event.error !== null) throw event.error;
      if (event.type !== "delta") continue;
      const nowMs = performance.now();
      for (const _ of event.tokenIds) record.tokensMs.push(nowMs);
    }
  } catch (caught) {
    // A full queue, or a request that is too long, is a result; anything else is the end of the benchmark.
    const { code } = MoesaicError.from(caught);
    if (code !== "resource_exhausted" && code !== "invalid_argument") throw caught;
    record.isRefused = true;
  }
}
