import assert from "node:assert/strict";
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CoordinatorLease } from "../../coordinator/bus/lease.js";
import type { Bus } from "../../proto/bus/bus.js";
import { connectNatsBus } from "../../proto/bus/nats-bus.js";
import { openBus } from "../../proto/bus/open-bus.js";
import { MAX_UNCONFIRMED_BYTES } from "../../proto/bus/send-budget.js";
import { silentLogger } from "../../proto/log.js";
import { bytes, freshName, OpenBuses, take, text, until } from "./bus-fixture.js";
import { NatsOperator } from "./nats-credentials.js";
import { NatsServer } from "./nats-server.js";

const log = silentLogger;

/** What only a NATS server can do to us. */
export function describeServer(program: string): void {
  describe("NATS server", () => {
    it("that stops reading gets a bounded number of bytes ahead, and all of them when it reads again", async (t) => {
      const server = await started(t, program);
      const bus = await opened(t, server);
      const subject = freshName("m");
      const messages = bus.subscribe(subject, { maxQueued: 10_000 });
      await bus.flush(5000);
      await server.suspend();
      const numSent = publishUntilRefused(bus, subject);
      assert.ok(numSent * PAYLOAD.byteLength <= MAX_UNCONFIRMED_BYTES, `${numSent} messages`);
      assert.ok(numSent * PAYLOAD.byteLength > MAX_UNCONFIRMED_BYTES / 2, `${numSent} messages`);
      assert.equal(bus.stats.numPublishesRefused, 1);
      server.resume();
      await take(messages, numSent);
      await until("it may publish again", () => publishes(bus, subject));
    });

    it("that stops answering is given up by the deadline", async (t) => {
      const server = await started(t, program);
      const bus = await opened(t, server);
      await server.suspend();
      await assert.rejects(bus.flush(100), { code: "deadline_exceeded" });
      await assert.rejects(bus.request("a", bytes("?"), 100), { code: "deadline_exceeded" });
      server.resume();
    });

    it("that came back without its disk has its buckets made again, and its fencing tokens refused", async (t) => {
      const server = await started(t, program);
      const bus = await opened(t, server);
      const kv = bus.kv(freshName("b"), { ttlMs: 60_000 });
      const clusterName = freshName("c");
      const lease = new CoordinatorLease(bus, { clusterName, holderId: "h", ttlMs: 500, log });
      for (let round = 0; round < 2; round += 1) {
        await kv.put("a", bytes("1"));
        await lease.acquire(5000);
        await lease.release();
      }
      await server.takeAway();
      server.loseDisk();
      await until("the bus is lost", () => bus.state === "reconnecting");
      await server.bringBack();
      await until("the bus is back", () => bus.state === "connected");
      await until("the bucket is usable", () =>
        kv.get("a").then(
          (entry) => entry === null,
          () => false,
        ),
      );
      await kv.put("a", bytes("2"));
      assert.equal(text((await kv.get("a"))?.value ?? null), "2");
      await assert.rejects(lease.acquire(5000), { code: "failed_precondition", message: /JetStream directory/ });
    });

    it("that came back without its disk tells watchers what is written to its new one", async (t) => {
      const server = await started(t, program);
      const [bus, other] = [await opened(t, server), await opened(t, server)];
      const bucket = freshName("b");
      await other.kv(bucket, { ttlMs: 60_000 }).put("a", bytes("old"));
      const watch = bus.kv(bucket, { ttlMs: 60_000 }).watch("a");
      await take(watch, 1);
      await server.takeAway();
      server.loseDisk();
      await until("the bus is lost", () => bus.state === "reconnecting" && other.state === "reconnecting");
      await server.bringBack();
      await until("the bus is back", () => bus.state === "connected" && other.state === "connected");
      await until("the bucket is usable", () => puts(other, bucket, "new"));
      assert.equal(text((await take(watch, 1))[0]?.value ?? null), "new");
    });

    it("without JetStream carries messages, says what buckets need, and may be given it later", async (t) => {
      const server = await started(t, program, { jetstream: false });
      const bus = await opened(t, server);
      const messages = bus.subscribe("a");
      bus.publish("a", bytes("x"));
      await take(messages, 1);
      const error = { code: "unavailable", message: /nats-server -js/ };
      await assert.rejects(bus.kv("b", { ttlMs: 60_000 }).get("a"), error);
      const watch = bus.kv("watched", { ttlMs: 60_000 }).watch("a");
      // Long enough for a first attempt to fail.
      await sleep(100);
      await server.takeAway();
      await until("the bus is lost", () => bus.state === "reconnecting");
      server.giveJetstream();
      await server.bringBack();
      await until("the bus is back", () => bus.state === "connected");
      const other = await opened(t, server);
      await until("the bucket is usable", () => puts(other, "watched", "x"));
      assert.equal(text((await take(watch, 1))[0]?.value ?? null), "x");
    });
  });

  describe("NATS credentials", () => {
    const operator = new NatsOperator();
    let server: NatsServer;
    let folder: string;
    let buses: OpenBuses;
    before(async () => {
      server = await NatsServer.start(program, { configuration: operator.configuration, jetstream: false });
      folder = mkdtempSync(join(tmpdir(), "moesaic-credentials-"));
    });
    afterEach(() => buses?.close());
    after(async () => {
      await server.end();
      rmSync(folder, { recursive: true, force: true });
    });

    function withCredentials(content: string): { credentialsFile: string; connect: () => Promise<Bus> } {
      const credentialsFile = join(folder, freshName("user"));
      writeFileSync(credentialsFile, content);
      const connect = (): Promise<Bus> => openBus({ url: server.url, credentialsFile, clientName: "test" }, log);
      buses = new OpenBuses({ connect });
      return { credentialsFile, connect: () => buses.open() };
    }

    it("come from a file", async () => {
      const bus = await withCredentials(operator.credentials()).connect();
      const messages = bus.subscribe("a");
      bus.publish("a", bytes("x"));
      await take(messages, 1);
    });

    it("that are missing or of somebody else are refused at once, with the file to look at", async () => {
      const refused = { code: "failed_precondition", message: /credentials file/ };
      const without = { url: server.url, credentialsFile: null, clientName: "test" };
      await assert.rejects(connectNatsBus(without, log), refused);
      await assert.rejects(withCredentials(new NatsOperator().credentials()).connect(), refused);
    });

    it("are read again after an outage, so that they can be renewed", async () => {
      const { credentialsFile, connect } = withCredentials(operator.credentials());
      const bus = await connect();
      await server.takeAway();
      await until("the bus is lost", () => bus.state === "reconnecting");
      writeFileSync(credentialsFile, new NatsOperator().credentials());
      await server.bringBack();
      await sleep(400);
      assert.equal(bus.state, "reconnecting", "the server should have refused the wrong ones");
      writeFileSync(credentialsFile, operator.credentials());
      await until("the bus is back", () => bus.state === "connected", 10_000);
      unlinkSync(credentialsFile);
      await server.takeAway();
      await until("the bus is lost", () => bus.state === "reconnecting");
      await server.bringBack();
      await until("the bus is back with those it had", () => bus.state === "connected", 10_000);
    });

    it("that do not allow a subject end its subscription with an error", async () => {
      const bus = await withCredentials(operator.credentials({ deny: ["secret.>"] })).connect();
      await assert.rejects(take(bus.subscribe("secret.a"), 1), { code: "failed_precondition", message: /secret\.a/ });
      assert.equal(bus.state, "connected");
    });
  });
}

interface TestScope {
  after: (end: () => Promise<void>) => void;
}

async function started(t: TestScope, ...how: Parameters<typeof NatsServer.start>): Promise<NatsServer> {
  const server = await NatsServer.start(...how);
  t.after(() => server.end());
  return server;
}

/** Closed before its server ends, since hooks run in the order of their registration. */
async function opened(t: TestScope, server: NatsServer): Promise<Bus> {
  const bus = await server.connect();
  t.after(() => bus.close());
  return bus;
}

function puts(bus: Bus, bucket: string, value: string): Promise<boolean> {
  return bus
    .kv(bucket, { ttlMs: 60_000 })
    .put("a", bytes(value))
    .then(
      () => true,
      () => false,
    );
}

function publishUntilRefused(bus: Bus, subject: string): number {
  for (let numSent = 0; ; numSent += 1) {
    try {
      bus.publish(subject, PAYLOAD);
    } catch (caught) {
      assert.equal((caught as { code?: unknown }).code, "resource_exhausted");
      return numSent;
    }
  }
}

function publishes(bus: Bus, subject: string): boolean {
  try {
    bus.publish(subject, PAYLOAD);
    return true;
  } catch {
    return false;
  }
}

const PAYLOAD = new Uint8Array(16 * 1024);
