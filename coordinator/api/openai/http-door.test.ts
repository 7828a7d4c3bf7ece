import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text as readText } from "node:stream/consumers";
import { describe, it } from "node:test";
import { openApi } from "../../../test/openai-api.js";

const JSON_TYPE = { "content-type": "application/json" };
const ASK = { messages: [{ role: "user", content: "Hello?" }] };

/** fetch may not set some of the headers that browsers set. */
async function send(
  url: string,
  headers: Record<string, string>,
  body = "",
): Promise<{ status: number; text: string }> {
  const call = request(url, { method: body === "" ? "GET" : "POST", headers });
  call.end(body);
  const [response] = (await once(call, "response")) as [IncomingMessage];
  return { status: response.statusCode!, text: await readText(response) };
}

describe("the door of the HTTP API", () => {
  const pages: [what: string, headers: Record<string, string>, message: RegExp][] = [
    ["a page of another site", { origin: "https://example.com" }, /web pages are not served/],
    ["a page without a site", { origin: "null" }, /web pages are not served/],
    ["a page's image or form", { "sec-fetch-site": "cross-site" }, /other sites' pages/],
    ["a name that resolves to loopback", { host: "evil.example:8000" }, /host evil\.example:8000/],
  ];
  for (const [what, headers, message] of pages) {
    it(`is closed to ${what}`, async (test) => {
      const { url } = await openApi(test);
      for (const [path, body] of [
        ["/v1/models", ""],
        ["/v1/chat/completions", JSON.stringify(ASK)],
      ] as const) {
        const { status, text } = await send(url + path, { ...JSON_TYPE, ...headers }, body);
        assert.equal(status, 403);
        assert.match((JSON.parse(text) as { error: { message: string } }).error.message, message);
      }
    });
  }

  it("is open to programs, by every name of loopback", async (test) => {
    const { url } = await openApi(test);
    const { port } = new URL(url);
    for (const host of ["127.0.0.1", `127.0.0.1:${port}`, "localhost", `localhost:${port}`, "[::1]", `[::1]:${port}`]) {
      assert.equal((await send(`${url}/v1/models`, { host })).status, 200, host);
    }
  });

  // A page may send these without asking the server first.
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
    it(`takes no body of the type ${type}`, async (test) => {
      const { url, model } = await openApi(test);
      const { status, text } = await send(`${url}/v1/chat/completions`, { "content-type": type }, JSON.stringify(ASK));
      assert.equal(status, 415);
      assert.match(text, /expected a body of the type application\/json/);
      assert.equal(model.specs.length, 0);
    });
  }

  it("answers broken, huge and deep bodies in OpenAI's shape", async (test) => {
    const { post } = await openApi(test);
    const bodies: [body: string, status: number, message: RegExp][] = [
      ["", 400, /expected a JSON object/],
      ["[]", 400, /expected a JSON object/],
      ['{"messages": "secret', 400, /not JSON/],
      [`{"messages": ${"[".repeat(100_000)}${"]".repeat(100_000)}}`, 400, /nested deeper than 64/],
      [`{"x": "${"x".repeat(17 * 1024 * 1024)}"}`, 413, /larger than/],
    ];
    for (const [body, status, message] of bodies) {
      const answer = await post("/v1/chat/completions", body);
      const { error } = answer.json as { error: { message: string; type: string } };
      assert.equal(answer.status, status);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /secret/);
      assert.equal(error.type, "invalid_request_error");
    }
  });

  it("says of an unknown address what it is, and of a model that it is not there", async (test) => {
    const { url } = await openApi(test);
    for (const path of ["/v1/embeddings", "/v1/models/other", "/v2"]) {
      const { status, text } = await send(url + path, {});
      assert.equal(status, 404);
      assert.ok((JSON.parse(text) as { error: { message: string } }).error.message.length > 0);
    }
  });

  it("keeps a client's request id, and makes one where it is none", async (test) => {
    const { url } = await openApi(test);
    const own = await fetch(`${url}/v1/models`, { headers: { "x-request-id": "trace.42" } });
    assert.equal(own.headers.get("x-request-id"), "trace.42");
    const odd = await fetch(`${url}/v1/models`, { headers: { "x-request-id": "a b" } });
    assert.match(odd.headers.get("x-request-id")!, /^req_\w{32}$/);
  });

  it("gives a request the deadline that it asks for, and refuses one that is none", async (test) => {
    const { url, model } = await openApi(test);
    const headers = { ...JSON_TYPE, "x-request-timeout-ms": "5000" };
    await send(`${url}/v1/chat/completions`, headers, JSON.stringify(ASK));
    assert.ok(model.specs[0]!.deadlineMs! > performance.now());
    const bad = await send(`${url}/v1/models`, { "x-request-timeout-ms": "soon" });
    assert.equal(bad.status, 400);
    assert.match(bad.text, /x-request-timeout-ms/);
  });

  it("runs a request on the account of the tenant that it names, and refuses a name that is none", async (test) => {
    const { url, model } = await openApi(test);
    const sendAs = (tenant: string) =>
      send(`${url}/v1/chat/completions`, { ...JSON_TYPE, "moesaic-tenant": tenant }, JSON.stringify(ASK));
    assert.equal((await sendAs("team-a")).status, 200);
    assert.equal(model.specs[0]!.tenant, "team-a");
    assert.equal((await sendAs("x".repeat(1_000))).status, 400);
  });

  it("closes connections that never finish their headers, and serves others meanwhile", async (test) => {
    const { url } = await openApi(test);
    const { port } = new URL(url);
    const slow = connect(Number(port), "127.0.0.1");
    await once(slow, "connect");
    slow.write("POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    const drip = setInterval(() => slow.write("x-a: b\r\n"), 500);
    test.after(() => clearInterval(drip));
    slow.on("error", () => {});
    slow.resume();
    const closed = once(slow, "close");
    assert.equal((await fetch(`${url}/v1/models`)).status, 200);
    await closed;
  });
});

describe("GET /v1/models, POST /tokenize and /detokenize", () => {
  it("name the model that is served", async (test) => {
    const { client } = await openApi(test);
    const models = await client.models.list();
    assert.deepEqual(
      models.data.map(({ id, object }) => [id, object]),
      [["demo", "model"]],
    );
    assert.equal((await client.models.retrieve("demo")).id, "demo");
  });

  it("turn text and conversations into token ids and back", async (test) => {
    const { post } = await openApi(test);
    const { json } = await post("/tokenize", { prompt: "Hello world" });
    const { tokens, count } = json as { tokens: number[]; count: number };
    assert.equal(count, tokens.length);
    assert.deepEqual((await post("/detokenize", { tokens })).json, { prompt: "Hello world" });
    const chat = await post("/tokenize", ASK);
    assert.ok((chat.json as { count: number }).count > 20);
    assert.equal((await post("/tokenize", { ...ASK, prompt: "both" })).status, 400);
    assert.equal((await post("/detokenize", { tokens: [-1] })).status, 400);
  });
});
