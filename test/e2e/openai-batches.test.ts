import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import OpenAI, { toFile } from "openai";
import { freePort } from "../bus/nats-server.js";
import { eventually, RunningCluster, temporaryFolder } from "./moesaic.js";

const MODEL = "moesaic-demo";
const CAPITALS = { France: "Paris", Italy: "Rome", Japan: "Tokyo", Germany: "Berlin" } as const;
const COUNTRIES = Object.keys(CAPITALS) as (keyof typeof CAPITALS)[];
const NUM_LINES = 120;
const CHAT = "/v1/chat/completions" as const;

interface Line {
  custom_id: string;
  response: { status_code: number; body: OpenAI.ChatCompletion };
}

describe("OpenAI's batches and background responses", () => {
  it("go through kill -9 of the coordinator with each answer once, and as it must be", async (test) => {
    const { folder, settings } = await place(test);
    const first = await RunningCluster.launch(test, settings, folder);
    const client = clientOf(first);
    const lines = Array.from({ length: NUM_LINES }, (_, index) => asking(index));
    const file = await toFile(Buffer.from(lines.join("\n")), "capitals.jsonl");
    const { id: input_file_id } = await client.files.create({ file, purpose: "batch" });
    const batch = await client.batches.create({ input_file_id, endpoint: CHAT, completion_window: "24h" });
    const finished = async () => (await client.batches.retrieve(batch.id)).request_counts!.completed;
    await eventually("some answers are there", async () => (await finished()) >= 10);
    first.process.kill("SIGKILL");
    await first.exited;
    const second = clientOf(await RunningCluster.launch(test, settings, folder));
    let whole = await second.batches.retrieve(batch.id);
    assert.ok(whole.request_counts!.completed >= 10, "what was there is there");
    await eventually(
      "the batch is done",
      async () => (whole = await second.batches.retrieve(batch.id)).status === "completed",
      120_000,
    );
    assert.deepEqual(whole.request_counts, { total: NUM_LINES, completed: NUM_LINES, failed: 0 });
    const text = await (await second.files.content(whole.output_file_id!)).text();
    const results = text.trimEnd().split("\n");
    for (const [index, line] of results.entries()) {
      const { custom_id: customId, response } = JSON.parse(line) as Line;
      const answer = response.body.choices[0]!.message.content!;
      assert.equal(customId, `capital-${index}`);
      assert.ok(answer.includes(CAPITALS[COUNTRIES[index % COUNTRIES.length]!]), `${customId}: ${answer}`);
    }
    assert.equal(results.length, NUM_LINES);
  });

  it("run a response while nobody waits, through kill -9 as well", async (test) => {
    const { folder, settings } = await place(test);
    const first = await RunningCluster.launch(test, settings, folder);
    const ask = { model: MODEL, background: true, temperature: 0, input: "What is the capital of France?" };
    const { id } = await clientOf(first).responses.create(ask);
    first.process.kill("SIGKILL");
    await first.exited;
    const client = clientOf(await RunningCluster.launch(test, settings, folder));
    await eventually("it is done", async () => (await client.responses.retrieve(id)).status === "completed", 60_000);
    assert.equal((await client.responses.retrieve(id)).output_text, "The capital of France is Paris.");
    const types: string[] = [];
    for await (const { type } of await client.responses.retrieve(id, { stream: true })) types.push(type);
    assert.deepEqual([types[1], types.at(-1)], ["response.queued", "response.completed"]);
  });
});

async function place(test: TestContext) {
  const api = { grpc: `127.0.0.1:${await freePort()}`, http: "127.0.0.1:0" };
  return { folder: temporaryFolder(test), settings: { api, scheduler: { maxSequences: 8 } } };
}

function clientOf({ http }: RunningCluster): OpenAI {
  return new OpenAI({ baseURL: `http://${http}/v1`, apiKey: "none", maxRetries: 3 });
}

function asking(index: number): string {
  const content = `What is the capital of ${COUNTRIES[index % COUNTRIES.length]}?`;
  const body = { model: MODEL, messages: [{ role: "user", content }], temperature: 0 };
  return JSON.stringify({ custom_id: `capital-${index}`, method: "POST", url: CHAT, body });
}
