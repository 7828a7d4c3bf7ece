// Many prompts as one durable job. Started again with the same id it goes on where it was, whatever ended it: this program,
// the connection, or the coordinator.
import { MoesaicClient, tokensPerSecond } from "moesaic";

const client = new MoesaicClient({ endpoint: process.env.MOESAIC_ENDPOINT ?? "127.0.0.1:50051" });
const countries = ["France", "Italy", "Japan", "Spain", "Egypt"];
// An iterator: a batch may have more requests than memory holds.
function* requests() {
  for (const country of countries) {
    yield {
      messages: [{ role: "user", content: `What is the capital of ${country}?` }],
      sampling: { temperature: 0, maxTokens: 200 },
    };
  }
}

const results = client.generateBatch(requests(), {
  jobId: "example-capitals",
  onProgress: ({ numFinished, numRequests }) => process.stderr.write(`${numFinished} of ${numRequests}\n`),
});
let next = await results.next();
for (; next.done !== true; next = await results.next()) {
  const { index, completion, error } = next.value;
  process.stdout.write(`${countries[index]}: ${error?.message ?? completion.choices[0].text}\n`);
}
process.stderr.write(`${tokensPerSecond(next.value)?.toFixed(0)} tokens a second\n`);
await client.deleteJob("example-capitals");
client.close();
