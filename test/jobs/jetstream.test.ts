import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { JetStreamLog } from "../../coordinator/jobs/jetstream-log.js";
import { findNatsServer, NatsServer, NO_NATS_SERVER } from "../bus/nats-server.js";
import { openStore, resultOf, submission, watched, type JobLogFixture } from "./job-log-fixture.js";
import { describeJobStore } from "./job-store-suite.js";
import { describeObjectStore } from "./object-store-suite.js";

const program = findNatsServer();
if (program === null) {
  it("jobs in JetStream are kept as those on disk are", { skip: NO_NATS_SERVER }, () => {});
} else {
  describeJobStore("JetStream", () => startJetStream(program));
  describeObjectStore("JetStream", () => startJetStream(program));

  describe("JetStreamLog", () => {
    it("lets the newest coordinator write alone", async (test) => {
      const fixture = await startJetStream(program);
      test.after(() => fixture.end());
      const old = await openStore(test, await fixture.open());
      await old.submit(submission({ jobId: "a", prompts: ["a", "b"] }));
      const successor = await openStore(test, await fixture.open());
      await assert.rejects(old.finish("a", 0, resultOf(1)), { code: "failed_precondition", message: /another/ });
      await successor.finish("a", 0, resultOf(2));
      await successor.finish("a", 1, resultOf(3));
      assert.deepEqual(await watched(successor, "a"), ["0:2", "1:3"]);
    });

    it("keeps all that was accepted when its server is killed, and goes on when it is back", async (test) => {
      const server = await NatsServer.start(program);
      test.after(() => server.end());
      const store = await openStore(test, await openLog(server));
      await store.submit(submission({ jobId: "a", prompts: ["a", "b"] }));
      await store.finish("a", 0, resultOf(1));
      await server.takeAway();
      await assert.rejects(store.finish("a", 1, resultOf(2)), { code: "unavailable" });
      await server.bringBack();
      await retried(() => store.finish("a", 1, resultOf(3)));
      assert.deepEqual(await watched(store, "a"), ["0:1", "1:3"]);
      const next = await openStore(test, await openLog(server));
      assert.deepEqual(await watched(next, "a"), ["0:1", "1:3"]);
    });
  });
}

async function startJetStream(path: string): Promise<JobLogFixture> {
  const server = await NatsServer.start(path);
  return { open: () => openLog(server), abandon: async () => {}, end: () => server.end() };
}

function openLog({ url }: NatsServer): Promise<JetStreamLog> {
  return JetStreamLog.open({ url, credentialsFile: null, clientName: "test" }, "demo", "jobs");
}

/** The connection comes back in its own time. */
async function retried(write: () => Promise<void>): Promise<void> {
  for (const endMs = performance.now() + 20_000; ;) {
    try {
      return await write();
    } catch (error) {
      if (performance.now() > endMs) throw error;
    }
  }
}
