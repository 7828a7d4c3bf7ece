// The model may call a function of this program, as often as it likes, before it answers.
import { MoesaicClient } from "moesaic";

const client = new MoesaicClient({ endpoint: process.env.MOESAIC_ENDPOINT ?? "127.0.0.1:50051" });

const tools = [
  {
    name: "get_current_weather",
    description: "Gets the current weather in the provided location.",
    parameters: {
      type: "object",
      properties: { location: { type: "string", description: "A city name" } },
      required: ["location"],
    },
  },
];
const functions = {
  get_current_weather: ({ location }) => ({ location, sky: "cloudy", temp_c: -8 }),
};

const messages = [{ role: "user", content: "Tell me the weather in Venice" }];
for (let turn = 0; turn < 5; turn += 1) {
  const { choices } = await client.complete({ messages, tools, sampling: { temperature: 0, maxTokens: 200 } });
  const { text, reasoning, toolCalls } = choices[0];
  if (toolCalls.length === 0) {
    process.stdout.write(`${text}\n`);
    break;
  }
  // The reasoning goes with the call: the model expects to see it again until it has answered.
  messages.push({ role: "assistant", content: text, reasoning, toolCalls });
  for (const { id, name, arguments: json } of toolCalls) {
    process.stdout.write(`calls ${name}(${json})\n`);
    const result = functions[name]?.(JSON.parse(json)) ?? { error: `there is no ${name}` };
    messages.push({ role: "tool", name, toolCallId: id, content: JSON.stringify(result) });
  }
}
client.close();
