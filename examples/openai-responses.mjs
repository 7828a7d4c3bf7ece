// Responses: the server remembers the conversation, so that each turn sends only what is new.
import OpenAI from "openai";

const openai = new OpenAI({ baseURL: `http://${process.env.MOESAIC_HTTP ?? "127.0.0.1:8000"}/v1`, apiKey: "none" });
const [{ id: model }] = (await openai.models.list()).data;
const tools = [
  {
    type: "function",
    name: "get_current_weather",
    description: "Gets the current weather in the provided location.",
    parameters: {
      type: "object",
      properties: { location: { type: "string", description: "A city name" } },
      required: ["location"],
    },
    strict: false,
  },
];
let response = await openai.responses.create({ model, tools, temperature: 0, input: "Tell me the weather in Venice" });
for (let turn = 0; turn < 5; turn += 1) {
  const calls = response.output.filter(({ type }) => type === "function_call");
  if (calls.length === 0) break;
  const input = calls.map(({ call_id, name, arguments: json }) => {
    process.stdout.write(`calls ${name}(${json})\n`);
    const output = JSON.stringify({ ...JSON.parse(json), sky: "cloudy", temp_c: -8 });
    return { type: "function_call_output", call_id, output };
  });
  response = await openai.responses.create({ model, tools, temperature: 0, previous_response_id: response.id, input });
}
process.stdout.write(`${response.output_text}\n`);
