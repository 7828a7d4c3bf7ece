import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { GenerateEvent } from "../../client/generate-event.js";
import type { GenerateRequest } from "../../client/generate-request.js";
import { eventually, RunningCluster } from "./moesaic.js";

const NUM_PROMPT = 2_000;
const CHUNK = 64;

function longPrompt(seed: number, more: Partial<GenerateRequest> = {}): GenerateRequest {
  const tokenIds = Array.from({ length: NUM_PROMPT }, (_, position) => 1 + ((position * seed) % 1_900));
  return { tokenIds, sampling: { temperature: 0, maxTokens: 4, ignoreEos: true }, ...more };
}

describe("progress of a long prompt", () => {
  it("rises chunk by chunk to the first token, for who asks", async (test) => {
    const cluster = await RunningCluster.launch(test, { scheduler: { maxBatchedTokens: CHUNK } });
    const { client } = cluster;
    const events: GenerateEvent[] = [];
    for await (const event of client.generate(longPrompt(7, { prefillProgress: true }))) events.push(event);
    const types = events.map(({ type }) => type);
    assert.deepEqual([types[0], types.at(-1)], ["started", "finish"]);
    assert.ok(types.lastIndexOf("prefill") < types.indexOf("delta"), types.join(" "));
    assert.deepEqual(
      events.map(({ offset }) => offset),
      events.map((_, index) => index + 1),
    );
    const told = events.flatMap((event) => (event.type === "prefill" ? [event] : []));
    const done = told.map(({ numDone }) => numDone);
    assert.ok(done.length >= 2, `${done.length} events of ${NUM_PROMPT / CHUNK} chunks`);
    assert.deepEqual(
      done,
      done.toSorted((a, b) => a - b),
    );
    assert.ok(done.every((count) => count > 0 && count < NUM_PROMPT));
    assert.ok(told.every(({ numPromptTokens }) => numPromptTokens === NUM_PROMPT));

    // The prompt is in the prefix cache now, but for its end; and nobody asks.
    const again: GenerateEvent[] = [];
    for await (const event of client.generate(longPrompt(7))) again.push(event);
    assert.deepEqual(
      again.flatMap((event) => (event.type === "delta" ? event.tokenIds : [])),
      events.flatMap((event) => (event.type === "delta" ? event.tokenIds : [])),
    );
    assert.ok(again.every(({ type }) => type !== "prefill"));
  });

  it("ends with a caller that leaves meanwhile, and nothing stays behind", async (test) => {
    const cluster = await RunningCluster.launch(test, { scheduler: { maxBatchedTokens: CHUNK } });
    const { client } = cluster;
    for await (const { type } of client.generate(longPrompt(11, { prefillProgress: true })))
      if (type === "prefill") break;
    await eventually("it runs no longer", async () => {
      const { scheduler } = (await client.status()).replicas[0]!;
      return scheduler!.numRunning === 0 && scheduler!.kvGroups.every(({ numUsedBlocks }) => numUsedBlocks === 0);
    });
  });

  it("is refused where the same request must have the same events", async (test) => {
    const { client } = await RunningCluster.launch(test);
    const request = longPrompt(3, { prefillProgress: true, eventPerToken: true });
    await assert.rejects(client.complete(request), { code: "invalid_argument", message: /not with event_per_token/ });
  });
});
