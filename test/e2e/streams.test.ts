import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import type { GenerateEvent } from "../../client/index.js";
import { GOLDEN } from "./golden-generations.js";
import { eventually, longGeneration, MAIN_FILE, RunningCluster } from "./moesaic.js";

const NUM_STREAMS = 64;

describe("a cluster with many clients", () => {
  it("never mixes up 64 streams, and numbers the events of each without a gap", async (test) => {
    const { client } = await RunningCluster.launch(test);
    const streams = Array.from({ length: NUM_STREAMS }, async (_, index) => {
      const golden = GOLDEN[index % GOLDEN.length]!;
      const events: GenerateEvent[] = [];
      const sampling = { temperature: 0, maxTokens: golden.generated_tokens.length + 8 };
      const request = { tokenIds: golden.prompt_tokens, requestId: `request-${index}`, sampling };
      for await (const event of client.generate(request)) events.push(event);
      return { index, golden, events };
    });
    for (const { index, golden, events } of await Promise.all(streams)) {
      assert.deepEqual(tokenIdsOf(events), golden.generated_tokens, `tokens of stream ${index}`);
      assert.deepEqual(new Set(events.map(({ requestId }) => requestId)), new Set([`request-${index}`]));
      assert.deepEqual(
        events.map(({ offset }) => offset),
        events.map((_, position) => position + 1),
      );
    }
  });

  it("runs the choices of one request side by side, the first as if it were alone", async (test) => {
    const { client } = await RunningCluster.launch(test);
    const sampling = { temperature: 1, seed: 3, maxTokens: 16, ignoreEos: true };
    const alone = await client.complete({ tokenIds: [1, 2, 3], sampling });
    const { choices } = await client.complete({ tokenIds: [1, 2, 3], sampling: { ...sampling, n: 4 } });
    assert.equal(choices.length, 4);
    assert.deepEqual(choices[0]!.tokenIds, alone.choices[0]!.tokenIds);
    assert.equal(new Set(choices.map(({ tokenIds }) => tokenIds.join())).size, 4, "choices differ");
  });

  it("frees the blocks of a client that was killed", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const usedBlocks = async () => {
      const { replicas } = await cluster.client.status();
      return replicas[0]!.scheduler!.kvGroups.reduce((sum, { numUsedBlocks }) => sum + numUsedBlocks, 0);
    };
    const child = spawn(process.execPath, [MAIN_FILE, ...longGeneration(cluster.endpoint)], { stdio: "ignore" });
    await eventually("the request runs", async () => (await usedBlocks()) > 0);
    child.kill("SIGKILL");
    await once(child, "exit");
    await eventually("its blocks are free", async () => (await usedBlocks()) === 0);
  });

  it("ends a request at its deadline and one whose caller gave up, and serves on", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const endless = { tokenIds: [1, 2, 3], sampling: { ignoreEos: true, temperature: 0 } };
    await assert.rejects(cluster.client.complete(endless, { timeoutMs: 300 }), { code: "deadline_exceeded" });
    const giveUp = new AbortController();
    const stream = cluster.client.generate(endless, { signal: giveUp.signal });
    await stream.next();
    giveUp.abort();
    await assert.rejects(
      async () => {
        for await (const event of stream) assert.ok(event);
      },
      { code: "cancelled" },
    );
    const answer = await cluster.client.complete({ ...endless, sampling: { ...endless.sampling, maxTokens: 2 } });
    assert.equal(answer.choices[0]!.tokenIds.length, 2);
  });

  it("goes on with a stream whose worker was killed, without a lost or repeated token", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const request = {
      tokenIds: GOLDEN[5]!.prompt_tokens,
      sampling: { temperature: 0, ignoreEos: true, maxTokens: 400 },
    };
    const undisturbed = await cluster.client.complete(request);
    const [pid] = await cluster.workerPids();
    const events: GenerateEvent[] = [];
    for await (const event of cluster.client.generate(request)) {
      events.push(event);
      if (events.length === 40) process.kill(pid!, "SIGKILL");
    }
    assert.deepEqual(tokenIdsOf(events), undisturbed.choices[0]!.tokenIds);
    const { replicas } = await cluster.client.status();
    assert.equal(replicas[0]!.epoch, 2, "the replica was formed anew");
    assert.notDeepEqual(await cluster.workerPids(), [pid]);
  });
});

function tokenIdsOf(events: readonly GenerateEvent[]): number[] {
  return events.flatMap((event) => (event.type === "delta" ? event.tokenIds : []));
}
