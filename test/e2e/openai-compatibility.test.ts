import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import { RunningCluster } from "./moesaic.js";

const MODEL = "moesaic-demo";
/** More turns than any conversation here needs. */
const MAX_TURNS = 5;

interface Case {
  what: string;
  ask: string;
  tool: { name: string; description: string; parameters: Record<string, unknown> };
  /** Names of its arguments, with their types. */
  types: Record<string, string>;
  /** What the call must say; absent: whatever fits the schema. */
  expected?: object;
  result: string;
  answer?: RegExp;
}

const text = (description: string) => ({ type: "string", description });

/** Tools that the demo model was taught, under names that it was taught. */
const CASES: readonly Case[] = [
  {
    what: "the weather of a city",
    ask: "Tell me the weather in Venice",
    tool: {
      name: "get_weather",
      description: "Get the weather for a city.",
      parameters: { type: "object", properties: { location: text("The city") }, required: ["location"] },
    },
    types: { location: "string" },
    expected: { location: "Venice" },
    result: '{"location": "Venice", "sky": "cloudy", "temp_c": -8}',
    answer: /cloudy/,
  },
  {
    what: "the weather, by another name of tool and argument",
    ask: "Tell me the weather in Georgetown.",
    tool: {
      name: "lookup_weather",
      description: "Get the weather for a city.",
      parameters: { type: "object", properties: { city: text("The city") }, required: ["city"] },
    },
    types: { city: "string" },
    expected: { city: "Georgetown" },
    result: '{"city": "Georgetown", "description": "rainy", "temperature": 21}',
    answer: /rainy/,
  },
  {
    what: "a tool without arguments",
    ask: "What is my location",
    tool: {
      name: "where_am_i",
      description: "Get the location of the user.",
      parameters: { type: "object", properties: {} },
    },
    types: {},
    expected: {},
    result: '{"city": "Lima"}',
  },
  {
    what: "a search with an optional number",
    ask: "Look up the longest river in Iceland.",
    tool: {
      name: "web_search",
      description: "Search the web.",
      parameters: {
        type: "object",
        properties: {
          query: text("The search query"),
          limit: { type: "integer", description: "Number of results", default: 5 },
        },
        required: ["query"],
      },
    },
    types: { query: "string", limit: "number" },
    result: '{"answer":"Gepa"}',
  },
];

/**
 * What clients of gpt-oss count on, checked as OpenAI's public compatibility test of it does: in a conversation with one tool the
 * tool is called with arguments of its schema, reasoning is where its clients look for it, streams have the events of it.
 */
describe("what clients of gpt-oss count on", () => {
  let cluster: RunningCluster;
  let client: OpenAI;
  const ends: (() => unknown)[] = [];
  before(async () => {
    const test = { after: (end: () => unknown) => void ends.push(end) };
    cluster = await RunningCluster.launch(test as never);
    client = new OpenAI({ baseURL: `http://${cluster.http}/v1`, apiKey: "none", maxRetries: 0 });
  });
  after(async () => {
    for (const end of ends.toReversed()) await end();
  });

  for (const each of CASES) {
    for (const isStreamed of [false, true]) {
      const how = isStreamed ? "streamed" : "at once";
      it(`chat completions, ${how}: ${each.what}`, () => chat(client, each, isStreamed));
      it(`responses, ${how}: ${each.what}`, () => respond(client, each, isStreamed));
    }
  }
});

async function chat(client: OpenAI, each: Case, isStreamed: boolean): Promise<void> {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: each.ask }];
  const tools = [{ type: "function" as const, function: each.tool }];
  const seen = { numCalls: 0, numReasoning: 0 };
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    const ask = { model: MODEL, messages, tools, temperature: 0 };
    const { message, numReasoning } = isStreamed ? await streamedMessage(client, ask) : await wholeMessage(client, ask);
    seen.numReasoning += numReasoning;
    messages.push(message);
    const calls = message.tool_calls ?? [];
    if (calls.length === 0) {
      assert.match(message.content!, each.answer ?? /\w/);
      assert.ok(seen.numCalls > 0, "the tool was not called");
      return assert.ok(seen.numReasoning > 0, "there was no reasoning");
    }
    for (const call of calls) {
      assert.ok(call.type === "function");
      checkCall(each, call.function.name, call.function.arguments);
      seen.numCalls += 1;
      messages.push({ role: "tool", tool_call_id: call.id, content: each.result });
    }
  }
  assert.fail(`no answer in ${MAX_TURNS} turns`);
}

type ChatAsk = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "stream">;
type Thought = { reasoning?: unknown; reasoning_content?: unknown };

async function wholeMessage(client: OpenAI, ask: ChatAsk) {
  const { choices, object, usage } = await client.chat.completions.create(ask);
  const { message, finish_reason: finishReason } = choices[0]!;
  assert.deepEqual([object, message.role, message.refusal], ["chat.completion", "assistant", null]);
  assert.equal(finishReason, message.tool_calls === undefined ? "stop" : "tool_calls");
  assert.equal(usage!.total_tokens, usage!.prompt_tokens + usage!.completion_tokens);
  const { reasoning, reasoning_content: sameReasoning } = message as Thought;
  assert.equal(reasoning, sameReasoning);
  return { message, numReasoning: typeof reasoning === "string" && reasoning.length > 0 ? 1 : 0 };
}

/** The message is put together by OpenAI's own client, the deltas are counted as they come. */
async function streamedMessage(client: OpenAI, ask: ChatAsk) {
  const runner = client.chat.completions.stream(ask);
  let numReasoning = 0;
  for await (const { choices, object } of runner) {
    assert.equal(object, "chat.completion.chunk");
    const { reasoning } = (choices[0]?.delta ?? {}) as Thought;
    if (typeof reasoning === "string" && reasoning.length > 0) numReasoning += 1;
  }
  const { message } = (await runner.finalChatCompletion()).choices[0]!;
  return { message: message as OpenAI.ChatCompletionMessage, numReasoning };
}

async function respond(client: OpenAI, each: Case, isStreamed: boolean): Promise<void> {
  const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: each.ask }];
  const tools = [{ type: "function" as const, strict: false, ...each.tool }];
  let numCalls = 0;
  let numReasoning = 0;
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    const ask = { model: MODEL, input, tools, temperature: 0 };
    const response = isStreamed ? await streamedResponse(client, ask) : await client.responses.create(ask);
    assert.deepEqual([response.object, response.status, response.error], ["response", "completed", null]);
    for (const item of response.output) {
      if (item.type !== "reasoning") continue;
      numReasoning += 1;
      assert.ok(item.content!.length > 0);
      assert.ok(item.content!.every((part) => part.type === "reasoning_text" && part.text.length > 0));
    }
    input.push(...(response.output as OpenAI.Responses.ResponseInput));
    const calls = response.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) {
      assert.match(response.output_text, each.answer ?? /\w/);
      assert.ok(numCalls > 0, "the tool was not called");
      return assert.ok(numReasoning > 0, "there was no reasoning");
    }
    for (const { name, arguments: args, call_id } of calls) {
      checkCall(each, name, args);
      numCalls += 1;
      input.push({ type: "function_call_output", call_id, output: each.result });
    }
  }
  assert.fail(`no answer in ${MAX_TURNS} turns`);
}

type ResponseAsk = OpenAI.Responses.ResponseCreateParamsNonStreaming;
type StreamEvent = OpenAI.Responses.ResponseStreamEvent;

/** The events must tell, each on its way, what the last one has whole. */
async function streamedResponse(client: OpenAI, ask: ResponseAsk): Promise<OpenAI.Responses.Response> {
  const events: StreamEvent[] = [];
  for await (const event of await client.responses.create({ ...ask, stream: true })) events.push(event);
  assert.deepEqual(
    events.map(({ sequence_number: number }) => number),
    events.map((_, index) => index),
  );
  assert.deepEqual(
    events.slice(0, 2).map(({ type }) => type),
    ["response.created", "response.in_progress"],
  );
  const last = events.at(-1)!;
  assert.ok(last.type === "response.completed");
  const whole = last.response;
  for (const [index, item] of whole.output.entries()) checkItemEvents(events, index, item);
  // Sent as an event a response has no sum of its texts: OpenAI's client makes it of the items.
  const parts = whole.output.flatMap((item) => (item.type === "message" ? item.content : []));
  return { ...whole, output_text: parts.map((part) => (part.type === "output_text" ? part.text : "")).join("") };
}

const DELTAS = {
  reasoning: "response.reasoning_text",
  message: "response.output_text",
  function_call: "response.function_call_arguments",
} as const;

/** An item is added, grows by deltas whose sum its end repeats, and is done as the response has it. */
function checkItemEvents(
  events: readonly StreamEvent[],
  index: number,
  item: OpenAI.Responses.ResponseOutputItem,
): void {
  const own = events.filter((event) => "output_index" in event && event.output_index === index);
  assert.deepEqual([own[0]!.type, own.at(-1)!.type], ["response.output_item.added", "response.output_item.done"]);
  const done = own.at(-1) as Extract<StreamEvent, { type: "response.output_item.done" }>;
  assert.deepEqual(done.item, item);
  const name = DELTAS[item.type as keyof typeof DELTAS];
  const deltas = own.flatMap((event) => (event.type === `${name}.delta` ? [(event as { delta: string }).delta] : []));
  const end = own.find(({ type }) => type === `${name}.done`) as { text?: string; arguments?: string } | undefined;
  assert.ok(deltas.length > 0, `${item.type} has no deltas`);
  assert.equal(deltas.join(""), end?.text ?? end?.arguments);
}

function checkCall({ tool, types, expected }: Case, name: string, text: string): void {
  assert.equal(name, tool.name);
  const args = JSON.parse(text) as Record<string, unknown>;
  const { required = [] } = tool.parameters as { required?: string[] };
  assert.ok(
    required.every((key) => key in args),
    text,
  );
  for (const [key, value] of Object.entries(args)) assert.equal(typeof value, types[key], `${key} in ${text}`);
  if (expected !== undefined) assert.deepEqual(args, expected);
}
