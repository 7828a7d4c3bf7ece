import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CoordinatorLease } from "../../coordinator/bus/lease.js";
import type { Bus } from "../../proto/bus/bus.js";
import { announceCoordinator, discoverCoordinator } from "../../proto/bus/discovery.js";
import { MAX_KEPT_MESSAGES } from "../../proto/bus/publish-buffer.js";
import { silentLogger } from "../../proto/log.js";
import { bytes, freshName, OpenBuses, take, text, until, type BusFixture } from "./bus-fixture.js";

const log = silentLogger;

/** The server dies without a word and comes back, while everything is in use. */
export function describeOutages(name: string, start: () => Promise<BusFixture>): void {
  describe(`Bus outage: ${name}`, () => {
    let fixture: BusFixture;
    let buses: OpenBuses;
    let isAway = false;
    before(async () => (fixture = await start()));
    beforeEach(() => (buses = new OpenBuses(fixture)));
    afterEach(async () => {
      if (isAway) await comesBack();
      await buses.close();
    });
    after(() => fixture.end());

    async function goesAway(...affected: Bus[]): Promise<void> {
      isAway = true;
      await fixture.takeAway!();
      await until("the bus is lost", () => affected.every(({ state }) => state === "reconnecting"));
    }

    async function comesBack(...affected: Bus[]): Promise<void> {
      await fixture.bringBack!();
      isAway = false;
      await until("the bus is back", () => affected.every(({ state }) => state === "connected"), 15_000);
    }

    it("under load: what is published meanwhile arrives afterwards, in order, and nothing hangs", async () => {
      const [bus, other] = [await buses.open(), await buses.open()];
      const subject = freshName("load");
      const received: number[] = [];
      const receivedByOther: number[] = [];
      void collect(bus, subject, received);
      void collect(other, subject, receivedByOther);
      await Promise.all([bus.flush(5000), other.flush(5000)]);
      const load = new Load(bus, subject);
      await until("messages flow", () => received.length > 50 && receivedByOther.length > 50);

      await goesAway(bus, other);
      const firstKept = load.numPublished;
      await sleep(300);
      const numKept = bus.stats.numPublishesKept;
      assert.ok(numKept > 50, `${numKept} kept`);
      await comesBack(bus, other);
      const numAtReturn = receivedByOther.length;
      await until("messages flow again", () => receivedByOther.length > numAtReturn + 50);
      load.stop();
      await until("all have arrived", () => received.at(-1) === load.numPublished - 1);

      assert.deepEqual(load.failures, []);
      assert.equal(bus.stats.numPublishesKept, 0);
      assert.equal(bus.stats.numPublished, load.numPublished);
      const since = received.filter((number) => number >= firstKept);
      assert.deepEqual(
        since,
        Array.from({ length: load.numPublished - firstKept }, (_, index) => firstKept + index),
      );
      for (const numbers of [received, receivedByOther]) assert.ok(isRising(numbers), "in order, none twice");
    });

    it("keeps a bounded number of messages and refuses the next, so that the publisher knows", async () => {
      const bus = await buses.open();
      const subject = freshName("m");
      const messages = bus.subscribe(subject, { maxQueued: 2 * MAX_KEPT_MESSAGES });
      await goesAway(bus);
      for (let index = 0; index < MAX_KEPT_MESSAGES; index += 1) bus.publish(subject, bytes(String(index)));
      assert.throws(() => bus.publish(subject, bytes("one too many")), {
        code: "resource_exhausted",
        retryAfterMs: 1000,
      });
      assert.deepEqual(
        { ...bus.stats },
        { numPublished: MAX_KEPT_MESSAGES, numPublishesRefused: 1, numPublishesKept: MAX_KEPT_MESSAGES },
      );
      await comesBack(bus);
      bus.publish(subject, bytes("end"));
      const all = (await take(messages, MAX_KEPT_MESSAGES + 1)).map(({ payload }) => text(payload));
      assert.deepEqual([all[0], all.at(-2), all.at(-1)], ["0", String(MAX_KEPT_MESSAGES - 1), "end"]);
    });

    it("keeps a bounded number of bytes", async () => {
      const bus = await buses.open();
      await goesAway(bus);
      const large = new Uint8Array(1024 * 1024);
      for (let index = 0; index < 8; index += 1) bus.publish("large", large);
      assert.throws(() => bus.publish("large", bytes("x")), { code: "resource_exhausted" });
    });

    it("refuses at once what needs an answer, and takes it again afterwards", async () => {
      const bus = await buses.open();
      const kv = bus.kv(freshName("b"), { ttlMs: 60_000 });
      const revision = await kv.put("a", bytes("1"));
      const subject = freshName("r");
      void answer(bus, subject);
      await goesAway(bus);
      const sinceMs = performance.now();
      const away = { code: "unavailable", message: /away/ };
      await assert.rejects(bus.request(subject, bytes("?"), 60_000), away);
      await assert.rejects(kv.get("a"), away);
      await assert.rejects(kv.update("a", bytes("2"), revision), away);
      await assert.rejects(bus.flush(60_000), away);
      assert.ok(performance.now() - sinceMs < 500, "took its time");
      await comesBack(bus);
      await untilUsable(() => kv.get("a"));
      assert.equal(text((await kv.get("a"))?.value ?? null), "1");
      assert.equal(text(await bus.request(subject, bytes("?"), 5000)), "?!");
    });

    it("does not hide from a watcher what changed since", async () => {
      const [bus, other] = [await buses.open(), await buses.open()];
      const bucket = freshName("b");
      const kv = other.kv(bucket, { ttlMs: 60_000 });
      await kv.put("x.a", bytes("1"));
      const watch = bus.kv(bucket, { ttlMs: 60_000 }).watch("x.*");
      await take(watch, 1);
      await goesAway(bus, other);
      const lateWatch = bus.kv(bucket, { ttlMs: 60_000 }).watch("x.a");
      await comesBack(bus, other);
      await untilUsable(() => kv.put("x.b", bytes("2")));
      const seen = new Map<string, string | null>();
      for await (const { key, value } of watch) {
        seen.set(key, text(value));
        if (seen.has("x.b")) break;
      }
      assert.equal(seen.get("x.b"), "2");
      assert.equal(text((await take(lateWatch, 1))[0]?.value ?? null), "1");
    });

    it("costs the lease when it lasts, noticed in time, and the next fencing token is higher", async () => {
      const [bus, other] = [await buses.open(), await buses.open()];
      const clusterName = freshName("c");
      const leases = [bus, other].map(
        (one, index) => new CoordinatorLease(one, { clusterName, holderId: `h${index}`, ttlMs: 1000, log }),
      );
      const token = await leases[0]!.acquire(5000);
      const lostAtMs = new Promise<number>((resolve) => leases[0]!.onLost(() => resolve(performance.now())));
      const waiting = leases[1]!.acquire(20_000).then((next) => ({ next, atMs: performance.now() }));
      await goesAway(bus, other);
      await lostAtMs;
      assert.equal(leases[0]!.token, null);
      await comesBack(bus, other);
      const { next, atMs } = await waiting;
      assert.ok(next > token, `${next} after ${token}`);
      assert.ok((await lostAtMs) < atMs, "two holders at once");
      assert.equal(await leases[0]!.tryAcquire(), null);
      await leases[1]!.release();
      const again = await leases[0]!.acquire(5000);
      assert.ok(again > next, `${again} after ${next}`);
      await leases[0]!.release();
    });

    it("does not cost the lease when it is short", async () => {
      const bus = await buses.open();
      const lease = new CoordinatorLease(bus, { clusterName: freshName("c"), holderId: "h", ttlMs: 20_000, log });
      const losses: string[] = [];
      lease.onLost((loss) => losses.push(loss));
      const token = await lease.acquire(5000);
      await goesAway(bus);
      assert.equal(lease.token, token);
      await comesBack(bus);
      assert.deepEqual(losses, []);
      assert.equal(lease.token, token);
      await untilUsable(() => lease.release().then(() => lease.tryAcquire()));
      assert.ok(lease.token !== null && lease.token > token);
      await lease.release();
    });

    it("delays discovery until it is over", async () => {
      const [bus, other] = [await buses.open(), await buses.open()];
      const clusterName = freshName("c");
      await goesAway(bus, other);
      const mine = { clusterName, coordinatorId: "c", grpcAddress: "h:1", version: "0.1.0" };
      const announced = announceCoordinator(other, mine, { log });
      const found = discoverCoordinator(bus, clusterName, 20_000);
      await comesBack(bus, other);
      assert.deepEqual(await found, mine);
      await announced.stop();
    });

    it("does not keep a bus from closing", async () => {
      const bus = await buses.open();
      const watch = bus.kv(freshName("b"), { ttlMs: 60_000 }).watch("a");
      const messages = bus.subscribe("a");
      await goesAway(bus);
      bus.publish("a", bytes("lost"));
      const sinceMs = performance.now();
      await bus.close();
      assert.ok(performance.now() - sinceMs < 500, "took its time");
      await assert.rejects(take(watch, 1), /ended/);
      await assert.rejects(take(messages, 1), /ended/);
    });
  });
}

/** A number more under `subject` every other millisecond, until stopped. */
class Load {
  readonly failures: unknown[] = [];
  numPublished = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(bus: Bus, subject: string) {
    this.#timer = setInterval(() => {
      try {
        bus.publish(subject, bytes(String(this.numPublished)));
        this.numPublished += 1;
      } catch (caught) {
        this.failures.push(caught);
      }
    }, 2);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

async function collect(bus: Bus, subject: string, numbers: number[]): Promise<void> {
  for await (const { payload } of bus.subscribe(subject)) numbers.push(Number(text(payload)));
}

async function answer(bus: Bus, subject: string): Promise<void> {
  for await (const { payload, respond } of bus.subscribe(subject)) respond?.(bytes(`${text(payload)}!`));
}

function isRising(numbers: number[]): boolean {
  return numbers.every((number, index) => index === 0 || number > numbers[index - 1]!);
}

/** JetStream may need a moment after its server is there. */
async function untilUsable(use: () => Promise<unknown>): Promise<void> {
  let last: unknown;
  const works = async (): Promise<boolean> => {
    try {
      await use();
      return true;
    } catch (caught) {
      last = caught;
      return false;
    }
  };
  await until("JetStream is back", works, 10_000).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${String(last)}`);
  });
}
