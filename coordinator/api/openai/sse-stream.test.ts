import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { ManualClock } from "../../../proto/clock.js";
import { v1 } from "../../../proto/messages.js";
import { collected, openApi } from "../../../test/openai-api.js";

const LONG = `<|channel|>final<|message|>${" word".repeat(3_000)}<|return|>`;
const CONTEXT = {
  method: "/moesaic.v1.Inference/Generate",
  peer: "127.0.0.1:1",
  identity: "local",
  roles: new Set(["user" as const]),
  tenant: "default",
  deadlineMs: Infinity,
  traceparent: null,
};
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A streaming request over a bare socket, so that the test decides when it reads. */
async function openStream(url: string, fields: object = {}): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  const body = JSON.stringify({ messages: [{ role: "user", content: "Hello?" }], stream: true, ...fields });
  socket.write(
    "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n" +
      `content-length: ${body.length}\r\n\r\n${body}`,
  );
  return socket;
}

async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!holds()) {
    assert.ok(performance.now() < endMs, "waited 20 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("a streamed answer", () => {
  it("sends status and the first event before there is a token", async (test) => {
    const { url, model } = await openApi(test);
    model.pace = () => new Promise(() => {});
    const socket = await openStream(url);
    let seen = "";
    socket.on("data", (bytes) => (seen += String(bytes)));
    await until(() => seen.includes('"role":"assistant"'));
    assert.match(seen, /^HTTP\/1\.1 200 OK\r\n[\s\S]*content-type: text\/event-stream/);
    socket.destroy();
  });

  it("is kept alive by comments while there is nothing to say", async (test) => {
    const clock = new ManualClock();
    const { url, model } = await openApi(test, { clock });
    model.pace = () => new Promise(() => {});
    const socket = await openStream(url);
    let seen = "";
    socket.on("data", (bytes) => (seen += String(bytes)));
    await until(() => seen.includes("data: "));
    clock.advance(10_000);
    await until(() => seen.includes(": keep-alive\n\n"));
    socket.destroy();
  });

  it("aborts the sequence of a client that leaves, streaming or not", async (test) => {
    const { url, model, client } = await openApi(test);
    model.answer = () => LONG;
    model.pace = () => new Promise((resolve) => setTimeout(resolve, 5));
    const socket = await openStream(url);
    await until(() => model.numLive === 1);
    socket.destroy();
    await until(() => model.numLive === 0);
    const leave = new AbortController();
    const answer = client.chat.completions.create(
      { model: "demo", messages: [{ role: "user", content: "Hello?" }] },
      { signal: leave.signal },
    );
    await until(() => model.numLive === 1);
    leave.abort();
    await assert.rejects(answer);
    await until(() => model.numLive === 0);
  });

  it("does not begin for a client that has left already", async (test) => {
    const { inference, model } = await openApi(test);
    const request = v1.GenerateRequest.create({ token_ids: { ids: [1] } });
    const signal = AbortSignal.abort();
    const context = { ...CONTEXT, signal };
    await assert.rejects(collected(inference.generate(request, context)), { name: "AbortError" });
    assert.equal(model.specs.length, 0);
  });

  it("waits for a reader that is slow, holds nobody else up, and loses nothing", async (test) => {
    const { url, model, client } = await openApi(test);
    model.answer = () => LONG;
    const slow = await openStream(url);
    slow.pause();
    await until(() => model.specs.length === 1);
    // Others come and go while it does not read.
    for (let index = 0; index < 3; index += 1) {
      model.answer = () => "<|channel|>final<|message|>quick<|return|>";
      const { choices } = await client.chat.completions.create({
        model: "demo",
        messages: [{ role: "user", content: "?" }],
      });
      assert.equal(choices[0]!.message.content, "quick");
    }
    await until(() => model.numLive === 0);
    let seen = "";
    slow.on("data", (bytes) => (seen += String(bytes))).resume();
    await until(() => seen.includes("data: [DONE]"));
    // Words that waited for each other came together.
    const words = [...seen.matchAll(/"content":"((?: word)+)"/g)].map(([, text]) => text).join("");
    assert.equal(words, " word".repeat(3_000));
    slow.destroy();
  });

  it("lets go of a reader that takes nothing for two minutes", async (test) => {
    const clock = new ManualClock();
    const { url, model } = await openApi(test, { clock });
    model.answer = () => `<|channel|>final<|message|>${" word".repeat(3_000)}`;
    // More than the buffers of both sockets hold.
    const socket = await openStream(url, { n: 8 });
    socket.pause();
    await until(() => model.specs.length === 8 && model.numLive === 0);
    const closed = once(socket, "close");
    for (let turn = 0; turn < 100; turn += 1) await nextTurn();
    clock.advance(125_000);
    socket.resume();
    let seen = "";
    socket.on("data", (bytes) => (seen += String(bytes)));
    await closed;
    assert.doesNotMatch(seen, /\[DONE\]/);
  });

  it("reaches its client while the server closes, as far as the grace goes", async (test) => {
    const { url, http, model } = await openApi(test);
    model.answer = () => "<|channel|>final<|message|>one two three<|return|>";
    model.pace = () => new Promise((resolve) => setTimeout(resolve, 20));
    const socket = await openStream(url);
    let seen = "";
    socket.on("data", (bytes) => (seen += String(bytes)));
    await until(() => seen.includes("data: "));
    const closed = once(socket, "close");
    await http.close(10_000);
    await closed;
    assert.match(seen, /data: \[DONE\]/);
  });
});
