import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import * as fc from "fast-check";
import OpenAI from "openai";
import { fuzzedRequests, type FuzzedRequest } from "../fuzz-bodies.js";
import { IS_LONG } from "../paths.js";
import { GOLDEN, SOME_GOLDEN } from "./golden-generations.js";
import { eventually, RunningCluster } from "./moesaic.js";

const MODEL = "moesaic-demo";
const JSON_TYPE = { "content-type": "application/json" };
const WEATHER = {
  name: "get_weather",
  description: "Get the weather for a city.",
  parameters: {
    type: "object",
    properties: { location: { type: "string", description: "The city" } },
    required: ["location"],
  },
};

const WEATHER_OF_VENICE = '{"location": "Venice", "sky": "cloudy", "temp_c": -8}';
const ANSWER = "The weather in Venice is cloudy with a temperature of -8 degrees.";

function clientOf(cluster: RunningCluster): OpenAI {
  return new OpenAI({ baseURL: `http://${cluster.http}/v1`, apiKey: "none", maxRetries: 0 });
}

describe("OpenAI's client against a live cluster", () => {
  it("chats, streams, calls a tool and hands its result back", async (test) => {
    const client = clientOf(await RunningCluster.launch(test));
    assert.deepEqual(
      (await client.models.list()).data.map(({ id }) => id),
      [MODEL],
    );

    const messages = [{ role: "user" as const, content: "What is the capital of France?" }];
    const ask = { model: MODEL, messages, temperature: 0 };
    const whole = await client.chat.completions.create(ask);
    assert.equal(whole.choices[0]!.message.content, "The capital of France is Paris.");
    assert.ok(whole.usage!.completion_tokens_details!.reasoning_tokens! > 0);

    const runner = client.chat.completions.stream({ ...ask, stream_options: { include_usage: true } });
    const streamed = await runner.finalChatCompletion();
    assert.equal(streamed.choices[0]!.message.content, whole.choices[0]!.message.content);
    // Five blocks of 16, and the last token is always computed.
    assert.deepEqual(whole.usage!.prompt_tokens_details, { cached_tokens: 0 });
    assert.deepEqual(streamed.usage, { ...whole.usage, prompt_tokens_details: { cached_tokens: 80 } });

    const located: unknown[] = [];
    const tools = client.chat.completions.runTools({
      model: MODEL,
      messages: [{ role: "user", content: "Tell me the weather in Venice" }],
      temperature: 0,
      tools: [
        {
          type: "function",
          function: {
            ...WEATHER,
            parse: (text: string) => JSON.parse(text) as unknown,
            function: (place: unknown) => {
              located.push(place);
              return WEATHER_OF_VENICE;
            },
          },
        },
      ],
    });
    assert.equal(await tools.finalContent(), ANSWER);
    assert.deepEqual(located, [{ location: "Venice" }]);
  });

  it("goes on from response to response, with a tool between", async (test) => {
    const client = clientOf(await RunningCluster.launch(test));
    const tools = [{ type: "function" as const, strict: false, ...WEATHER }];
    const ask = { model: MODEL, temperature: 0, tools };
    const first = await client.responses.create({ ...ask, input: "Tell me the weather in Venice" });
    const call = first.output.find((item) => item.type === "function_call")!;
    assert.deepEqual(JSON.parse(call.arguments), { location: "Venice" });
    const output = WEATHER_OF_VENICE;
    const result = { type: "function_call_output" as const, call_id: call.call_id, output };
    const next = { ...ask, previous_response_id: first.id, input: [result] };
    const second = await client.responses.create(next);
    assert.equal(second.output_text, ANSWER);
    const stream = client.responses.stream(next);
    assert.equal((await stream.finalResponse()).output_text, second.output_text);
    assert.equal((await client.responses.retrieve(second.id)).output_text, second.output_text);
  });

  it("keeps answers to their schema and calls to the function that is demanded, however wild the sampling", async (test) => {
    const client = clientOf(await RunningCluster.launch(test));
    const schema = {
      type: "object",
      properties: { city: { type: "string", maxLength: 20 }, capital: { type: "boolean" } },
      required: ["city", "capital"],
      additionalProperties: false,
    };
    const wild = { model: MODEL, temperature: 2, seed: 7, reasoning_effort: "low" as const };
    const messages = [{ role: "user" as const, content: "Tell me the weather in Venice" }];
    const json = { name: "place", schema, strict: true };
    const format = { type: "json_schema" as const, json_schema: json };
    const chat = await client.chat.completions.create({ ...wild, messages, response_format: format });
    assertPlace(chat.choices[0]!.message.content);
    const text = { format: { type: "json_schema" as const, ...json } };
    // No seed: another answer each time.
    for (let run = 0; run < 10; run += 1) {
      const ask = { model: MODEL, temperature: 2, reasoning: { effort: wild.reasoning_effort } };
      const response = await client.responses.create({ ...ask, input: messages[0]!.content, text });
      assertPlace(response.output_text);
    }
    const any = await client.chat.completions.create({
      ...wild,
      messages,
      response_format: { type: "json_object" },
      max_tokens: 400,
    });
    if (any.choices[0]!.finish_reason === "stop")
      assert.equal(typeof JSON.parse(any.choices[0]!.message.content!), "object");
    const tools = [{ type: "function" as const, function: { ...WEATHER, strict: true } }];
    const named = { type: "function" as const, function: { name: WEATHER.name } };
    for (const tool_choice of ["required" as const, named]) {
      const { choices } = await client.chat.completions.create({ ...wild, messages, tools, tool_choice });
      const call = choices[0]!.message.tool_calls![0]!;
      assert.equal(choices[0]!.finish_reason, "tool_calls");
      assert.ok(call.type === "function" && call.function.name === WEATHER.name);
      assert.deepEqual(Object.keys(JSON.parse(call.function.arguments) as object), ["location"]);
    }
    const bad = { ...format, json_schema: { ...json, schema: { type: "nonsense" } } };
    await assert.rejects(client.chat.completions.create({ ...wild, messages, response_format: bad }), {
      status: 400,
      param: "response_format",
    });
  });

  it("completes the golden prompts to the golden texts", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const client = clientOf(cluster);
    for (const { prompt_tokens: prompt, generated_tokens: golden, id } of SOME_GOLDEN) {
      const sampling = { temperature: 0, max_tokens: golden.length };
      const { choices, usage } = await client.completions.create({ model: MODEL, prompt, ...sampling });
      assert.equal(choices[0]!.text, await textOf(cluster, golden), `generation ${id}`);
      assert.equal(usage!.completion_tokens, golden.length);
    }
  });
});

function assertPlace(text: string | null): void {
  const place = JSON.parse(text ?? "") as Record<string, unknown>;
  assert.deepEqual(
    [Object.keys(place), typeof place["city"], typeof place["capital"]],
    [["city", "capital"], "string", "boolean"],
  );
}

/** A busy machine may leave a rank without a core for seconds: not what is tested here. */
const PATIENT = { engine: { stallMs: 120_000 } };

describe("the HTTP API of a live cluster", () => {
  const numClients = IS_LONG ? 512 : 48;
  it(`keeps ${numClients} streaming clients apart and in order, slow ones among them`, async (test) => {
    const cluster = await RunningCluster.launch(test, { ...PATIENT, scheduler: { maxWaiting: 1_024 } });
    const texts = await Promise.all(GOLDEN.map(({ generated_tokens: golden }) => textOf(cluster, golden)));
    const endMs = performance.now() + (IS_LONG ? 60_000 : 0);
    const clients = Array.from({ length: numClients }, async (_, client) => {
      let numRequests = 0;
      do {
        const index = (client + numRequests) % GOLDEN.length;
        const { prompt_tokens: prompt, generated_tokens: golden } = GOLDEN[index]!;
        const body = { prompt, temperature: 0, max_tokens: golden.length, stream: true };
        // Every eighth waits before it takes each event.
        const pauseMs = client % 8 === 7 ? 20 : 0;
        assert.equal(await streamedText(cluster, body, pauseMs), texts[index], `client ${client}`);
        numRequests += 1;
      } while (performance.now() < endMs);
      return numRequests;
    });
    const counts = await Promise.all(clients);
    test.diagnostic(`${counts.reduce((sum, count) => sum + count, 0)} requests, each with its golden text`);
    assert.ok(counts.every((count) => count > 0));
    assert.equal((await cluster.metric('moesaic_requests_total{finish_reason="abort"}')) || 0, 0);
  });

  const numBodies = IS_LONG ? 10_000 : 150;
  it(`answers ${numBodies} bodies of every sort without a fault of its own, in flat memory`, async (test) => {
    const cluster = await RunningCluster.launch(test, { ...PATIENT, maxModelLen: 512 });
    const statuses = new Map<number, number>();
    const run = (numRuns: number) =>
      fc.assert(
        fc.asyncProperty(fc.array(fuzzedRequests(), { minLength: 8, maxLength: 8 }), async (batch) => {
          await Promise.all(batch.map((fuzzed) => checkFuzzed(cluster, fuzzed, statuses)));
        }),
        { numRuns: Math.ceil(numRuns / 8), endOnFailure: true },
      );
    await run(numBodies / 2);
    const before = residentBytes(cluster.process.pid!);
    await run(numBodies / 2);
    const grown = residentBytes(cluster.process.pid!) - before;
    test.diagnostic(
      `${JSON.stringify(Object.fromEntries(statuses))}, resident ${before} B, ${grown} B more after the second half`,
    );
    // Heaps breathe; what leaks some kilobytes a request would show.
    assert.ok(grown < 96 * 1024 * 1024, `the coordinator's memory grew by ${grown} bytes`);
    assert.equal((await clientOf(cluster).models.list()).data.length, 1);
  });

  it("frees the blocks of a client that leaves in the middle", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const leave = new AbortController();
    const body = JSON.stringify({ prompt: [1, 2, 3], ignore_eos: true, max_tokens: 4_000, stream: true });
    const answer = await fetch(`http://${cluster.http}/v1/completions`, {
      method: "POST",
      headers: JSON_TYPE,
      body,
      signal: leave.signal,
    });
    await answer.body!.getReader().read();
    const usedBlocks = async () => (await cluster.client.status()).replicas[0]!.scheduler!.kvGroups[0]!.numUsedBlocks;
    assert.ok((await usedBlocks()) > 0);
    leave.abort();
    await eventually("its blocks are free", async () => (await usedBlocks()) === 0);
  });

  it("ends a request when the time is over that its client gave it", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const response = await fetch(`http://${cluster.http}/v1/completions`, {
      method: "POST",
      headers: { ...JSON_TYPE, "x-request-timeout-ms": "300" },
      body: JSON.stringify({ prompt: [1, 2, 3], ignore_eos: true, max_tokens: 4_000 }),
    });
    assert.equal(response.status, 504);
    assert.equal(response.headers.get("x-should-retry"), "false");
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, "deadline_exceeded");
  });

  it("finishes streams while it drains, and tells new requests when to come back", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const body = { prompt: [1, 2, 3], ignore_eos: true, temperature: 0, max_tokens: 3_000, stream: true };
    const stream = streamedText(cluster, body, 0);
    await eventually("it runs", async () => (await cluster.client.status()).replicas[0]!.scheduler!.numRunning > 0);
    cluster.process.kill("SIGTERM");
    await eventually("it drains", async () => (await cluster.client.status()).state === "draining");
    const refused = await fetch(`http://${cluster.http}/v1/completions`, {
      method: "POST",
      headers: JSON_TYPE,
      body: JSON.stringify({ prompt: "x" }),
    });
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    assert.match(((await refused.json()) as { error: { message: string } }).error.message, /draining/);
    assert.ok((await stream).length > 0);
    assert.deepEqual(await cluster.exited, [0, null]);
  });

  it("answers curl", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const ask =
      '{"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0, "stream": true}';
    const url = `http://${cluster.http}/v1/chat/completions`;
    const args = ["-sN", url, "-H", "Content-Type: application/json", "-d", ask];
    const { stdout } = await promisify(execFile)("curl", args).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      return { stdout: null };
    });
    if (stdout === null) return test.skip("there is no curl");
    // Tokens that wait come together, so the answer may be cut anywhere.
    const pieces = [...stdout.matchAll(/"content":("(?:[^"\\]|\\.)*")/g)].map(
      ([, piece]) => JSON.parse(piece!) as string,
    );
    assert.equal(pieces.join(""), "The capital of France is Paris.");
    assert.match(stdout, /data: \[DONE\]\n\n$/);
  });
});

async function textOf(cluster: RunningCluster, tokenIds: number[]): Promise<string> {
  return cluster.client.detokenize(tokenIds, { skipSpecialTokens: true });
}

/** The text of a streamed completion. @throws when the stream ends before its end is told */
async function streamedText(cluster: RunningCluster, body: object, pauseMs: number): Promise<string> {
  const call = request(`http://${cluster.http}/v1/completions`, { method: "POST", headers: JSON_TYPE });
  call.end(JSON.stringify(body));
  const [response] = (await once(call, "response")) as [IncomingMessage];
  let text = "";
  for await (const line of createInterface({ input: response })) {
    if (line === "data: [DONE]") return text;
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    if (!line.startsWith("data: ")) continue;
    const { choices, error } = JSON.parse(line.slice("data: ".length)) as {
      choices?: { text: string }[];
      error?: object;
    };
    assert.equal(error, undefined);
    text += choices![0]!.text;
  }
  throw new Error(`the stream ended with status ${response.statusCode} and no [DONE]`);
}

function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))!;
  return Number(kilobytes) * 1_024;
}

async function checkFuzzed(
  cluster: RunningCluster,
  { path, type, body }: FuzzedRequest,
  statuses: Map<number, number>,
): Promise<void> {
  const response = await fetch(`http://${cluster.http}${path}`, {
    method: "POST",
    headers: { "content-type": type },
    body,
  });
  const text = await response.text();
  statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
  assert.ok(response.status < 500, `${response.status}: ${text}`);
}
