import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { JobLog } from "../../coordinator/jobs/job-log.js";
import { JobRunner, type RunRequest } from "../../coordinator/jobs/job-runner.js";
import type { JobStore } from "../../coordinator/jobs/job-store.js";
import { Journal } from "../../coordinator/jobs/journal.js";
import { systemClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { until } from "../bus/bus-fixture.js";
import { EchoEngine } from "./echo-engine.js";
import { openStore, submission, watched } from "./job-log-fixture.js";

const never = (): Promise<void> => new Promise(() => {});

describe("JobRunner", () => {
  it("runs every request of every job, the oldest job first, and merges what came in many events", async (test) => {
    const { store, engine } = await started(test, {});
    await store.submit(submission({ jobId: "a", prompts: ["0", "1", "2"] }));
    await store.submit(submission({ jobId: "b", prompts: ["3", "4"] }));
    assert.deepEqual(await watched(store, "b"), ["0:3", "1:4"]);
    assert.deepEqual(await watched(store, "a"), ["0:0", "1:1", "2:2"]);
    assert.deepEqual(engine.askedPrompts, ["0", "1", "2", "3", "4"]);
    const { state, num_prompt_tokens, num_output_tokens, num_failed } = store.get("a");
    assert.deepEqual([state, num_prompt_tokens, num_output_tokens, num_failed], ["finished", 3, 6, 0]);
    assert.deepEqual(
      (await store.result("a", 2))!.map(({ offset }) => offset),
      [1, 2, 3],
    );
    assert.deepEqual((await store.result("a", 2))![1]!.delta!.token_ids, [2, 0]);
  });

  it("fills the batch and no more, counting choices, and names requests by their place", async (test) => {
    const { store, engine } = await started(test, { maxInFlight: 4 });
    engine.before = () => new Promise((resolve) => setTimeout(resolve, 5));
    const job = submission({ jobId: "a", prompts: Array.from({ length: 20 }, (_, index) => String(index)) });
    job.requests[3]!.sampling!.n = 3;
    job.requests[9]!.sampling!.n = 16; // More than fits beside another: it runs alone.
    await store.submit(job);
    await watched(store, "a");
    assert.equal(engine.mostRunning, 16);
    assert.deepEqual(engine.asked[7]!.request_id, "a-7");
    const withoutLarge = engine.asked.filter(({ sampling }) => sampling!.n !== 16);
    assert.equal(withoutLarge.length, 19);
  });

  it("runs urgent jobs before others, on the account of whose they are", async (test) => {
    const { store, engine } = await started(test, { maxInFlight: 1 });
    let letGo = (): void => {};
    engine.before = ({ prompt }) => (prompt === "0" ? new Promise<void>((resolve) => (letGo = resolve)) : undefined);
    await store.submit(submission({ jobId: "set", prompts: ["0", "1", "2"] }), { tenant: "a" });
    await until("the first runs", () => engine.asked.length === 1);
    await store.submit(submission({ jobId: "awaited", prompts: ["9"] }), { tenant: "b", isUrgent: true });
    letGo();
    await watched(store, "set");
    // The request that waits for a row when the urgent one comes is chosen already.
    assert.deepEqual(engine.askedPrompts, ["0", "1", "9", "2"]);
    assert.deepEqual(engine.tenants, ["a", "a", "b", "a"]);
  });

  it("asks behind all that clients wait for, in the order of the requests' own priorities", async (test) => {
    const { store, engine } = await started(test, {});
    const job = submission({ jobId: "a", prompts: ["0", "1", "2", "3"] });
    for (const [index, priority] of [-(2 ** 31), 0, 1, 2 ** 31 - 1].entries()) job.requests[index]!.priority = priority;
    await store.submit(job);
    await watched(store, "a");
    const given = engine.asked.map(({ priority }) => priority);
    assert.ok(given.every((priority) => priority >= 2 ** 30 && priority < 2 ** 31));
    assert.deepEqual(
      given,
      given.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(given).size, 4);
  });

  it("computes what the one before it had not finished, and nothing twice", async (test) => {
    const folder = folderOf(test);
    const first = await started(test, { folder, maxInFlight: 2 });
    first.engine.before = (request) => (request.prompt === "1" ? never() : undefined);
    await first.store.submit(submission({ jobId: "a", prompts: ["0", "1", "2", "3"] }));
    await until("three have finished", () => first.store.get("a").num_finished === 3);
    await first.runner.stop();
    await first.store.close();
    assert.deepEqual(first.engine.aborted, ["1"]);
    const second = await started(test, { folder });
    assert.deepEqual(await watched(second.store, "a"), ["0:0", "1:1", "2:2", "3:3"]);
    assert.deepEqual(second.engine.askedPrompts, ["1"]);
  });

  it("tries again what failed because ranks were away, and keeps what is the request's own fault", async (test) => {
    const { store, engine } = await started(test, {});
    let numTries = 0;
    engine.before = ({ prompt }) => {
      if (prompt === "1") throw new MoesaicError("invalid_argument", "no good", { place: "sampling" });
      if (prompt === "2" && ++numTries < 4) throw new MoesaicError("unavailable", "ranks are away");
      if (prompt === "3" && ++numTries < 6) throw new MoesaicError("resource_exhausted", "full", { retryAfterMs: 1 });
      if (prompt === "4") throw new MoesaicError("resource_exhausted", "never fits");
    };
    await store.submit(submission({ jobId: "a", prompts: ["0", "1", "2", "3", "4"] }));
    const expected = ["0:0", "1:invalid_argument", "2:2", "3:3", "4:resource_exhausted"];
    assert.deepEqual(await watched(store, "a"), expected);
    assert.deepEqual([store.get("a").num_failed, store.get("a").state, store.get("a").reason], [2, "finished", ""]);
    const finish = (await store.result("a", 1))!.at(-1)!.finish!;
    assert.deepEqual([finish.reason, finish.error], ["error", finish.error]);
    assert.deepEqual([finish.error!.message, finish.error!.place], ["no good", "sampling"]);
  });

  it("says why nothing gets on while it does not", async (test) => {
    const { store, engine } = await started(test, {});
    let isAway = true;
    engine.before = () => {
      if (isAway) throw new MoesaicError("unavailable", "ranks are away");
    };
    await store.submit(submission({ jobId: "a", prompts: ["0"] }));
    await until("it says so", () => store.get("a").reason === "ranks are away");
    isAway = false;
    assert.deepEqual(await watched(store, "a"), ["0:0"]);
    assert.equal(store.get("a").reason, "");
  });

  it("aborts what runs of a job that is cancelled or deleted, and goes on with the others", async (test) => {
    const { store, engine } = await started(test, { maxInFlight: 2 });
    engine.before = ({ prompt }) => (Number(prompt) < 10 ? never() : undefined);
    await store.submit(submission({ jobId: "a", prompts: ["1", "2", "3"] }));
    await store.submit(submission({ jobId: "b", prompts: ["4", "5", "6"] }));
    await store.submit(submission({ jobId: "c", prompts: ["10", "11"] }));
    await until("two run", () => engine.numRunning === 2);
    await store.cancel("a");
    await until("the next run", () => engine.askedPrompts.includes("5"));
    await store.delete("b");
    assert.deepEqual(await watched(store, "c"), ["0:10", "1:11"]);
    assert.deepEqual(engine.aborted, ["1", "2", "4", "5"]);
    assert.deepEqual(await watched(store, "a"), ["0:cancelled", "1:cancelled", "2:cancelled"]);
  });

  it("keeps a result until there is room for it, and computes it once", async (test) => {
    const { store, engine, faults } = await started(test, {});
    faults.isFull = true;
    await store.submit(submission({ jobId: "a", prompts: ["0", "1"] }));
    await until("it says so", () => /cannot be kept/.test(store.get("a").reason!));
    faults.isFull = false;
    assert.deepEqual(await watched(store, "a"), ["0:0", "1:1"]);
    assert.deepEqual(engine.askedPrompts, ["0", "1"]);
  });

  it("runs jobs that are submitted while it has nothing to do", async (test) => {
    const { store } = await started(test, {});
    for (const jobId of ["a", "b", "c"]) {
      await store.submit(submission({ jobId, prompts: ["1"] }));
      assert.deepEqual(await watched(store, jobId), ["0:1"]);
    }
  });
});

function folderOf(test: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-runner-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface Started {
  store: JobStore;
  engine: EchoEngine;
  runner: JobRunner;
  faults: { isFull: boolean };
}

async function started(
  test: TestContext,
  { folder = folderOf(test), maxInFlight = 8 }: { folder?: string; maxInFlight?: number },
): Promise<Started> {
  const faults = { isFull: false };
  const store = await openStore(test, withFaults(await Journal.open(folder, silentLogger), faults));
  const engine = new EchoEngine();
  const generate: RunRequest = (request, run) => engine.generate(request, run);
  const runner = new JobRunner(store, generate, { maxInFlight, clock: systemClock, log: silentLogger });
  void runner.run();
  test.after(() => runner.stop());
  return { store, engine, runner, faults };
}

/** Takes requests, and results only while there is room. */
function withFaults(log: JobLog, faults: { isFull: boolean }): JobLog {
  return {
    recover: () => log.recover(),
    append: async (jobId, head, body) => {
      if (faults.isFull && head.result) throw new MoesaicError("resource_exhausted", "disk full");
      return log.append(jobId, head, body);
    },
    read: (jobId, place) => log.read(jobId, place),
    drop: (jobId) => log.drop(jobId),
    get bytes() {
      return log.bytes;
    },
    close: () => log.close(),
  };
}
