import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type OpenAI from "openai";
import { toFile } from "openai";
import { collected, openApi, type OpenApi } from "../../../test/openai-api.js";

type Batch = OpenAI.Batches.Batch;

const CHAT = "/v1/chat/completions" as const;
const ENDED = ["completed", "failed", "cancelled", "expired"];

interface Line {
  id: string;
  custom_id: string;
  response: { status_code: number; request_id: string; body: Record<string, unknown> } | null;
  error: { code: string; message: string } | null;
}

/** A line of an input file, asking for an answer with the number in it. */
function asking(customId: string, fields: object = {}, url: string = CHAT): string {
  const body = { messages: [{ role: "user", content: customId }], ...fields };
  return JSON.stringify({ custom_id: customId, method: "POST", url, body });
}

async function uploaded({ client }: OpenApi, lines: readonly string[]): Promise<string> {
  const file = await toFile(Buffer.from(`${lines.join("\n")}\n`), "in.jsonl");
  return (await client.files.create({ file, purpose: "batch" })).id;
}

async function created(api: OpenApi, lines: readonly string[], fields: object = {}): Promise<Batch> {
  const input_file_id = await uploaded(api, lines);
  return api.client.batches.create({ input_file_id, endpoint: CHAT, completion_window: "24h", ...fields });
}

async function ended({ client }: OpenApi, { id }: Batch): Promise<Batch> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    const batch = await client.batches.retrieve(id);
    if (ENDED.includes(batch.status)) return batch;
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  return assert.fail("the batch did not end");
}

async function linesOf({ client }: OpenApi, fileId: string | null | undefined): Promise<Line[]> {
  if (fileId == null) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

describe("/v1/batches", () => {
  it("runs each line of a file, in order, each answer as the endpoint would have given it", async (test) => {
    const api = await openApi(test);
    const lines = Array.from({ length: 2_500 }, (_, index) => asking(`r-${index}`));
    const metadata = { made: "here" };
    const batch = await created(api, lines, { metadata });
    assert.deepEqual(
      [batch.object, batch.status, batch.endpoint, batch.metadata],
      ["batch", "validating", CHAT, metadata],
    );
    const whole = await ended(api, batch);
    assert.equal(whole.status, "completed");
    assert.deepEqual(whole.request_counts, { total: 2_500, completed: 2_500, failed: 0 });
    assert.ok(whole.usage!.output_tokens > 2_500 && whole.usage!.input_tokens > 2_500);
    assert.ok([whole.in_progress_at, whole.finalizing_at, whole.completed_at].every((at) => at! >= whole.created_at));
    assert.equal(whole.error_file_id, null);
    const output = await linesOf(api, whole.output_file_id);
    assert.deepEqual(
      output.map(({ custom_id }) => custom_id),
      lines.map((_, index) => `r-${index}`),
    );
    assert.equal(new Set(output.map(({ id }) => id)).size, 2_500);
    const { response, error } = output[7]!;
    assert.deepEqual([response!.status_code, error], [200, null]);
    const answer = response!.body as unknown as OpenAI.ChatCompletion;
    assert.deepEqual(
      [answer.object, answer.model, answer.choices[0]!.message.content, answer.choices[0]!.finish_reason],
      ["chat.completion", "demo", "ok", "stop"],
    );
    const file = await api.client.files.retrieve(whole.output_file_id!);
    assert.deepEqual([file.purpose, file.filename], ["batch_output", `${batch.id}_output.jsonl`]);
  });

  it("runs completions and responses too", async (test) => {
    const api = await openApi(test);
    const bodies = {
      "/v1/completions": { prompt: "Hello", max_tokens: 3 },
      "/v1/responses": { input: "Hello" },
    } as const;
    for (const [endpoint, body] of Object.entries(bodies)) {
      const line = JSON.stringify({ custom_id: "a", method: "POST", url: endpoint, body });
      const batch = await ended(api, await created(api, [line], { endpoint }));
      const [{ response } = { response: null }] = await linesOf(api, batch.output_file_id);
      assert.equal(response?.status_code, 200, JSON.stringify(batch));
      assert.equal(response.body["object"], endpoint === "/v1/responses" ? "response" : "text_completion");
    }
  });

  it("fails a file that is not right, and says where and why", async (test) => {
    const api = await openApi(test);
    const lines = [
      asking("a"),
      "{nonsense",
      asking("a"),
      asking("b", {}, "/v1/responses"),
      asking("c", { temperature: "hot" }),
      asking("d", { stream: true }),
      '{"custom_id": "e"}',
      "",
      asking("f"),
    ];
    const batch = await ended(api, await created(api, lines));
    assert.equal(batch.status, "failed");
    assert.ok(batch.failed_at! >= batch.created_at);
    assert.deepEqual(
      batch.errors!.data!.map(({ line, code, param }) => [line, code, param]),
      [
        [2, "invalid_json_line", null],
        [3, "duplicate_custom_id", "custom_id"],
        [4, "mismatched_url", "url"],
        [5, "invalid_request", "body.temperature"],
        [6, "unsupported_parameter", "body.stream"],
        [7, "invalid_line", "method"],
      ],
    );
    assert.equal(api.model.specs.length, 0);
    const empty = await ended(api, await created(api, [""]));
    assert.deepEqual([empty.status, empty.errors!.data![0]!.code], ["failed", "empty_file"]);
  });

  it("puts what failed into a file of its own", async (test) => {
    const api = await openApi(test);
    const tooLong = asking("long", { messages: [{ role: "user", content: "x ".repeat(9_000) }] });
    const batch = await ended(api, await created(api, [asking("a"), tooLong, asking("b")]));
    assert.equal(batch.status, "completed");
    assert.deepEqual(batch.request_counts, { total: 3, completed: 2, failed: 1 });
    const [failed] = await linesOf(api, batch.error_file_id);
    assert.deepEqual([failed!.custom_id, failed!.response!.status_code, failed!.error], ["long", 400, null]);
    assert.equal((failed!.response!.body["error"] as { code: string }).code, "context_length_exceeded");
    const output = await linesOf(api, batch.output_file_id);
    assert.deepEqual(
      output.map(({ custom_id }) => custom_id),
      ["a", "b"],
    );
  });

  it("ends by cancellation, with what had been run", async (test) => {
    const api = await openApi(test);
    let numPaced = 0;
    // Two answers come through, then nothing more.
    api.model.pace = () => (++numPaced <= 24 ? Promise.resolve() : new Promise(() => {}));
    api.model.answer = () => "<|channel|>final<|message|>ok<|return|>";
    const lines = Array.from({ length: 50 }, (_, index) => asking(`r-${index}`));
    const batch = await created(api, lines);
    while ((await api.client.batches.retrieve(batch.id)).status !== "in_progress") await Promise.resolve();
    const file = api.client.files.delete(batch.input_file_id);
    await assert.rejects(file, { status: 400, message: /a batch that has not ended reads file/ });
    const cancelling = await api.client.batches.cancel(batch.id);
    assert.equal(cancelling.status, "cancelling");
    const whole = await ended(api, batch);
    assert.equal(whole.status, "cancelled");
    assert.ok(whole.cancelled_at! >= whole.cancelling_at!);
    const [output, errors] = [await linesOf(api, whole.output_file_id), await linesOf(api, whole.error_file_id)];
    assert.equal(output.length + errors.length, 50);
    assert.ok(errors.length > 0 && errors.every(({ error }) => error!.code === "batch_cancelled"));
    assert.deepEqual(whole.request_counts, { total: 50, completed: output.length, failed: 0 });
    await assert.rejects(api.client.batches.cancel(batch.id), {
      status: 400,
      message: /the batch has ended: cancelled/,
    });
    await api.client.files.delete(batch.input_file_id);
  });

  it("expires at the end of its window, with what had been run", async (test) => {
    const api = await openApi(test);
    api.model.pace = () => new Promise(() => {});
    const batch = await created(api, [asking("a"), asking("b")], { completion_window: "1s" });
    assert.equal(batch.expires_at, batch.created_at + 1);
    const whole = await ended(api, batch);
    assert.equal(whole.status, "expired");
    const errors = await linesOf(api, whole.error_file_id);
    assert.deepEqual(
      errors.map(({ custom_id, error }) => [custom_id, error!.code]),
      [
        ["a", "batch_expired"],
        ["b", "batch_expired"],
      ],
    );
  });

  it("goes on at the next coordinator, wherever it was", async (test) => {
    const first = await openApi(test);
    first.model.pace = () => new Promise(() => {});
    const running = await created(first, [asking("a"), asking("b")]);
    while ((await first.client.batches.retrieve(running.id)).status !== "in_progress") await Promise.resolve();
    await first.stop();
    const second = await openApi(test, { folder: first.folder });
    const whole = await ended(second, running);
    assert.equal(whole.status, "completed");
    assert.equal((await linesOf(second, whole.output_file_id)).length, 2);
    await second.stop();
    const third = await openApi(test, { folder: first.folder });
    assert.deepEqual(await third.client.batches.retrieve(running.id), whole);
    assert.equal((await linesOf(third, whole.output_file_id)).length, 2);
  });

  const hostile: [what: string, content: string | Buffer, code: RegExp][] = [
    ["blank lines", "\n\n  \n", /empty/],
    ["binary", Buffer.from(Array.from({ length: 10_000 }, (_, index) => (index * 73) % 256)), /json/],
    ["one line of 20 MB", "x".repeat(20_000_000), /json/],
    ["no UTF-8", Buffer.from([0x22, 0xff, 0xfe, 0x22]), /json/],
    ["a million lines of numbers", "1\n".repeat(1_000_000), /line/],
    ["depths of brackets", `{"custom_id":"a","body":${"[".repeat(100)}${"]".repeat(100)}}`, /json/],
  ];
  for (const [what, content, code] of hostile) {
    it(`fails for ${what}, with a list that is not too long, and serves others meanwhile`, async (test) => {
      const api = await openApi(test);
      const file = await api.client.files.create({ file: await toFile(Buffer.from(content), "x"), purpose: "batch" });
      const input = { input_file_id: file.id, endpoint: CHAT, completion_window: "24h" as const };
      const batch = await api.client.batches.create(input);
      assert.equal((await api.client.models.list()).data.length, 1);
      const { status, errors } = await ended(api, batch);
      assert.equal(status, "failed");
      assert.match(errors!.data![0]!.code!, code);
      assert.ok(errors!.data!.length <= 64);
    });
  }

  // It stayed cancelling for ever, and its input file could not be deleted.
  it("ends as cancelled when it is cancelled while its wrong lines are looked for", async (test) => {
    const api = await openApi(test);
    const batch = await created(api, ["{broken"]);
    await api.client.batches.cancel(batch.id).catch(() => {});
    const { status } = await ended(api, batch);
    assert.ok(status === "cancelled" || status === "failed", status);
    await api.client.files.delete(batch.input_file_id);
  });

  // It stayed in progress for ever.
  it("fails when its job is deleted, and is cancelled with it", async (test) => {
    const api = await openApi(test);
    api.model.pace = () => new Promise(() => {});
    const running = async (): Promise<Batch> => {
      const batch = await created(api, [asking("a"), asking("b")]);
      while (!api.kept().jobs.has(batch.id)) await new Promise((resolve) => setTimeout(resolve, 5));
      return batch;
    };
    const deleted = await running();
    await api.kept().jobs.delete(deleted.id);
    const failed = await ended(api, deleted);
    assert.deepEqual([failed.status, failed.errors!.data![0]!.code], ["failed", "job_deleted"]);
    const cancelled = await running();
    await api.kept().jobs.cancel(cancelled.id);
    assert.equal((await ended(api, cancelled)).status, "cancelled");
  });

  it("fails when the disk has lost its input, and serves other batches", async (test) => {
    const api = await openApi(test);
    const input = await uploaded(api, [asking("a")]);
    const path = join(api.folder, ".moesaic/jobs/demo/objects", `${input}.job`);
    const bytes = readFileSync(path);
    bytes[bytes.indexOf("custom_id")]! ^= 1;
    writeFileSync(path, bytes);
    const lost = { input_file_id: input, endpoint: CHAT, completion_window: "24h" as const };
    const failed = await ended(api, await api.client.batches.create(lost));
    assert.deepEqual([failed.status, failed.errors!.data![0]!.code], ["failed", "internal"]);
    assert.equal((await ended(api, await created(api, [asking("b")]))).status, "completed");
  });

  it("lists in pages, and only a tenant's own", async (test) => {
    const api = await openApi(test);
    const ids: string[] = [];
    for (const name of ["a", "b", "c"]) ids.push((await created(api, [asking(name)])).id);
    const listed = await collected(api.client.batches.list({ limit: 2 }));
    assert.deepEqual(
      listed.map(({ id }) => id),
      ids.toReversed(),
    );
    const other = { headers: { "moesaic-tenant": "other" } };
    assert.deepEqual((await api.client.batches.list({}, other)).data, []);
    await assert.rejects(api.client.batches.retrieve(ids[0]!, other), { status: 404 });
  });

  const refused: [what: string, fields: object, status: number, param: string][] = [
    ["an endpoint that is not served", { endpoint: "/v1/embeddings" }, 400, "endpoint"],
    ["an endpoint nobody knows", { endpoint: "/v1/x" }, 400, "endpoint"],
    ["a window that is too long", { completion_window: "25h" }, 400, "completion_window"],
    ["a window that is none", { completion_window: "soon" }, 400, "completion_window"],
    ["a file that is not there", { input_file_id: "file-none" }, 404, "file_id"],
    ["a field nobody knows", { foo: 1 }, 400, "foo"],
  ];
  for (const [what, fields, status, param] of refused) {
    it(`refuses ${what}`, async (test) => {
      const api = await openApi(test);
      await assert.rejects(created(api, [asking("a")], fields), { status, param });
    });
  }

  it("says that nothing is kept where nothing is", async (test) => {
    const { client } = await openApi(test, { keeps: false });
    await assert.rejects(client.batches.list(), { status: 400, message: /this cluster keeps no jobs/ });
  });
});
