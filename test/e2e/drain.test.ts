import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Completion } from "../../client/index.js";
import { eventually, isRunning, moesaic, RunningCluster } from "./moesaic.js";

/** Runs long enough to be there when a command, which takes its time to start, tells the cluster to leave. */
const NUM_TOKENS = 3_000;
const LONG_REQUEST = { tokenIds: [1, 2, 3], sampling: { temperature: 0, ignoreEos: true, maxTokens: NUM_TOKENS } };

describe("moesaic up", () => {
  it("finishes what runs after SIGTERM, refuses what is new, and leaves with exit code 0 and no process", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const workers = await cluster.workerPids();
    const { result } = await startLongRequest(cluster);
    cluster.process.kill("SIGTERM");
    await eventually("it drains", async () => (await cluster.client.status()).state === "draining");
    await assert.rejects(cluster.client.complete({ tokenIds: [1], sampling: { maxTokens: 1 } }), {
      code: "unavailable",
    });
    assert.equal((await result).choices[0]!.tokenIds.length, NUM_TOKENS);
    assert.deepEqual(await cluster.exited, [0, null]);
    assert.deepEqual(workers.filter(isRunning), []);
  });

  it("drains at a client's wish and leaves", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const workers = await cluster.workerPids();
    const { result } = await startLongRequest(cluster);
    const drain = await moesaic(["drain", "--endpoint", cluster.endpoint, "--json"]);
    assert.deepEqual(drain, { code: 0, stdout: '{"num_finished":1}\n', stderr: "" });
    assert.equal((await result).choices[0]!.finishReason, "length");
    assert.deepEqual(await cluster.exited, [0, null]);
    assert.deepEqual(workers.filter(isRunning), []);
  });

  it("stops at once at a second signal, and its workers leave with it", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const workers = await cluster.workerPids();
    await startLongRequest(cluster);
    cluster.process.kill("SIGTERM");
    await eventually("it drains", async () => (await cluster.client.status()).state === "draining");
    cluster.process.kill("SIGTERM");
    assert.deepEqual(await cluster.exited, [130, null]);
    await eventually("the workers leave", () => !workers.some(isRunning));
  });
});

/** Waits until the request runs. In a record, since an async function would wait for the result itself. */
async function startLongRequest({ client }: RunningCluster): Promise<{ result: Promise<Completion> }> {
  const result = client.complete(LONG_REQUEST);
  result.catch(() => {}); // Where the cluster is stopped at once nobody asks for it.
  await eventually("the request runs", async () => {
    const { replicas } = await client.status();
    return (replicas[0]!.scheduler?.numRunning ?? 0) > 0;
  });
  return { result };
}
