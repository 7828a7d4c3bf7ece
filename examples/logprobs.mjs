// Beside each token of the answer the two that were likeliest, with their probabilities.
import { MoesaicClient } from "moesaic";

const client = new MoesaicClient({ endpoint: process.env.MOESAIC_ENDPOINT ?? "127.0.0.1:50051" });
const { choices } = await client.complete({
  prompt: "The capital of France is",
  sampling: { temperature: 0, maxTokens: 3, logprobs: 2 },
});
for (const { tokenId, logprob, top } of choices[0].logprobs) {
  const name = async (id) => JSON.stringify(await client.detokenize([id]));
  const others = await Promise.all(
    top.map(async (one) => `${await name(one.tokenId)} ${Math.exp(one.logprob).toFixed(3)}`),
  );
  process.stdout.write(`${await name(tokenId)} ${Math.exp(logprob).toFixed(3)}: ${others.join(", ")}\n`);
}
client.close();
