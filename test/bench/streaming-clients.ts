import * as grpc from "@grpc/grpc-js";
import { v1 } from "../../proto/messages.js";
import { createClient } from "../../proto/rpc.js";
import { RunningHash } from "../../worker/fake-engine.js";

/**
 * For streaming.ts: gRPC clients, each with a connection of its own and one request after the other, every token of which is held against
 * the engine's hash. Tells its parent each second what came; ends with the first wrong token, or when its parent goes.
 */
export interface StreamingTask {
  endpoint: string;
  numClients: number;
  /** Of the first client; the others count on. */
  firstSeed: number;
  promptLen: number;
  outputLen: number;
  vocabSize: number;
}

/** Of one second. */
export interface StreamingReport {
  numTokens: number;
  numMessages: number;
  numFinished: number;
  /** Milliseconds between messages of a stream, some of them. */
  gapsMs: number[];
  /** And to the first token of the requests that began. */
  ttftsMs: number[];
}

/** One gap of so many is kept. */
const KEPT_GAPS = 16;

let report: StreamingReport = emptyReport();

process.once("disconnect", () => process.exit(0));
process.once("message", (task: StreamingTask) => {
  for (let index = 0; index < task.numClients; index++) void stream(task, task.firstSeed + index);
  setInterval(() => {
    process.send?.(report);
    report = emptyReport();
  }, 1_000);
});

function emptyReport(): StreamingReport {
  return { numTokens: 0, numMessages: 0, numFinished: 0, gapsMs: [], ttftsMs: [] };
}

async function stream(task: StreamingTask, seed: number): Promise<void> {
  const channel = new grpc.Client(task.endpoint, grpc.credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const client = createClient(v1.Inference, channel);
  for (let request = 0; ; request++) await generate(client, task, seed * 1_000_003 + request);
}

function generate(
  client: ReturnType<typeof createClient<v1.Inference>>,
  { promptLen, outputLen, vocabSize }: StreamingTask,
  seed: number,
): Promise<void> {
  const ids = Array.from({ length: promptLen }, (_, at) => (seed + 31 * at) % vocabSize);
  const hash = new RunningHash(seed);
  for (const tokenId of ids) hash.add(tokenId);
  const call = client.generate({ token_ids: { ids }, sampling: { seed, max_tokens: outputLen, ignore_eos: true } });
  let numTokens = 0;
  let lastMs = performance.now();
  call.on("data", ({ delta }: v1.GenerateEvent) => {
    if (!delta) return;
    const nowMs = performance.now();
    for (const tokenId of delta.token_ids ?? []) {
      if (tokenId !== hash.state % vocabSize) return fail(`token ${numTokens} of seed ${seed} is ${tokenId}`);
      hash.add(tokenId);
      numTokens += 1;
      report.numTokens += 1;
    }
    if (numTokens === delta.token_ids?.length) report.ttftsMs.push(nowMs - lastMs);
    else if (report.numMessages % KEPT_GAPS === 0) report.gapsMs.push(nowMs - lastMs);
    report.numMessages += 1;
    lastMs = nowMs;
  });
  return new Promise((resolve) => {
    call.on("error", (error) => fail(error.message));
    call.on("end", () => {
      if (numTokens !== outputLen) return fail(`${numTokens} tokens of seed ${seed}, wanted ${outputLen}`);
      report.numFinished += 1;
      resolve();
    });
  });
}

function fail(text: string): void {
  process.stderr.write(`streaming: ${text}\n`);
  process.exit(1);
}
