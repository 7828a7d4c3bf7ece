// OpenAI's own client. Only the base URL is ours; the key is of no account.
import OpenAI from "openai";

const openai = new OpenAI({ baseURL: `http://${process.env.MOESAIC_HTTP ?? "127.0.0.1:8000"}/v1`, apiKey: "none" });
const [model] = (await openai.models.list()).data;
const stream = await openai.chat.completions.create({
  model: model.id,
  messages: [{ role: "user", content: "What is the capital of France?" }],
  temperature: 0,
  reasoning_effort: "low",
  stream: true,
  stream_options: { include_usage: true },
});
for await (const { choices, usage } of stream) {
  process.stdout.write(choices[0]?.delta.content ?? "");
  if (usage) process.stderr.write(`\n${usage.completion_tokens} tokens\n`);
}
process.stdout.write("\n");
