import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { describe, it } from "node:test";
import { toFile } from "openai";
import { collected, openApi, type OpenApi } from "../../../test/openai-api.js";

const LINE = '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}}\n';

describe("/v1/files", () => {
  it("takes a file, shows it, gives it back as it was, and forgets it", async (test) => {
    const { client } = await openApi(test);
    const content = LINE.repeat(20_000);
    const file = await client.files.create({ file: await toFile(Buffer.from(content), "in.jsonl"), purpose: "batch" });
    assert.deepEqual(
      [file.object, file.bytes, file.filename, file.purpose],
      ["file", content.length, "in.jsonl", "batch"],
    );
    assert.equal(file.expires_at! - file.created_at, 30 * 86_400);
    assert.deepEqual(await client.files.retrieve(file.id), file);
    assert.equal(await (await client.files.content(file.id)).text(), content);
    assert.deepEqual(await client.files.delete(file.id), { id: file.id, object: "file", deleted: true });
    await assert.rejects(client.files.retrieve(file.id), { status: 404 });
    await assert.rejects(client.files.content(file.id), { status: 404 });
    await assert.rejects(client.files.delete(file.id), { status: 404 });
  });

  it("lists in pages, by purpose, the newest first or last", async (test) => {
    const { client } = await openApi(test);
    const ids: string[] = [];
    for (const name of ["a", "b", "c"])
      ids.push((await client.files.create({ file: await fileOf(name), purpose: "batch" })).id);
    const listed = async (query: object) => (await collected(client.files.list(query))).map(({ id }) => id);
    assert.deepEqual(await listed({}), ids.toReversed());
    assert.deepEqual(await listed({ limit: 2, order: "asc" }), ids);
    assert.deepEqual(await listed({ purpose: "batch_output" }), []);
    const page = await client.files.list({ limit: 2, after: ids[2]! });
    assert.deepEqual([page.data.map(({ id }) => id), page.has_more], [[ids[1], ids[0]], false]);
    for (const bad of [{ limit: 0 }, { limit: 10_001 }, { order: "up" as "asc" }, { after: "file-x" }]) {
      await assert.rejects(client.files.list(bad), { status: 400 });
    }
  });

  it("keeps files over a restart, apart by tenant, for as long as was asked", async (test) => {
    const first = await openApi(test);
    const expires_after = { anchor: "created_at" as const, seconds: 3_600 };
    const file = await first.client.files.create({ file: await fileOf("a"), purpose: "batch", expires_after });
    assert.equal(file.expires_at! - file.created_at, 3_600);
    await first.stop();
    const second = await openApi(test, { folder: first.folder });
    assert.deepEqual(await second.client.files.retrieve(file.id), file);
    assert.equal(await (await second.client.files.content(file.id)).text(), LINE);
    const other = { headers: { "moesaic-tenant": "other" } };
    await assert.rejects(second.client.files.retrieve(file.id, other), { status: 404 });
    assert.deepEqual((await second.client.files.list({}, other)).data, []);
  });

  const refused: [what: string, fields: object, param: string][] = [
    ["another purpose", { purpose: "fine-tune" }, "purpose"],
    ["no purpose", { purpose: undefined }, "purpose"],
    ["a purpose nobody knows", { purpose: "x" }, "purpose"],
    ["an expiry that is too short", { expires_after: { anchor: "created_at", seconds: 60 } }, "expires_after[seconds]"],
    ["half an expiry", { expires_after: { seconds: 3_600 } }, "expires_after"],
    ["a field nobody knows", { foo: "x" }, "foo"],
  ];
  for (const [what, fields, param] of refused) {
    it(`refuses ${what}, and keeps nothing of the file`, async (test) => {
      const api = await openApi(test);
      const form = { file: await fileOf("a"), purpose: "batch", ...fields } as never;
      await assert.rejects(api.client.files.create(form), { status: 400, param });
      assert.deepEqual(keptIn(api), []);
    });
  }

  const hostile: [what: string, type: string, body: string | Buffer, status: number][] = [
    ["a body that is no form", "multipart/form-data; boundary=x", "hello", 400],
    ["a form without a boundary", "multipart/form-data", "--x\r\n\r\n", 400],
    ["another boundary than it says", "multipart/form-data; boundary=y", formOf("x", LINE), 400],
    ["no body", "multipart/form-data; boundary=x", "", 400],
    ["a form that ends in its file", "multipart/form-data; boundary=x", formOf("x", LINE).slice(0, -40), 400],
    ["an empty file", "multipart/form-data; boundary=x", formOf("x", ""), 400],
    ["a form without a file", "multipart/form-data; boundary=x", fieldOf("x", "purpose", "batch") + "--x--\r\n", 400],
    ["a file in another field", "multipart/form-data; boundary=x", formOf("x", LINE).replace('"file"', '"data"'), 400],
    [
      "two files",
      "multipart/form-data; boundary=x",
      formOf("x", LINE).replace("--x--\r\n", "") + formOf("x", LINE),
      400,
    ],
    [
      "a field of the prototype",
      "multipart/form-data; boundary=x",
      fieldOf("x", "__proto__", "1") + formOf("x", LINE),
      400,
    ],
    [
      "a huge field",
      "multipart/form-data; boundary=x",
      fieldOf("x", "purpose", "b".repeat(5_000)) + formOf("x", LINE),
      400,
    ],
    [
      "a hundred fields",
      "multipart/form-data; boundary=x",
      fieldOf("x", "a", "1").repeat(100) + formOf("x", LINE),
      400,
    ],
    [
      "a huge part header",
      "multipart/form-data; boundary=x",
      formOf("x", LINE).replace("in.jsonl", "i".repeat(90_000)),
      400,
    ],
    [
      "binary without a form",
      "multipart/form-data; boundary=x",
      Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 7) % 256)),
      400,
    ],
    ["JSON", "application/json", '{"purpose":"batch"}', 415],
    ["text", "text/plain", LINE, 415],
  ];
  for (const [what, type, body, status] of hostile) {
    it(`refuses ${what}, in OpenAI's shape, and keeps nothing`, async (test) => {
      const api = await openApi(test);
      const answer = await fetch(`${api.url}/v1/files`, { method: "POST", headers: { "content-type": type }, body });
      const text = await answer.text();
      assert.equal(answer.status, status, text);
      const { error } = JSON.parse(text) as { error: { message: string; type: string } };
      assert.equal(error.type, "invalid_request_error");
      assert.ok(error.message.length > 10, text);
      assert.deepEqual(keptIn(api), []);
      assert.equal((await api.client.files.list()).data.length, 0);
    });
  }

  it("keeps nothing of an upload whose client leaves", async (test) => {
    const api = await openApi(test);
    const call = request(`${api.url}/v1/files`, {
      method: "POST",
      headers: { "content-type": "multipart/form-data; boundary=x", "content-length": 50_000_000 },
    });
    call.on("error", () => {});
    call.write(formOf("x", LINE).split("\r\n--x--")[0]);
    call.write("z".repeat(2_000_000));
    while (keptIn(api).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    call.destroy();
    while (keptIn(api).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("stops reading a file that is too large, says so, and is in flat memory", async (test) => {
    const api = await openApi(test);
    const before = process.memoryUsage().rss;
    const call = request(`${api.url}/v1/files`, {
      method: "POST",
      headers: { "content-type": "multipart/form-data; boundary=x" },
    });
    call.on("error", () => {});
    const answered = once(call, "response") as Promise<[IncomingMessage]>;
    call.write(formOf("x", LINE).split("\r\n--x--")[0]);
    const megabyte = Buffer.alloc(1 << 20, "z");
    let mostBytes = 0;
    for (let sent = 0; sent < 201; sent += 1) {
      if (!call.write(megabyte)) await Promise.race([once(call, "drain"), answered]);
      mostBytes = Math.max(mostBytes, process.memoryUsage().rss);
    }
    const [response] = await answered;
    assert.equal(response.statusCode, 413);
    assert.match(await readText(response), /at most 209715200 bytes/);
    call.destroy();
    assert.ok(mostBytes - before < 120e6, `${mostBytes - before} bytes more`);
    assert.deepEqual(keptIn(api), []);
  });

  it("says why where nothing is kept", async (test) => {
    const { client } = await openApi(test, { keeps: false });
    await assert.rejects(client.files.list(), { status: 400, code: "failed_precondition" });
    await assert.rejects(client.files.create({ file: await fileOf("a"), purpose: "batch" }), { status: 400 });
  });
});

function fileOf(name: string): ReturnType<typeof toFile> {
  return toFile(Buffer.from(LINE), `${name}.jsonl`);
}

function fieldOf(boundary: string, name: string, value: string): string {
  return `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
}

function formOf(boundary: string, content: string): string {
  const head = 'content-disposition: form-data; name="file"; filename="in.jsonl"\r\ncontent-type: text/plain';
  return `${fieldOf(boundary, "purpose", "batch")}--${boundary}\r\n${head}\r\n\r\n${content}\r\n--${boundary}--\r\n`;
}

/** Files of the journal that objects are in. */
function keptIn({ folder }: OpenApi): string[] {
  return readdirSync(join(folder, ".moesaic/jobs/demo/objects")).filter((name) => name.endsWith(".job"));
}
