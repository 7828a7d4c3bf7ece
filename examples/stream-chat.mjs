// A chat as it is generated: reasoning to standard error, the answer to standard output.
import { MoesaicClient } from "moesaic";

const client = new MoesaicClient({ endpoint: process.env.MOESAIC_ENDPOINT ?? "127.0.0.1:50051" });
const messages = [{ role: "user", content: process.argv[2] ?? "What is the capital of France?" }];

for await (const event of client.generate({ messages, sampling: { temperature: 0, maxTokens: 200 } })) {
  if (event.type === "delta") {
    for (const { kind, text } of event.text) {
      if (kind === "content") process.stdout.write(text);
      else if (kind === "reasoning") process.stderr.write(text);
    }
  } else if (event.type === "finish") {
    const { usage, timings } = event;
    const tokensPerSecond = (1000 * (usage.completionTokens - 1)) / timings.decodeMs;
    process.stderr.write(`\n${usage.completionTokens} tokens, ${tokensPerSecond.toFixed(0)} a second\n`);
  }
}
process.stdout.write("\n");
client.close();
