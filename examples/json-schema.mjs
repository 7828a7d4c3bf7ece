// The answer is JSON of this schema while it is sampled, so it is even at a temperature at which the model babbles.
import { MoesaicClient } from "moesaic";

const client = new MoesaicClient({ endpoint: process.env.MOESAIC_ENDPOINT ?? "127.0.0.1:50051" });
const jsonSchema = {
  type: "object",
  properties: {
    city: { type: "string", maxLength: 20 },
    population: { type: "integer", minimum: 0, maximum: 99_999_999 },
    isCapital: { type: "boolean" },
  },
  required: ["city", "population", "isCapital"],
  additionalProperties: false,
};
const { choices } = await client.complete({
  messages: [{ role: "user", content: "What is the capital of France?" }],
  reasoningEffort: "low",
  constraint: { jsonSchema },
  sampling: { temperature: 1.5, maxTokens: 400 },
});
process.stdout.write(`${JSON.stringify(JSON.parse(choices[0].text))}\n`);
client.close();
