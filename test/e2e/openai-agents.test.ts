import { Agent, Runner, setTracingDisabled, tool, type Model } from "@openai/agents-core";
import { OpenAIChatCompletionsModel, OpenAIResponsesModel } from "@openai/agents-openai";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import OpenAI from "openai";
import { z } from "zod";
import { RunningCluster } from "./moesaic.js";

const MODEL = "moesaic-demo";
const QUESTION = "Tell me the weather in Venice";
const ANSWER = "The weather in Venice is cloudy with a temperature of -8 degrees.";
const MODELS: Record<string, (client: OpenAI) => Model> = {
  "chat completions": (client) => new OpenAIChatCompletionsModel(client, MODEL),
  responses: (client) => new OpenAIResponsesModel(client, MODEL),
};

// What OpenAI's suite for servers of gpt-oss looks at (github.com/openai/gpt-oss, compatibility-test): an agent of their SDK calls a
// tool with arguments of its schema, and reasoning comes in the places where clients of these models look for it.
describe("an agent of OpenAI's SDK", () => {
  for (const [api, modelOf] of Object.entries(MODELS)) {
    it(`calls its tool and answers over ${api}, whole and streamed`, async (test) => {
      setTracingDisabled(true);
      const { http } = await RunningCluster.launch(test);
      const client = new OpenAI({ baseURL: `http://${http}/v1`, apiKey: "none", maxRetries: 0 });
      const runner = new Runner({ model: modelOf(client), modelSettings: { temperature: 0 }, tracingDisabled: true });

      const whole = agentOf();
      const result = await runner.run(whole.agent, QUESTION, { maxTurns: 5 });
      assert.equal(result.finalOutput, ANSWER);
      assert.deepEqual(whole.asked, ["Venice"]);
      assert.deepEqual(
        result.newItems.map(({ type }) => type).filter((type) => type !== "reasoning_item"),
        ["tool_call_item", "tool_call_output_item", "message_output_item"],
      );
      const raw = result.rawResponses.map(({ providerData }) => providerData as RawResponse);
      assert.ok(raw.some(hasReasoning), JSON.stringify(raw));

      const streamed = agentOf();
      const stream = await runner.run(streamed.agent, QUESTION, { maxTurns: 5, stream: true });
      const events: RawEvent[] = [];
      for await (const event of stream) {
        if (event.type === "raw_model_stream_event" && event.data.type === "model")
          events.push(event.data.event as RawEvent);
      }
      await stream.completed;
      assert.equal(stream.finalOutput, ANSWER);
      assert.deepEqual(streamed.asked, ["Venice"]);
      const types = new Set(events.map(({ type }) => type));
      if (api === "responses") {
        assert.ok(
          types.has("response.reasoning_text.delta") && types.has("response.reasoning_text.done"),
          [...types].join(),
        );
      } else assert.ok(events.some(({ choices }) => (choices?.[0]?.delta.reasoning ?? "") !== ""));
    });
  }
});

interface RawResponse {
  choices?: { message: { reasoning?: string; reasoning_content?: string } }[];
  output?: { type: string; content?: { type: string; text: string }[] }[];
}

interface RawEvent {
  type?: string;
  choices?: { delta: { reasoning?: string } }[];
}

/** In the message of a chat completion, or as an item of a response. */
function hasReasoning({ choices, output }: RawResponse): boolean {
  const message = choices?.[0]?.message;
  if (message !== undefined) return Boolean(message.reasoning) && message.reasoning === message.reasoning_content;
  const items = (output ?? []).filter(({ type }) => type === "reasoning");
  const parts = items.flatMap(({ content }) => content ?? []);
  return parts.length > 0 && parts.every(({ type, text }) => type === "reasoning_text" && text.length > 0);
}

function agentOf() {
  const asked: string[] = [];
  const weather = tool({
    name: "get_current_weather",
    description: "Gets the current weather in the provided location.",
    parameters: z.object({ location: z.string().describe("A city name") }),
    strict: true,
    execute: ({ location }) => {
      asked.push(location);
      return '{"location": "Venice", "sky": "cloudy", "temp_c": -8}';
    },
  });
  return { asked, agent: new Agent({ name: "weather", tools: [weather] }) };
}
