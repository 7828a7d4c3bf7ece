import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { tokensPerSecond, type GenerateRequest, type Job, type JobResult } from "../../client/index.js";
import { MoesaicClient } from "../../client/client.js";
import { jobsHandlers } from "../../coordinator/api/jobs-service.js";
import { trustLoopback } from "../../coordinator/api/request-context.js";
import { ApiServer } from "../../coordinator/api/server.js";
import { JobRunner, type RunRequest } from "../../coordinator/jobs/job-runner.js";
import { Journal } from "../../coordinator/jobs/journal.js";
import { systemClock } from "../../proto/clock.js";
import { silentLogger } from "../../proto/log.js";
import { v1 } from "../../proto/messages.js";
import { freePort } from "../bus/nats-server.js";
import { EchoEngine } from "./echo-engine.js";
import { openStore } from "./job-log-fixture.js";
import { IS_LONG } from "../paths.js";

/** The real client, service, store and journal; only the engine echoes. */
describe("jobs over gRPC", () => {
  it("run a batch of many parts, each request once, with results in order and progress that ends at the end", async (test) => {
    const { client, engine } = await served(test);
    const progress: number[] = [];
    const submitted: number[] = [];
    const results = await gathered(
      client.generateBatch(numbered(1_500, "x".repeat(1_000)), {
        jobId: "a",
        onSubmitted: (numSubmitted) => void submitted.push(numSubmitted),
        onProgress: ({ numFinished }) => void progress.push(numFinished),
      }),
    );
    assert.deepEqual(
      results.map(({ index }) => index),
      Array.from({ length: 1_500 }, (_, index) => index),
    );
    assert.ok(results.every(({ index, completion }) => completion!.choices[0]!.tokenIds[0] === index));
    assert.equal(engine.asked.length, 1_500);
    assert.ok(submitted.length > 2, `${submitted.length} parts`);
    assert.equal(submitted.at(-1), 1_500);
    assert.deepEqual(
      progress,
      progress.toSorted((a, b) => a - b),
    );
    assert.equal(progress.at(-1), 1_500);
    const job = await client.getJob("a");
    assert.ok(tokensPerSecond(job)! > 0);
    assert.deepEqual([job.state, job.numOutputTokens], ["finished", 3_000]);
  });

  it("go on when the coordinator is another one in the middle, with no result lost or repeated", async (test) => {
    const place = { folder: folderOf(test), port: await freePort() };
    const first = await served(test, place);
    first.engine.before = ({ prompt }) => (Number(prompt) < 20 ? undefined : new Promise(() => {}));
    const results = gathered(first.client.generateBatch(numbered(40), { jobId: "a" }));
    await first.whenFinished("a", 20);
    await first.stop();
    const second = await served(test, place);
    assert.deepEqual(
      (await results).map(({ completion }) => completion!.choices[0]!.tokenIds[0]),
      [...Array(40).keys()],
    );
    assert.deepEqual(
      second.engine.askedPrompts.map(Number).toSorted((a, b) => a - b),
      [...Array(40).keys()].slice(20),
    );
  });

  it("leave nothing behind of a batch without a name, whose input failed or whose loop was left", async (test) => {
    const { client } = await served(test);
    async function* broken(): AsyncGenerator<GenerateRequest> {
      yield* numbered(3, "x".repeat(400_000));
      throw new Error("the input broke");
    }
    await assert.rejects(gathered(client.generateBatch(broken())), /the input broke/);
    for await (const { index } of client.generateBatch(numbered(10))) if (index === 2) break;
    for await (const job of client.listJobs()) assert.fail(`${job.jobId} is ${job.state}`);
  });

  it("say which request cannot be sent, and which is refused", async (test) => {
    const { client } = await served(test);
    const fractional = [...numbered(2), { prompt: "x", sampling: { maxTokens: 1.5 } }];
    await assert.rejects(client.submitJob(fractional, { jobId: "a" }), {
      code: "invalid_argument",
      place: "requests[2].sampling.max_tokens",
    });
    const empty = [...numbered(2), { prompt: "" }];
    await assert.rejects(client.submitJob(empty, { jobId: "b" }), { code: "invalid_argument", place: "requests[2]" });
    await assert.rejects(client.submitJob([], { jobId: "c" }), { code: "invalid_argument", place: "requests" });
    await assert.rejects(client.getJob("d"), { code: "not_found" });
  });

  it("list every job, over several pages", async (test) => {
    const { client } = await served(test);
    const ids = Array.from({ length: 110 }, (_, index) => `job-${index}`);
    for (const jobId of ids) await client.submitJob(numbered(1), { jobId });
    const listed: Job[] = [];
    for await (const job of client.listJobs()) listed.push(job);
    assert.deepEqual(listed.map(({ jobId }) => jobId).toSorted(), ids.toSorted());
  });

  if (IS_LONG) {
    it("take 100,000 requests in memory that does not grow with their prompts", async (test) => {
      const { client, engine } = await served(test);
      // Else the test itself keeps every prompt.
      engine.before = () => void engine.asked.splice(0);
      const beforeBytes = process.memoryUsage().rss;
      let numResults = 0;
      let mostBytes = 0;
      for await (const { index } of client.generateBatch(numbered(100_000, "x".repeat(4_000)))) {
        assert.equal(index, numResults);
        numResults += 1;
        if (index % 1_000 === 0) mostBytes = Math.max(mostBytes, process.memoryUsage().rss);
      }
      assert.equal(numResults, 100_000);
      // The prompts alone have 400 MB, and client, server and journal are all in here.
      assert.ok(mostBytes - beforeBytes < 300e6, `${mostBytes - beforeBytes} bytes more`);
    });
  }
});

interface Place {
  folder: string;
  port: number;
}

interface Served {
  client: MoesaicClient;
  engine: EchoEngine;
  whenFinished(jobId: string, numFinished: number): Promise<void>;
  stop(): Promise<void>;
}

async function served(test: TestContext, place: Place = { folder: folderOf(test), port: 0 }): Promise<Served> {
  const store = await openStore(test, await Journal.open(place.folder, silentLogger));
  const engine = new EchoEngine();
  const generate: RunRequest = (request, run) => engine.generate(request, run);
  const runner = new JobRunner(store, generate, { maxInFlight: 16, clock: systemClock, log: silentLogger });
  void runner.run();
  const options = { clock: systemClock, log: silentLogger, authenticate: trustLoopback, maxMessageBytes: 1 << 24 };
  const server = new ApiServer(options);
  server.addService(
    v1.Jobs,
    jobsHandlers(() => store),
  );
  const port = await server.listen(`127.0.0.1:${place.port}`);
  const client = new MoesaicClient({ endpoint: `127.0.0.1:${port}` });
  const stop = async (): Promise<void> => {
    await runner.stop();
    await store.close();
    await server.close(0);
  };
  test.after(async () => {
    client.close();
    await stop();
  });
  const whenFinished = async (jobId: string, numFinished: number): Promise<void> => {
    while (((await client.getJob(jobId).catch(() => null))?.numFinished ?? 0) < numFinished) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { client, engine, whenFinished, stop };
}

/** The engine answers with the number that a prompt begins with. */
function* numbered(count: number, padding = ""): Iterable<GenerateRequest & { prompt: string }> {
  for (let index = 0; index < count; index += 1) yield { prompt: padding === "" ? `${index}` : `${index} ${padding}` };
}

async function gathered(results: AsyncIterable<JobResult>): Promise<JobResult[]> {
  const all: JobResult[] = [];
  for await (const result of results) all.push(result);
  return all;
}

function folderOf(test: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-jobs-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
