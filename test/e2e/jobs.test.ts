import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { GenerateRequest, JobResult } from "../../client/index.js";
import { freePort } from "../bus/nats-server.js";
import { DEMO_MODEL } from "../paths.js";
import { eventually, jsonLines, MAIN_FILE, moesaic, RunningCluster, temporaryFolder } from "./moesaic.js";

const NUM_REQUESTS = 40;

/** Of different lengths, so that they do not finish in order. */
const REQUESTS: GenerateRequest[] = Array.from({ length: NUM_REQUESTS }, (_, index) => ({
  requestId: `q${index}`,
  tokenIds: [index + 1, 7, 9],
  sampling: { temperature: 0, ignoreEos: true, maxTokens: 8 + ((index * 37) % 100) },
}));

describe("jobs", () => {
  it("go on after kill -9 of the coordinator, for a client that watches too: each result once, in order, as it must be", async (test) => {
    const folder = temporaryFolder(test);
    const settings = {
      api: { grpc: `127.0.0.1:${await freePort()}`, http: "127.0.0.1:0" },
      scheduler: { maxSequences: 8 },
    };
    const first = await RunningCluster.launch(test, settings, folder);
    await first.client.submitJob(REQUESTS, { jobId: "a" });
    const watching = gathered(first.client.watchJob("a"));
    await eventually("some have finished", async () => (await first.client.getJob("a")).numFinished >= 5);
    first.process.kill("SIGKILL");
    await first.exited;
    const second = await RunningCluster.launch(test, settings, folder);
    const results = await watching;
    assert.deepEqual(
      results.map(({ index, requestId }) => [index, requestId]),
      REQUESTS.map(({ requestId }, index) => [index, requestId]),
    );
    const job = await second.client.getJob("a");
    assert.deepEqual([job.state, job.numFinished, job.numFailed], ["finished", NUM_REQUESTS, 0]);
    const numComputed = await second.metric('moesaic_requests_total{finish_reason="length"}');
    assert.ok(numComputed <= NUM_REQUESTS - 5, `${numComputed} were computed after the restart`);
    for (const index of [0, 17, NUM_REQUESTS - 1]) {
      const alone = await second.client.complete(REQUESTS[index]!);
      assert.deepEqual(results[index]!.completion!.choices[0]!.tokenIds, alone.choices[0]!.tokenIds);
    }
    assert.deepEqual(await gathered(second.client.generateBatch(REQUESTS, { jobId: "a" })), results);
  });

  it("are left for the next coordinator by one that drains, which does not wait for them", async (test) => {
    const folder = temporaryFolder(test);
    const first = await RunningCluster.launch(test, { scheduler: { maxSequences: 8 } }, folder);
    await first.client.submitJob(REQUESTS, { jobId: "a" });
    await eventually("some have finished", async () => (await first.client.getJob("a")).numFinished >= 3);
    first.process.kill("SIGTERM");
    assert.deepEqual(await first.exited, [0, null]);
    const second = await RunningCluster.launch(test, {}, folder);
    const results = await gathered(second.client.watchJob("a"));
    assert.equal(results.length, NUM_REQUESTS);
    assert.ok(results.every(({ error }) => error === null));
  });

  it("run behind what a client waits for", async (test) => {
    const cluster = await RunningCluster.launch(test, { scheduler: { maxSequences: 4 } });
    const long = REQUESTS.map((request) => ({ ...request, sampling: { ...request.sampling, maxTokens: 300 } }));
    await cluster.client.submitJob(long, { jobId: "a" });
    await eventually("it runs", async () => (await cluster.client.getJob("a")).state === "running");
    for (let index = 0; index < 5; index += 1) {
      await cluster.client.complete({
        tokenIds: [1, 2, 3],
        sampling: { temperature: 0, maxTokens: 4, ignoreEos: true },
      });
    }
    const { numFinished } = await cluster.client.getJob("a");
    assert.ok(numFinished < NUM_REQUESTS / 2, `${numFinished} of the job were finished before five short requests`);
    assert.equal((await cluster.client.cancelJob("a")).state, "cancelled");
    await eventually("its rows are free", async () => {
      const { replicas } = await cluster.client.status();
      return replicas[0]!.scheduler!.numRunning === 0;
    });
  });

  it("of a batch without a name are gone with it, and each failure is its request's own", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const numFinished: number[] = [];
    const onProgress = (job: { numFinished: number }) => void numFinished.push(job.numFinished);
    const requests = [REQUESTS[0]!, { prompt: "x", sampling: { temperature: 9 } }, REQUESTS[2]!];
    const results = await gathered(cluster.client.generateBatch(requests, { onProgress }));
    assert.deepEqual(
      results.map(({ error }) => error?.code ?? null),
      [null, "invalid_argument", null],
    );
    assert.match(results[1]!.error!.message, /temperature/);
    assert.equal(numFinished.at(-1), 3);
    for await (const result of cluster.client.generateBatch(REQUESTS)) if (result.index === 0) break;
    for await (const job of cluster.client.listJobs()) assert.fail(`there is a job ${job.jobId}`);
  });
});

describe("moesaic jobs", () => {
  it("submits a file, prints its results in order, and goes on with it when it is asked again", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const file = fileOf(
      test,
      REQUESTS.map((request, index) => lineOf(request, index)),
    );
    const jobs = (...args: string[]) => moesaic(["jobs", ...args, "--endpoint", cluster.endpoint, "--json"]);
    const first = await jobs("submit", file);
    assert.equal(first.code, 0, first.stderr);
    const lines = jsonLines<{ id: string; token_ids: number[] }>(first);
    assert.deepEqual(
      lines.map(({ id }) => id),
      REQUESTS.map((_, index) => `q${index}`),
    );
    assert.deepEqual(
      lines.map(({ token_ids }) => token_ids.length),
      REQUESTS.map(({ sampling }) => sampling!.maxTokens),
    );
    assert.match(
      first.stderr,
      /40 of 40 requests, 120 prompt and [\d,]+ output tokens in [\d.]+ s: [\d,]+ output tokens\/s/,
    );
    const again = await jobs("submit", file);
    assert.equal(again.stdout, first.stdout);
    const [job] = jsonLines<{ job_id: string; state: string }>(await jobs("list"));
    assert.equal(job!.state, "finished");
    const rest = await jobs("watch", job!.job_id, "--first-index", "38");
    assert.deepEqual(
      jsonLines<{ id: string }>(rest).map(({ id }) => id),
      ["q38", "q39"],
    );
    const other = await jobs("submit", file, "--temperature", "1", "--job-id", job!.job_id);
    assert.equal(other.code, 0, "what lines say themselves is not changed by flags");
    const changed = await jobs("submit", fileOf(test, ['{"prompt":"x"}']), "--job-id", job!.job_id);
    assert.match(changed.stderr, /another one; give a job of other requests another id/);
    assert.equal(changed.code, 1);
    assert.equal((await jobs("delete", job!.job_id)).code, 0);
    assert.match((await jobs("get", job!.job_id)).stderr, /there is no job/);
  });

  it("names all that is wrong with a file, by line, and submits nothing", async (test) => {
    const file = fileOf(test, [
      '{"id":"a","prompt":"fine"}',
      "{broken",
      '{"id":"a","prompt":"again"}',
      '{"prompt":"x","tokens":[1]}',
      '{"prompt":"x","max_token":1}',
      "",
      `{"prompt":"${"x".repeat(1_000_000)}"}`,
      `{"prompt":"${"y".repeat(6_000_000)}"}`,
      '{"tokens":[4294967296]}',
    ]);
    const { code, stderr } = await moesaic(["jobs", "submit", file, "--endpoint", "127.0.0.1:1"]);
    assert.equal(code, 2);
    const places = [...stderr.matchAll(/^ {2}.*\.jsonl:(\d+): (.*)$/gm)].map(([, line]) => Number(line));
    assert.deepEqual(places, [2, 3, 4, 5, 7, 8, 9]);
    assert.match(stderr, /:3: id: a is that of line 1 too/);
    assert.match(stderr, /:5: max_token: no such key; did you mean max_tokens/);
    assert.ok(stderr.length < 5_000, "a problem shows no line whole");
  });

  it("has 1 for an exit code when a request failed, and leaves jobs alone where none are kept", async (test) => {
    const cluster = await RunningCluster.launch(test, { jobs: { directory: null } });
    const file = fileOf(test, ['{"prompt":"x"}']);
    const { code, stderr } = await moesaic(["jobs", "submit", file, "--endpoint", cluster.endpoint]);
    assert.equal(code, 1);
    assert.match(stderr, /keeps no jobs: name a folder in spec\.jobs\.directory/);
  });

  it("runs a file on a throw-away cluster, goes on after it was killed, and keeps nothing that was printed", async (test) => {
    const cwd = temporaryFolder(test);
    const long = REQUESTS.map((request, index) =>
      lineOf({ ...request, sampling: { ...request.sampling, maxTokens: 200 } }, index),
    );
    const command = ["jobs", "submit", fileOf(test, long), "--model", DEMO_MODEL, "--max-sequences", "4", "--json"];
    const first = spawn(process.execPath, [MAIN_FILE, ...command], { cwd, stdio: ["ignore", "pipe", "inherit"] });
    await once(first.stdout, "data"); // The first result is there.
    first.kill("SIGKILL");
    await once(first, "close");
    assert.equal(journalsIn(cwd).length, 1);
    const second = await moesaic([...command, "--log-level", "info"], { cwd });
    assert.equal(second.code, 0, second.stderr);
    assert.equal(jsonLines(second).length, NUM_REQUESTS);
    assert.match(second.stderr, /"numUnfinished":1.*jobs were read back/);
    assert.deepEqual(journalsIn(cwd), []);
    const detached = await moesaic([...command, "--detach"], { cwd });
    assert.deepEqual([detached.code, /--detach/.test(detached.stderr)], [2, true]);
    const elsewhere = await moesaic([...command, "--job-id", "../../x"], { cwd });
    assert.deepEqual([elsewhere.code, /expected 1 to 128 letters/.test(elsewhere.stderr)], [2, true]);
  });

  it("goes on from the first result that a client did not see", async (test) => {
    const cluster = await RunningCluster.launch(test, { scheduler: { maxSequences: 4 } });
    const file = fileOf(
      test,
      REQUESTS.map((request, index) => lineOf(request, index)),
    );
    const detached = await moesaic(["jobs", "submit", file, "--detach", "--endpoint", cluster.endpoint]);
    assert.equal(detached.code, 0, detached.stderr);
    const jobId = detached.stdout.trim();
    const aborter = new AbortController();
    const seen: number[] = [];
    try {
      for await (const { index } of cluster.client.watchJob(jobId, { signal: aborter.signal })) {
        seen.push(index);
        if (index === 3) aborter.abort();
      }
    } catch (error) {
      assert.equal((error as { code: string }).code, "cancelled");
    }
    const rest = await gathered(cluster.client.watchJob(jobId, { firstIndex: seen.length }));
    assert.deepEqual(
      [...seen, ...rest.map(({ index }) => index)],
      REQUESTS.map((_, index) => index),
    );
  });
});

async function gathered(results: AsyncIterable<JobResult>): Promise<JobResult[]> {
  const all: JobResult[] = [];
  for await (const result of results) all.push(result);
  return all;
}

function lineOf(request: GenerateRequest, index: number): string {
  const { temperature, ignoreEos, maxTokens } = request.sampling!;
  const sampling = { temperature, ignore_eos: ignoreEos, max_tokens: maxTokens };
  return JSON.stringify({ id: `q${index}`, tokens: "tokenIds" in request ? request.tokenIds : [], ...sampling });
}

function journalsIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".job"));
}

function fileOf(test: TestContext, lines: readonly string[]): string {
  const file = join(temporaryFolder(test), "requests.jsonl");
  writeFileSync(file, lines.join("\n"));
  return file;
}
