import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type OpenAI from "openai";
import { APIError, RateLimitError } from "openai";
import { MoesaicError } from "../../../proto/errors.js";
import { collected, openApi } from "../../../test/openai-api.js";

const MODEL = "demo";
const user = (content: string) => ({ role: "user" as const, content });
const ASK = { model: MODEL, messages: [user("Hello?")] };
const WEATHER = {
  type: "function" as const,
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};
const THOUGHT = "<|channel|>analysis<|message|>Thinking.<|end|><|start|>assistant";
const CALL = `<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Rome"}<|call|>`;

/** The fields beyond OpenAI's that open models need. */
type Reasoning = { reasoning_content?: string; reasoning?: string };

describe("POST /v1/chat/completions", () => {
  it("answers with content, reasoning apart, finish reason and usage", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => `${THOUGHT}<|channel|>final<|message|>Hi there.<|return|>`;
    model.numCachedTokens = 16;
    const answer = await client.chat.completions.create(ASK);
    const [choice] = answer.choices;
    assert.equal(choice!.message.content, "Hi there.");
    assert.equal((choice!.message as Reasoning).reasoning_content, "Thinking.");
    assert.equal((choice!.message as Reasoning).reasoning, "Thinking.");
    assert.equal(choice!.finish_reason, "stop");
    assert.equal(answer.object, "chat.completion");
    assert.match(answer.id, /^chatcmpl-/);
    const usage = answer.usage!;
    assert.equal(usage.prompt_tokens, model.specs[0]!.promptTokenIds.length);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert.equal(usage.prompt_tokens_details!.cached_tokens, 16);
    const { token_ids: thought } = await tokensOf(client, "Thinking.");
    assert.equal(usage.completion_tokens_details!.reasoning_tokens, thought.length);
  });

  it("streams role, reasoning, content, finish reason, then usage, and tells the request's id", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => `${THOUGHT}<|channel|>final<|message|>Hi there.<|return|>`;
    const options = { stream: true as const, stream_options: { include_usage: true } };
    const { data, request_id: requestId } = await client.chat.completions.create({ ...ASK, ...options }).withResponse();
    const chunks = await collected(data);
    assert.match(requestId!, /^req_/);
    assert.deepEqual(chunks[0]!.choices[0]!.delta, { role: "assistant", content: "", refusal: null });
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
    assert.equal(deltas.map(({ content }) => content ?? "").join(""), "Hi there.");
    assert.equal(deltas.map((delta) => (delta as Reasoning).reasoning_content ?? "").join(""), "Thinking.");
    assert.equal(chunks.at(-2)!.choices[0]!.finish_reason, "stop");
    assert.deepEqual(chunks.at(-1)!.choices, []);
    assert.ok(chunks.at(-1)!.usage!.completion_tokens > 5);
    assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null));
    assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
  });

  it("calls tools: one call with id and arguments, streamed and not, and takes the result back", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + CALL;
    const request = { ...ASK, tools: [WEATHER] };
    const { choices } = await client.chat.completions.create(request);
    const { message, finish_reason: reason } = choices[0]!;
    assert.equal(reason, "tool_calls");
    assert.equal(message.content, null);
    const call = message.tool_calls![0] as OpenAI.ChatCompletionMessageFunctionToolCall;
    assert.deepEqual(call.function, { name: "get_weather", arguments: '{"city":"Rome"}' });
    assert.match(call.id, /^call_/);

    const chunks = await collected(await client.chat.completions.create({ ...request, stream: true }));
    const deltas = chunks.flatMap(({ choices: [choice] }) => choice?.delta.tool_calls ?? []);
    assert.deepEqual([deltas[0]!.index, deltas[0]!.type, deltas[0]!.function!.name], [0, "function", "get_weather"]);
    assert.ok(deltas.slice(1).every(({ id }) => id === undefined));
    assert.equal(deltas.map(({ function: part }) => part!.arguments).join(""), '{"city":"Rome"}');
    assert.equal(chunks.at(-1)!.choices[0]!.finish_reason, "tool_calls");

    model.answer = () => "<|channel|>final<|message|>Sunny.<|return|>";
    const messages = [ASK.messages[0]!, message, { role: "tool" as const, tool_call_id: call.id, content: "sunny" }];
    await client.chat.completions.create({ ...request, messages });
    assert.match(
      model.lastPrompt,
      /analysis<\|message\|>Thinking\.<\|end\|>.*to=functions\.get_weather.*\{"city":"Rome"\}<\|call\|>/,
    );
    assert.match(model.lastPrompt, /functions\.get_weather to=assistant<\|channel\|>commentary<\|message\|>sunny/);
  });

  // Clients know no reasoning in chat completions and drop it; a loop of calls without it went round and round.
  it("remembers what was thought before a call for clients that send the call back without it", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + CALL;
    const { choices } = await client.chat.completions.create({ ...ASK, tools: [WEATHER] });
    const calls = choices[0]!.message.tool_calls!;
    const result = { role: "tool" as const, tool_call_id: calls[0]!.id, content: "sunny" };
    const bare = { role: "assistant" as const, content: null, tool_calls: calls };
    await client.chat.completions.create({ ...ASK, messages: [ASK.messages[0]!, bare, result] });
    assert.match(model.lastPrompt, /analysis<\|message\|>Thinking\.<\|end\|>/);
    const other = { ...bare, reasoning_content: "Otherwise." } as typeof bare;
    await client.chat.completions.create({ ...ASK, messages: [ASK.messages[0]!, other, result] });
    assert.match(model.lastPrompt, /analysis<\|message\|>Otherwise\.<\|end\|>/);
    assert.doesNotMatch(model.lastPrompt, /Thinking/);
  });

  it("offers no tools with tool_choice none, and only the allowed ones", async (test) => {
    const { client, model } = await openApi(test);
    const other = { type: "function" as const, function: { name: "other" } };
    const tools = [WEATHER, other];
    await client.chat.completions.create({ ...ASK, tools, tool_choice: "none" });
    assert.doesNotMatch(model.lastPrompt, /functions/);
    const allowed = { mode: "auto" as const, tools: [{ type: "function", function: { name: "other" } }] };
    const choice = { type: "allowed_tools" as const, allowed_tools: allowed };
    await client.chat.completions.create({ ...ASK, tools, tool_choice: choice });
    assert.match(model.lastPrompt, /type other/);
    assert.doesNotMatch(model.lastPrompt, /get_weather/);
  });

  it("gives logprobs of the content alone, with bytes and alternatives", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => `${THOUGHT}<|channel|>final<|message|>a é<|return|>`;
    const { choices } = await client.chat.completions.create({ ...ASK, logprobs: true, top_logprobs: 2 });
    const entries = choices[0]!.logprobs!.content!;
    assert.equal(Buffer.from(entries.flatMap(({ bytes }) => bytes!)).toString(), "a é");
    assert.ok(entries.every(({ logprob, top_logprobs: top }) => logprob === -0.5 && top.length === 2));
    const stream = await client.chat.completions.create({ ...ASK, logprobs: true, stream: true });
    const streamed = (await collected(stream)).flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? []);
    assert.deepEqual(
      streamed.map(({ token }) => token),
      entries.map(({ token }) => token),
    );
  });

  it("returns n choices, each whole, and counts the prompt once", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = ({ seqId }) => `<|channel|>final<|message|>choice ${seqId}<|return|>`;
    const answer = await client.chat.completions.create({ ...ASK, n: 3 });
    assert.equal(new Set(answer.choices.map(({ message }) => message.content)).size, 3);
    assert.deepEqual(
      answer.choices.map(({ index }) => index),
      [0, 1, 2],
    );
    assert.equal(answer.usage!.prompt_tokens, model.specs[0]!.promptTokenIds.length);
  });

  it("hands every parameter of sampling on", async (test) => {
    const { client, model } = await openApi(test);
    await client.chat.completions.create({
      ...ASK,
      temperature: 0.5,
      top_p: 0.25,
      presence_penalty: 1,
      frequency_penalty: -1,
      seed: 7,
      logit_bias: { 5: -100 },
      max_completion_tokens: 9,
      service_tier: "priority",
      user: "somebody",
      metadata: { a: "b" },
      parallel_tool_calls: false,
    });
    const { sampling, priority, promptTokenIds } = model.specs[0]!;
    assert.deepEqual([sampling.temperature, sampling.topP], [0.5, 0.25]);
    assert.deepEqual([sampling.presencePenalty, sampling.frequencyPenalty, sampling.seed], [1, -1, 7]);
    assert.deepEqual(sampling.logitBias, [{ tokenId: 5, bias: -100 }]);
    assert.equal(sampling.maxSeqLen, promptTokenIds.length + 9);
    assert.equal(priority, -10);
  });

  it("ends at a stop string without showing it, and at max_tokens with finish reason length", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => "<|channel|>final<|message|>one two three<|return|>";
    const stopped = await client.chat.completions.create({ ...ASK, stop: " two" });
    assert.equal(stopped.choices[0]!.message.content, "one");
    assert.equal(stopped.choices[0]!.finish_reason, "stop");
    const cut = await client.chat.completions.create({ ...ASK, max_tokens: 4 });
    assert.equal(cut.choices[0]!.finish_reason, "length");
    assert.equal(cut.usage!.completion_tokens, 4);
  });

  it("takes effort, developer messages and content in parts", async (test) => {
    const { client, model } = await openApi(test);
    const parts = ["one", "two"].map((text) => ({ type: "text" as const, text }));
    const messages = [
      { role: "developer" as const, content: "Be brief." },
      { role: "user" as const, content: parts },
    ];
    await client.chat.completions.create({ ...ASK, messages, reasoning_effort: "high" });
    assert.match(model.lastPrompt, /Reasoning: high/);
    assert.match(model.lastPrompt, /Be brief\./);
    assert.match(model.lastPrompt, /user<\|message\|>one\ntwo<\|end\|>/);
  });

  const refused: [what: string, fields: object, param: string, code: string | null][] = [
    ["an unknown parameter", { foo: 1 }, "foo", null],
    ["a temperature out of range", { temperature: 3 }, "temperature", null],
    ["a temperature that is text", { temperature: "hot" }, "temperature", null],
    ["no message", { messages: [] }, "messages", null],
    ["an unknown role", { messages: [{ role: "king", content: "" }] }, "messages[0].role", null],
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      "messages[0].content[0].type",
      "unsupported_parameter",
    ],
    ["top_logprobs alone", { top_logprobs: 2 }, "top_logprobs", null],
    ["too many alternatives", { logprobs: true, top_logprobs: 21 }, "top_logprobs", null],
    ["stream_options alone", { stream_options: { include_usage: true } }, "stream_options", null],
    ["two limits that differ", { max_tokens: 1, max_completion_tokens: 2 }, "max_tokens", null],
    ["a bias for no token", { logit_bias: { x: 1 } }, "logit_bias.x", null],
    ["too much metadata", { metadata: { a: "x".repeat(513) } }, "metadata.a", null],
    ["minimal effort", { reasoning_effort: "minimal" }, "reasoning_effort", "unsupported_parameter"],
    ["an effort nobody knows", { reasoning_effort: "extreme" }, "reasoning_effort", null],
    ["store", { store: true }, "store", "unsupported_parameter"],
    ["audio", { modalities: ["text", "audio"] }, "modalities", "unsupported_parameter"],
    ["functions", { functions: [] }, "functions", "unsupported_parameter"],
    ["prediction", { prediction: { type: "content", content: "" } }, "prediction", "unsupported_parameter"],
    ["web search", { web_search_options: {} }, "web_search_options", "unsupported_parameter"],
    ["a custom tool", { tools: [{ type: "custom", custom: { name: "x" } }] }, "tools[0].type", null],
    ["a choice without tools", { tool_choice: "required" }, "tool_choice", null],
    [
      "a choice of a tool that is not there",
      { tools: [WEATHER], tool_choice: { type: "function", function: { name: "x" } } },
      "tool_choice",
      null,
    ],
    ["another model", { model: "gpt-5" }, "model", "model_not_found"],
    ["a prompt that is too long", { messages: [user("word ".repeat(5_000))] }, "messages", "context_length_exceeded"],
  ];
  for (const [what, fields, param, code] of refused) {
    it(`refuses ${what} in OpenAI's shape`, async (test) => {
      const { post } = await openApi(test);
      const { status, json } = await post("/v1/chat/completions", { ...ASK, ...fields });
      const { error } = json as { error: { param: string; code: string | null; type: string; message: string } };
      assert.equal(status, what === "another model" ? 404 : 400, error.message);
      assert.deepEqual([error.param, error.code, error.type], [param, code, "invalid_request_error"], error.message);
    });
  }

  it("names all problems at once", async (test) => {
    const { post } = await openApi(test);
    const { json } = await post("/v1/chat/completions", { ...ASK, n: "x", stop: 5, bar: 1 });
    assert.match((json as { error: { message: string } }).error.message, /n: .*stop: .*bar: /);
  });

  it("takes absent, null and empty values of what it does not do", async (test) => {
    const { post } = await openApi(test);
    const nothing = {
      store: false,
      audio: null,
      prediction: null,
      functions: null,
      tools: [],
      response_format: { type: "text" },
    };
    assert.equal((await post("/v1/chat/completions", { ...ASK, ...nothing, stop: null, n: null })).status, 200);
  });
});

// Errors that come from the cluster, not from the request.
describe("POST /v1/chat/completions of a cluster in trouble", () => {
  it("answers 429 with retry-after when the queue is full", async (test) => {
    const { client, model } = await openApi(test);
    model.refusal = new MoesaicError("resource_exhausted", "queue: full", { retryAfterMs: 1_000 });
    for (const stream of [false, true]) {
      const error = await client.chat.completions.create({ ...ASK, stream }).then(unexpected, asApiError);
      assert.ok(error instanceof RateLimitError);
      assert.equal(error.headers.get("retry-after"), "1");
      assert.equal(error.code, "rate_limit_exceeded");
    }
  });

  it("answers 503 with retry-after while nothing serves", async (test) => {
    const { client, model } = await openApi(test);
    model.refusal = new MoesaicError("unavailable", "the cluster is draining and accepts nothing new");
    const error = await client.chat.completions.create(ASK).then(unexpected, asApiError);
    assert.equal(error.status, 503);
    assert.equal(error.headers!.get("retry-after"), "1");
  });

  // tt-vllm 386: parser errors came with status 200 and a body that only people could tell from an answer.
  it("never answers 200 for what went wrong before the answer, and ends a stream with an error event", async (test) => {
    const { client, model } = await openApi(test);
    const lost = new MoesaicError("unavailable", "the ranks did not come back");
    model.answer = () => "<|channel|>final<|message|>one two three four<|return|>";
    let numTokens = 0;
    model.pace = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      if ((numTokens += 1) === 5) model.fail(lost);
    };
    const error = await client.chat.completions.create(ASK).then(unexpected, asApiError);
    assert.equal(error.status, 503);
    numTokens = 0;
    const stream = await client.chat.completions.create({ ...ASK, stream: true });
    await assert.rejects(collected(stream), { message: /the ranks did not come back/ });
  });
});

// What users of other servers saw gpt-oss do.
describe("chat completions of a model that errs", () => {
  const odd: [symptom: string, answer: string, expected: { content?: string; name?: string }][] = [
    [
      "a tool name with a hyphen was a 500",
      `<|channel|>commentary to=functions.web-browsing <|constrain|>json<|message|>{}<|call|>`,
      { name: "web-browsing" },
    ],
    ["a stop token in a header was a 503", `${THOUGHT}<|channel|>final<|return|>`, { content: "" }],
    [
      "a doubled recipient was a 400 that blamed the client",
      `<|channel|>commentary to=functions.f to=functions.f <|constrain|>json<|message|>{}<|call|>`,
      { name: "f" },
    ],
    [
      "a call on the analysis channel was shown as text",
      `<|channel|>analysis to=functions.f code<|message|>{}<|call|>`,
      { name: "f" },
    ],
    [
      "control tokens leaked into the content",
      `<|start|>assistant<|channel|>final<|message|>a<|constrain|>b<|return|>`,
      { content: "ab" },
    ],
  ];
  for (const [symptom, answer, { content, name }] of odd) {
    it(`answers where elsewhere ${symptom}`, async (test) => {
      const { client, model } = await openApi(test);
      model.answer = () => answer;
      const { choices } = await client.chat.completions.create(ASK);
      const { message } = choices[0]!;
      const calls = (message.tool_calls ?? []) as OpenAI.ChatCompletionMessageFunctionToolCall[];
      assert.deepEqual(
        calls.map((call) => call.function.name),
        name === undefined ? [] : [name],
      );
      if (content !== undefined) assert.equal(message.content, content);
      const chunks = await collected(await client.chat.completions.create({ ...ASK, stream: true }));
      assert.equal(chunks.at(-1)!.choices[0]!.finish_reason, choices[0]!.finish_reason);
    });
  }

  // transformers 40202: the second turn failed.
  it("takes its own answers back as they are, and drops old reasoning", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => `${THOUGHT}<|channel|>final<|message|>First.<|return|>`;
    const first = await client.chat.completions.create(ASK);
    const messages = [...ASK.messages, first.choices[0]!.message, user("And then?")];
    await client.chat.completions.create({ ...ASK, messages });
    assert.match(model.lastPrompt, /final<\|message\|>First\.<\|end\|>/);
    assert.doesNotMatch(model.lastPrompt, /Thinking/);
  });

  it("shows a preamble as content, apart from the answer by a line break", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () =>
      `<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>`;
    const { choices } = await client.chat.completions.create(ASK);
    assert.equal(choices[0]!.message.content, "One moment.\nDone.");
  });
});

async function tokensOf(client: OpenAI, prompt: string): Promise<{ token_ids: number[] }> {
  const { tokens } = await client.post<{ tokens: number[] }>("/../tokenize", { body: { prompt } });
  return { token_ids: tokens };
}

function unexpected(): never {
  throw new Error("the request was answered");
}

function asApiError(error: unknown): APIError {
  assert.ok(error instanceof APIError, String(error));
  return error;
}
