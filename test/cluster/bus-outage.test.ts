import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { findNatsServer, NatsServer, NO_NATS_SERVER } from "../bus/nats-server.js";
import { eventually } from "../e2e/moesaic.js";
import { QuestionLoad } from "./question-load.js";
import { checkAnswer, RealCluster, statusOf, withClient } from "./real-cluster.js";

const program = findNatsServer();
/** For processes to start and load on a busy machine, milliseconds. */
const START_MS = 45_000;
/** More than a lease of 10 s lives: the coordinator has lost it when the bus comes back. */
const OUTAGE_MS = 15_000;
/** The server's own wait of 5 s between reconnects, one renewal, and a busy machine, milliseconds. */
const BACK_MS = 20_000;
/** The lease of 10 s, which a standby asks for every 2.5 s; then workers find it and load. Milliseconds. */
const TAKE_OVER_MS = 45_000;
const LEASE_TTL_MS = 10_000;

describe("a cluster on NATS", { concurrency: 2, skip: program === null && NO_NATS_SERVER }, () => {
  // Streams of golden answers run before, during and after; the bus is seen in the status, the lease in its bucket.
  it("serves on while NATS is away for longer than its lease, and is whole again afterwards", async (test) => {
    const nats = await NatsServer.start(program!);
    const cluster = new RealCluster(test, { nats, spec: { spares: 1 } });
    const coordinator = await cluster.coordinator();
    const workers = [0, 1].map((index) => cluster.worker(`worker ${index}`, "bus"));
    for (const daemon of [coordinator, ...workers]) daemon.start();
    await cluster.formed(coordinator, workers, START_MS);
    const holder = await leaseHolder(nats, cluster.name);
    assert.ok(holder !== null, "nobody holds the lease");
    const { replicas } = await statusOf(coordinator);

    const load = new QuestionLoad(coordinator.endpoint, 4);
    await eventually("streams run", () => load.numTokens > 20);
    await nats.takeAway();
    await eventually("the status says so", async () => (await statusOf(coordinator)).bus?.state === "reconnecting");
    await sleep((OUTAGE_MS * 2) / 3);
    const { numTokens } = load;
    await sleep(OUTAGE_MS / 3);
    assert.ok(load.numTokens > numTokens, "streams stood still while the bus was away");
    await nats.bringBack();
    const backAtMs = performance.now();
    await eventually("the bus is back", async () => (await statusOf(coordinator)).bus?.state === "connected", BACK_MS);
    const late = cluster.worker("late worker", "bus");
    late.start();
    await eventually("the late worker is there", async () => isSpare(await statusOf(coordinator), late.pid), START_MS);
    await eventually(
      "the same coordinator holds the lease again",
      async () => (await leaseHolder(nats, cluster.name)) === holder,
      BACK_MS,
    );
    await load.stop();
    test.diagnostic(
      `whole again ${Math.round(performance.now() - backAtMs)} ms after NATS; ${load.numAnswered} answers`,
    );
    assert.equal((await statusOf(coordinator)).replicas[0]?.epoch, replicas[0]?.epoch, "no rank was lost");
  });

  it("is led by the standby once the lease of a coordinator that was killed runs out", async (test) => {
    const nats = await NatsServer.start(program!);
    const cluster = new RealCluster(test, { nats });
    const [first, second] = [await cluster.coordinator(), await cluster.coordinator()];
    const workers = [0, 1].map((index) => cluster.worker(`worker ${index}`, "bus"));
    first.start();
    await eventually("the first leads", async () => (await leaseHolder(nats, cluster.name)) !== null, START_MS);
    second.start();
    for (const worker of workers) worker.start();
    await cluster.formed(first, workers, START_MS);
    await eventually("the second stands by", () => isOnStandby(second), START_MS);
    const refused = withClient(second, (client) => checkAnswer(client));
    await assert.rejects(refused, { code: "unavailable", message: /another coordinator.*holds the lease/ });

    const pids = workers.map(({ pid }) => pid);
    const epoch = (await statusOf(first)).replicas[0]?.epoch;
    await first.end("SIGKILL");
    const tookMs = await cluster.formed(second, workers, TAKE_OVER_MS);
    test.diagnostic(`the standby served after ${Math.round(tookMs)} ms`);
    assert.deepEqual(
      workers.map(({ pid }) => pid),
      pids,
      "the workers found the standby by themselves",
    );
    assert.equal((await statusOf(second)).replicas[0]?.epoch, epoch, "and brought their weights along");

    // What was the leader comes back as one of the others.
    first.start();
    await eventually("the first stands by", () => isOnStandby(first), START_MS);
    await withClient(second, (client) => checkAnswer(client));
  });
});

async function isOnStandby(coordinator: Parameters<typeof statusOf>[0]): Promise<boolean> {
  return statusOf(coordinator).then(
    ({ state }) => state === "standby",
    () => false,
  );
}

function isSpare({ spares }: Awaited<ReturnType<typeof statusOf>>, pid: number | null): boolean {
  return spares.some((spare) => spare.pid === pid);
}

/** Who wrote the key of the lease, null when it is free. */
async function leaseHolder(nats: NatsServer, clusterName: string): Promise<string | null> {
  const bus = await nats.connect();
  try {
    const entry = await bus.kv(`moesaic_lease_${clusterName}`, { ttlMs: LEASE_TTL_MS }).get(clusterName);
    return entry === null ? null : (JSON.parse(Buffer.from(entry.value).toString()) as { holder_id: string }).holder_id;
  } finally {
    await bus.close();
  }
}
