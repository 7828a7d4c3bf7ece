// Whoever waits no longer aborts; the cluster frees the sequence's row and KV blocks before its next step.
import { MoesaicClient, MoesaicError } from "moesaic";

const client = new MoesaicClient({ endpoint: process.env.MOESAIC_ENDPOINT ?? "127.0.0.1:50051" });
const aborter = new AbortController();
let numTokens = 0;
try {
  const request = { prompt: "Once upon a time", sampling: { ignoreEos: true, maxTokens: 1_000 } };
  for await (const event of client.generate(request, { signal: aborter.signal })) {
    if (event.type !== "delta") continue;
    numTokens += event.tokenIds.length;
    if (numTokens >= 10) aborter.abort();
  }
} catch (error) {
  if (!(error instanceof MoesaicError) || error.code !== "cancelled") throw error;
  process.stdout.write("cancelled\n");
}
process.stderr.write(`${numTokens} tokens had come\n`);
client.close();
