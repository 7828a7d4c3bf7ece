import assert from "node:assert/strict";
import { describe, it } from "node:test";
import OpenAI from "openai";
import { MoesaicError } from "../../../proto/errors.js";
import { collected, openApi } from "../../../test/openai-api.js";

const ASK = { model: "demo", input: "Hello?" };
const WEATHER = {
  type: "function" as const,
  name: "get_weather",
  parameters: { type: "object", properties: { city: { type: "string" } } },
  strict: false,
};
const THOUGHT = "<|channel|>analysis<|message|>Thinking.<|end|><|start|>assistant";
const PREAMBLE = "<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant";
const FINAL = "<|channel|>final<|message|>Hi there.<|return|>";
const CALL = `<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Rome"}<|call|>`;

describe("POST /v1/responses", () => {
  it("answers with reasoning and message items, and counts usage", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + PREAMBLE + FINAL;
    model.numCachedTokens = 16;
    const response = await client.responses.create({ ...ASK, metadata: { a: "b" }, instructions: "Be brief." });
    assert.equal(response.status, "completed");
    assert.equal(response.output_text, "One moment.Hi there.");
    const [thought, preamble, answer] = response.output as [
      OpenAI.Responses.ResponseReasoningItem,
      OpenAI.Responses.ResponseOutputMessage,
      OpenAI.Responses.ResponseOutputMessage,
    ];
    assert.deepEqual(thought.content, [{ type: "reasoning_text", text: "Thinking." }]);
    assert.deepEqual([preamble.phase, answer.phase], ["commentary", "final_answer"]);
    assert.ok(response.output.every((item) => (item as { status: string }).status === "completed"));
    assert.deepEqual(response.metadata, { a: "b" });
    const usage = response.usage!;
    // vllm 22809: the counts were zeros.
    assert.equal(usage.input_tokens, model.specs[0]!.promptTokenIds.length);
    assert.equal(usage.input_tokens_details.cached_tokens, 16);
    assert.ok(usage.output_tokens_details.reasoning_tokens > 0);
    assert.ok(usage.output_tokens > usage.output_tokens_details.reasoning_tokens);
    assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
    assert.match(model.lastPrompt, /# Instructions\n\nBe brief\./);
  });

  it("streams the whole set of events, numbered, each item from added to done", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + CALL;
    const events = await collected(await client.responses.create({ ...ASK, tools: [WEATHER], stream: true }));
    assert.deepEqual(
      events.map(({ sequence_number: number }) => number),
      events.map((_, index) => index),
    );
    assert.deepEqual(withoutRepeats(events.map(({ type }) => type)), [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.reasoning_text.delta",
      "response.reasoning_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const last = events.at(-1) as OpenAI.Responses.ResponseCompletedEvent;
    const call = last.response.output[1] as OpenAI.Responses.ResponseFunctionToolCall;
    assert.equal(call.arguments, '{"city":"Rome"}');
    const done = events.filter((event) => event.type === "response.output_item.done");
    assert.deepEqual(
      done.map(({ item, output_index: index }) => [item, index]),
      last.response.output.map((item, index) => [item, index]),
    );
  });

  it("streams messages as OpenAI's own reader takes them", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + FINAL;
    const stream = client.responses.stream({ ...ASK, include: ["message.output_text.logprobs"], top_logprobs: 1 });
    const texts: string[] = [];
    stream.on("response.output_text.delta", ({ delta }) => texts.push(delta));
    const final = await stream.finalResponse();
    assert.equal(texts.join(""), "Hi there.");
    assert.equal(final.output_text, "Hi there.");
    const message = final.output[1] as OpenAI.Responses.ResponseOutputMessage;
    const { logprobs } = message.content[0] as OpenAI.Responses.ResponseOutputText;
    assert.equal(logprobs!.map(({ token }) => token).join(""), "Hi there.");
  });

  it("shows reasoning as a summary where one is asked for", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + FINAL;
    const events = await collected(
      await client.responses.create({ ...ASK, reasoning: { effort: "low", summary: "auto" }, stream: true }),
    );
    const types = withoutRepeats(events.map(({ type }) => type)).slice(2, 8);
    assert.deepEqual(types, [
      "response.output_item.added",
      "response.reasoning_summary_part.added",
      "response.reasoning_summary_text.delta",
      "response.reasoning_summary_text.done",
      "response.reasoning_summary_part.done",
      "response.output_item.done",
    ]);
    assert.match(model.lastPrompt, /Reasoning: low/);
  });

  it("says incomplete, of response and item, when tokens run out", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + FINAL;
    const response = await client.responses.create({ ...ASK, max_output_tokens: 4 });
    assert.equal(response.status, "incomplete");
    assert.deepEqual(response.incomplete_details, { reason: "max_output_tokens" });
    assert.equal((response.output[0] as OpenAI.Responses.ResponseReasoningItem).status, "incomplete");
  });

  it("ends a stream with response.failed when the cluster fails, and answers with a status otherwise", async (test) => {
    const { client, model } = await openApi(test);
    const lost = new MoesaicError("unavailable", "the ranks did not come back");
    let numTokens = 0;
    model.answer = () => THOUGHT + FINAL;
    model.pace = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      if ((numTokens += 1) % 4 === 0) model.fail(lost);
    };
    const events = await collected(await client.responses.create({ ...ASK, stream: true }));
    const last = events.at(-1) as OpenAI.Responses.ResponseFailedEvent;
    assert.equal(last.type, "response.failed");
    assert.equal(last.response.error!.message, "the ranks did not come back");
    await assert.rejects(client.responses.create(ASK), { status: 503 });
    model.refusal = lost;
    await assert.rejects(client.responses.create({ ...ASK, stream: true }), { status: 503 });
  });

  const refused: [what: string, fields: object, param: string, code: string | null][] = [
    ["an unknown parameter", { foo: 1 }, "foo", null],
    ["several choices", { n: 2 }, "n", null],
    ["a conversation", { conversation: "c" }, "conversation", "unsupported_parameter"],
    ["a built-in tool", { tools: [{ type: "web_search" }] }, "tools[0].type", null],
    ["an item nobody knows", { input: [{ type: "mcp_call" }] }, "input[0].type", "unsupported_parameter"],
    [
      "an image",
      { input: [{ role: "user", content: [{ type: "input_image" }] }] },
      "input[0].content[0].type",
      "unsupported_parameter",
    ],
    ["an include of other items", { include: ["file_search_call.results"] }, "include[0]", "unsupported_parameter"],
    ["truncation", { truncation: "auto" }, "truncation", "unsupported_parameter"],
    ["no input", { input: [] }, "messages", null],
    ["an earlier response that is not there", { previous_response_id: "resp_x" }, "previous_response_id", null],
  ];
  for (const [what, fields, param, code] of refused) {
    it(`refuses ${what}`, async (test) => {
      const { post } = await openApi(test);
      const { status, json } = await post("/v1/responses", { ...ASK, ...fields });
      const { error } = json as { error: { param: string; code: string | null; message: string } };
      assert.deepEqual([status, error.param, error.code], [400, param, code], error.message);
    });
  }
});

describe("a conversation of responses", () => {
  it("goes on from the one before: reasoning stays over calls and is dropped after the answer", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + CALL;
    const first = await client.responses.create({ ...ASK, tools: [WEATHER], instructions: "Only once." });
    const call = first.output.find(({ type }) => type === "function_call") as OpenAI.Responses.ResponseFunctionToolCall;
    model.answer = () => FINAL;
    const second = await client.responses.create({
      model: "demo",
      previous_response_id: first.id,
      input: [{ type: "function_call_output", call_id: call.call_id, output: "sunny" }],
    });
    assert.match(model.lastPrompt, /user<\|message\|>Hello\?<\|end\|>/);
    assert.match(model.lastPrompt, /analysis<\|message\|>Thinking\.<\|end\|>.*\{"city":"Rome"\}<\|call\|>/);
    assert.match(model.lastPrompt, /functions\.get_weather to=assistant<\|channel\|>commentary<\|message\|>sunny/);
    assert.doesNotMatch(model.lastPrompt, /Only once/);
    await client.responses.create({ model: "demo", previous_response_id: second.id, input: "And then?" });
    assert.match(model.lastPrompt, /final<\|message\|>Hi there\.<\|end\|>/);
    assert.match(model.lastPrompt, /\{"city":"Rome"\}<\|call\|>/);
    assert.doesNotMatch(model.lastPrompt, /Thinking/);
  });

  it("is the same when the client sends its items itself", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => THOUGHT + PREAMBLE + CALL;
    const request = { ...ASK, tools: [WEATHER] };
    const first = await client.responses.create(request);
    const call = first.output.at(-1) as OpenAI.Responses.ResponseFunctionToolCall;
    const result = { type: "function_call_output" as const, call_id: call.call_id, output: "sunny" };
    await client.responses.create({ ...request, previous_response_id: first.id, input: [result] });
    const remembered = model.lastPrompt;
    const items = [{ role: "user" as const, content: "Hello?" }, ...first.output, result];
    await client.responses.create({ ...request, input: items as OpenAI.Responses.ResponseInput, store: false });
    assert.equal(model.lastPrompt, remembered);
    assert.match(remembered, /commentary<\|message\|>One moment\.<\|end\|>/);
  });

  it("can be looked at and deleted, unless it was not to be stored", async (test) => {
    const { client } = await openApi(test);
    const input = ["one", "two", "three"].map((content) => ({ role: "user" as const, content }));
    const response = await client.responses.create({ ...ASK, input });
    assert.deepEqual((await client.responses.retrieve(response.id)).output, response.output);
    const page = await client.responses.inputItems.list(response.id, { limit: 2, order: "asc" });
    assert.equal(page.data.length, 2);
    assert.ok(page.has_more);
    const all = await collected(client.responses.inputItems.list(response.id, { limit: 2 }));
    assert.equal(all.length, 3);
    await client.responses.delete(response.id);
    await assert.rejects(client.responses.retrieve(response.id), { status: 404 });
    const unstored = await client.responses.create({ ...ASK, store: false });
    await assert.rejects(client.responses.retrieve(unstored.id), { status: 404 });
  });

  it("counts the tokens of its input", async (test) => {
    const { client, model } = await openApi(test);
    const count = await client.responses.inputTokens.count({ ...ASK, tools: [WEATHER] });
    await client.responses.create({ ...ASK, tools: [WEATHER] });
    assert.equal(count.input_tokens, model.specs[0]!.promptTokenIds.length);
  });
});

describe("a response that runs", () => {
  it("can be seen and cancelled by another call; its stream ends so", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => `${THOUGHT}<|channel|>final<|message|>${" word".repeat(2_000)}`;
    model.pace = () => new Promise((resolve) => setTimeout(resolve, 5));
    const stream = await client.responses.create({ ...ASK, stream: true });
    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    for await (const event of stream) {
      events.push(event);
      if (event.type !== "response.created") continue;
      const { id } = event.response;
      assert.equal((await client.responses.retrieve(id)).status, "in_progress");
      await assert.rejects(client.responses.create({ ...ASK, previous_response_id: id }), { status: 400 });
      assert.equal((await client.responses.cancel(id)).status, "cancelled");
      await assert.rejects(client.responses.cancel(id), { status: 400 });
    }
    const last = events.at(-1) as OpenAI.Responses.ResponseIncompleteEvent;
    assert.equal(last.type, "response.incomplete");
    assert.equal(last.response.status, "cancelled");
    assert.equal(model.numLive, 0);
  });

  it("is cancelled when its client leaves", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => `${THOUGHT}<|channel|>final<|message|>${" word".repeat(2_000)}`;
    model.pace = () => new Promise((resolve) => setTimeout(resolve, 5));
    const stream = await client.responses.create({ ...ASK, stream: true });
    let id = "";
    for await (const event of stream) {
      if (event.type === "response.created") ({ id } = event.response);
      if (event.type === "response.reasoning_text.delta") break;
    }
    while (model.numLive > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    while ((await client.responses.retrieve(id)).status === "in_progress")
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal((await client.responses.retrieve(id)).status, "cancelled");
  });
});

/** Deltas come as often as there are tokens. */
function withoutRepeats(types: string[]): string[] {
  return types.filter((type, index) => !(type.endsWith(".delta") && type === types[index - 1]));
}
