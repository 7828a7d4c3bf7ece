import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type OpenAI from "openai";
import { openApi, type OpenApi } from "../../../test/openai-api.js";

type Response = OpenAI.Responses.Response;
type StreamEvent = OpenAI.Responses.ResponseStreamEvent;

const ANSWER =
  "<|channel|>analysis<|message|>Hm, well.<|end|><|start|>assistant<|channel|>final<|message|>So it is.<|return|>";

async function ended({ client }: OpenApi, { id }: Pick<Response, "id">): Promise<Response> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    const response = await client.responses.retrieve(id);
    if (response.status !== "queued" && response.status !== "in_progress") return response;
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  return assert.fail("the response did not end");
}

/** Lets so many tokens come, and the others when `release` is called. */
function held(api: OpenApi, numTokens: number): { release: () => void } {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  let numPaced = 0;
  api.model.pace = () => (++numPaced <= numTokens ? Promise.resolve() : released);
  return { release };
}

/** When it is dropped, milliseconds since 1970. */
async function givenTime(api: OpenApi, id: string): Promise<number> {
  for (;;) {
    const { expires_unix_ms: expiresUnixMs } = api.kept().objects.get(id);
    if (expiresUnixMs > 0) return expiresUnixMs;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function gathered(events: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  const all: StreamEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe("responses in the background", () => {
  it("are answered at once, run while nobody waits, and are there afterwards", async (test) => {
    const api = await openApi(test);
    api.model.answer = () => ANSWER;
    const { release } = held(api, 3);
    const ask = { model: "demo", input: "Is it so?", background: true, metadata: { a: "b" } };
    const first = await api.client.responses.create(ask);
    assert.ok(first.status === "queued" || first.status === "in_progress", first.status);
    assert.deepEqual([first.background, first.output, first.usage ?? null], [true, [], null]);
    while ((await api.client.responses.retrieve(first.id)).status !== "in_progress") await Promise.resolve();
    release();
    const whole = await ended(api, first);
    assert.deepEqual([whole.status, whole.output_text, whole.metadata], ["completed", "So it is.", { a: "b" }]);
    assert.ok(whole.usage!.output_tokens_details.reasoning_tokens > 0);
    const items = await api.client.responses.inputItems.list(first.id);
    assert.equal(items.data.length, 1);
    const next = await api.client.responses.create({ model: "demo", input: "Sure?", previous_response_id: first.id });
    assert.equal(next.status, "completed");
    assert.match(api.model.lastPrompt, /Is it so\?.*So it is\..*Sure\?/s);
  });

  it("are streamed as often as one likes, from any event on, and always the same", async (test) => {
    const api = await openApi(test);
    api.model.answer = () => ANSWER;
    const { release } = held(api, 5);
    const stream = await api.client.responses.create({ model: "demo", input: "Hm?", background: true, stream: true });
    const begun: StreamEvent[] = [];
    for await (const event of stream) {
      begun.push(event);
      if (event.type === "response.reasoning_text.delta") break;
    }
    assert.deepEqual(
      begun.slice(0, 3).map(({ type }) => type),
      ["response.created", "response.queued", "response.in_progress"],
    );
    const created = begun[0] as Extract<StreamEvent, { type: "response.created" }>;
    const { id } = created.response;
    const last = begun.at(-1)!.sequence_number;
    const going = gathered(await api.client.responses.retrieve(id, { stream: true, starting_after: last }));
    release();
    const rest = await going;
    const all = await gathered(await api.client.responses.retrieve(id, { stream: true }));
    assert.deepEqual([...begun, ...rest], all);
    assert.deepEqual(
      all.map(({ sequence_number: number }) => number),
      all.map((_, index) => index),
    );
    assert.equal(all.at(-1)!.type, "response.completed");
    await api.stop();
    const second = await openApi(test, { folder: api.folder });
    assert.deepEqual(await gathered(await second.client.responses.retrieve(id, { stream: true })), all);
  });

  it("go on at the next coordinator with the events that they had begun with", async (test) => {
    const first = await openApi(test);
    first.model.answer = () => ANSWER;
    held(first, 6);
    const stream = await first.client.responses.create({ model: "demo", input: "Hm?", background: true, stream: true });
    const begun: StreamEvent[] = [];
    const cut = (async () => {
      for await (const event of stream) begun.push(event);
    })();
    while (begun.every(({ type }) => type !== "response.reasoning_text.delta"))
      await new Promise((r) => setImmediate(r));
    await first.stop();
    await cut.catch(() => {});
    assert.notEqual(begun.at(-1)!.type, "response.completed");
    const { id } = (begun[0] as Extract<StreamEvent, { type: "response.created" }>).response;
    const second = await openApi(test, { folder: first.folder });
    second.model.answer = () => ANSWER;
    const seen = begun.filter(({ type }) => type !== "error");
    const after = seen.at(-1)!.sequence_number;
    const rest = await gathered(await second.client.responses.retrieve(id, { stream: true, starting_after: after }));
    const all = await gathered(await second.client.responses.retrieve(id, { stream: true }));
    assert.deepEqual([...seen, ...rest], all);
    assert.equal((await ended(second, { id })).output_text, "So it is.");
    const seeds = [first, second].map(({ model }) => model.specs.at(-1)!.sampling.seed);
    assert.equal(seeds[0], seeds[1]);
  });

  it("are kept for as long as they wait and run, and for a day after their end", async (test) => {
    const first = await openApi(test);
    const { release } = held(first, 2);
    const { id } = await first.client.responses.create({ model: "demo", input: "Hm?", background: true });
    while (first.model.numLive === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(first.kept().objects.get(id).expires_unix_ms, 0);
    release();
    await ended(first, { id });
    const dayAfterEnd = await givenTime(first, id);
    assert.equal(dayAfterEnd, first.kept().jobs.get(id).ended_unix_ms! + 24 * 3_600_000);
    // As a coordinator leaves it that dies right after the end.
    await first.kept().objects.update(id, (document) => void (document.expires_unix_ms = 0));
    await first.stop();
    const second = await openApi(test, { folder: first.folder });
    assert.equal(await givenTime(second, id), dayAfterEnd);
    assert.equal((await ended(second, { id })).status, "completed");
  });

  it("are cancelled, again and again, and deleted", async (test) => {
    const api = await openApi(test);
    held(api, 2);
    const { id } = await api.client.responses.create({ model: "demo", input: "Hm?", background: true });
    while (api.model.numLive === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const _ of ["once", "twice"]) assert.equal((await api.client.responses.cancel(id)).status, "cancelled");
    while (api.model.numLive > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal((await api.client.responses.retrieve(id)).status, "cancelled");
    await api.client.responses.delete(id);
    await assert.rejects(api.client.responses.retrieve(id), { status: 404 });
  });

  // Their streams stood still, or ended without an end.
  it("tell their streams when they are cancelled, or their jobs are deleted", async (test) => {
    const api = await openApi(test);
    api.model.answer = () => ANSWER;
    for (const end of [
      (id: string) => api.client.responses.cancel(id),
      (id: string) => api.kept().jobs.cancel(id),
      (id: string) => api.kept().jobs.delete(id),
    ]) {
      held(api, 6);
      const ask = { model: "demo", input: "Hm?", background: true, stream: true } as const;
      const events: StreamEvent[] = [];
      let hasEnded = false;
      for await (const event of await api.client.responses.create(ask)) {
        events.push(event);
        if (event.type !== "response.reasoning_text.delta" || hasEnded) continue;
        hasEnded = true;
        const created = events[0] as Extract<StreamEvent, { type: "response.created" }>;
        await end(created.response.id);
      }
      const last = events.at(-1)!;
      assert.ok(last.type === "response.incomplete", last.type);
      assert.equal(last.response.status, "cancelled");
      assert.ok(last.response.output.length > 0, "what there was is shown");
    }
  });

  it("end as failed when they are refused", async (test) => {
    const api = await openApi(test);
    const { id } = await api.client.responses.create({ model: "demo", input: "x ".repeat(9_000), background: true });
    const whole = await ended(api, { id });
    assert.equal(whole.status, "failed");
    assert.match(whole.error!.message, /tokens/);
  });

  it("are refused where nothing is kept, and with store: false; others' do not exist", async (test) => {
    const ask = { model: "demo", input: "Hm?", background: true };
    const { client } = await openApi(test, { keeps: false });
    await assert.rejects(client.responses.create(ask), { status: 400, message: /this cluster keeps no jobs/ });
    const api = await openApi(test);
    await assert.rejects(api.client.responses.create({ ...ask, store: false }), { status: 400, param: "store" });
    const { id } = await api.client.responses.create(ask);
    const other = { headers: { "moesaic-tenant": "other" } };
    await assert.rejects(api.client.responses.retrieve(id, {}, other), { status: 404 });
    await assert.rejects(api.client.responses.cancel(id, other), { status: 404 });
    await assert.rejects(api.client.responses.retrieve(id, { starting_after: 3 } as never), {
      status: 400,
      param: "starting_after",
    });
  });
});
