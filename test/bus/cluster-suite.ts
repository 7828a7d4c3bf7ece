import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventPublisher, subscribeEvents } from "../../coordinator/bus/events.js";
import { CoordinatorLease } from "../../coordinator/bus/lease.js";
import { announceCoordinator, discoverCoordinator } from "../../proto/bus/discovery.js";
import { silentLogger } from "../../proto/log.js";
import { bytes, describeBuses, freshName, take, until, type BusFixture } from "./bus-fixture.js";

const log = silentLogger;

/** What coordinators and workers do over a bus, whichever it is. */
export function describeCluster(name: string, start: () => Promise<BusFixture>): void {
  describeBuses(`Cluster over the bus: ${name}`, start, (buses) => {
    describe("discovery", () => {
      it("finds the coordinator of a cluster by its name, before or after it came", async () => {
        const [coordinator, worker] = [await buses.open(), await buses.open()];
        const [mine, other] = [announcement(freshName("c")), announcement(freshName("c"))];
        const early = discoverCoordinator(worker, mine.clusterName, 10_000);
        const announced = [mine, other].map((one) => announceCoordinator(coordinator, one, { log }));
        assert.deepEqual(await early, mine);
        assert.deepEqual(await discoverCoordinator(worker, other.clusterName, 10_000), other);
        await Promise.all(announced.map((one) => one.stop()));
      });

      it("says what to look at when none is announced, also after one has left", async () => {
        const bus = await buses.open();
        const mine = announcement(freshName("c"));
        const announced = announceCoordinator(bus, mine, { log });
        await discoverCoordinator(bus, mine.clusterName, 10_000);
        await announced.stop();
        await assert.rejects(discoverCoordinator(bus, mine.clusterName, 200), {
          code: "deadline_exceeded",
          message: new RegExp(`${mine.clusterName}.*metadata.name`),
        });
      });

      it("passes over what is no announcement", async () => {
        const bus = await buses.open();
        const mine = announcement(freshName("c"));
        const kv = bus.kv("moesaic_coordinators", { ttlMs: 15_000 });
        const found = discoverCoordinator(bus, mine.clusterName, 10_000);
        const wrong = ["", "{", "[]", "null", '{"cluster_name":1}', `{"cluster_name":"${mine.clusterName}"}`];
        for (const value of wrong) await kv.put(mine.clusterName, bytes(value));
        const announced = announceCoordinator(bus, mine, { log });
        assert.deepEqual(await found, mine);
        await announced.stop();
      });

      it("leaves the announcement of a successor alone when the predecessor stops", async () => {
        const bus = await buses.open();
        const mine = announcement(freshName("c"));
        const successor = { ...mine, coordinatorId: "successor", grpcAddress: "10.0.0.2:50051" };
        const before = announceCoordinator(bus, mine, { log });
        await discoverCoordinator(bus, mine.clusterName, 10_000);
        const after = announceCoordinator(bus, successor, { log });
        const find = (): ReturnType<typeof discoverCoordinator> => discoverCoordinator(bus, mine.clusterName, 10_000);
        await until("the successor is found", async () => (await find()).coordinatorId === "successor");
        await before.stop();
        assert.deepEqual(await find(), successor);
        await after.stop();
      });

      it("refuses to announce what nobody could dial", async () => {
        const bus = await buses.open();
        const wrong = { ...announcement("demo"), grpcAddress: "nowhere" };
        assert.throws(() => announceCoordinator(bus, wrong, { log }), {
          code: "invalid_argument",
          message: /announcement\.grpcAddress: expected HOST:PORT/,
        });
      });
    });

    describe("the coordinator lease", () => {
      it("has one holder, and when it is given back the next has a higher fencing token", async () => {
        const clusterName = freshName("c");
        const [first, second] = [
          new CoordinatorLease(await buses.open(), { clusterName, holderId: "a", ttlMs: 5000, log }),
          new CoordinatorLease(await buses.open(), { clusterName, holderId: "b", ttlMs: 5000, log }),
        ];
        const token = await first.tryAcquire();
        assert.ok(token !== null);
        assert.equal(first.token, token);
        assert.equal(await second.tryAcquire(), null);
        assert.equal(second.token, null);
        await first.release();
        assert.equal(first.token, null);
        const next = await second.acquire(5000);
        assert.ok(next > token, `${next} after ${token}`);
        await second.release();
      });

      it("is renewed beyond its time, and had by another once its holder is gone", async () => {
        const clusterName = freshName("c");
        const [bus, other] = [await buses.open(), await buses.open()];
        const first = new CoordinatorLease(bus, { clusterName, holderId: "a", ttlMs: 800, log });
        const second = new CoordinatorLease(other, { clusterName, holderId: "b", ttlMs: 800, log });
        const token = await first.acquire(5000);
        await assert.rejects(second.acquire(1600), { code: "deadline_exceeded", message: /another coordinator/ });
        assert.equal(first.token, token);
        const losses: string[] = [];
        first.onLost((loss) => losses.push(loss));
        await bus.close();
        const next = await second.acquire(5000);
        assert.ok(next > token);
        assert.deepEqual(losses, ["expired"], "the first holder noticed before the second began");
        assert.equal(first.token, null);
        await second.release();
      });

      it("is lost at the next renewal when somebody took the key", async () => {
        const clusterName = freshName("c");
        const bus = await buses.open();
        const lease = new CoordinatorLease(bus, { clusterName, holderId: "a", ttlMs: 2000, log });
        const lost = new Promise((resolve) => lease.onLost(resolve));
        await lease.acquire(5000);
        await bus.kv(`moesaic_lease_${clusterName}`, { ttlMs: 2000 }).put(clusterName, bytes("{}"));
        assert.equal(await lost, "taken");
        assert.equal(lease.token, null);
      });
    });

    describe("events", () => {
      it("reach who listens to the cluster, in order and with their teller", async () => {
        const clusterName = freshName("c");
        const [coordinator, listener] = [await buses.open(), await buses.open()];
        const events = subscribeEvents(listener, clusterName);
        await listener.flush(5000);
        const now = (): Date => new Date("2025-01-02T03:04:05.678Z");
        const publisher = new EventPublisher(coordinator, { clusterName, coordinatorId: "c1" }, { log, now });
        const rank = { replicaId: 0, epoch: 3, rank: 1, hostId: "box" };
        publisher.publish({ name: "coordinator_started", grpcAddress: "h:1", version: "0.1.0" });
        publisher.publish({ name: "rank_attached", ...rank });
        coordinator.publish(`moesaic.${clusterName}.events.rank_lost`, bytes(`{"prompt":"secret"}`));
        publisher.publish({ name: "rank_lost", ...rank, phase: "serving", code: "unavailable" });
        const records = await take(events, 3);
        assert.deepEqual(records[2], {
          clusterName,
          coordinatorId: "c1",
          sequence: 3,
          at: "2025-01-02T03:04:05.678Z",
          event: {
            name: "rank_lost",
            replicaId: 0,
            epoch: 3,
            rank: 1,
            hostId: "box",
            phase: "serving",
            code: "unavailable",
          },
        });
        assert.deepEqual(
          records.map(({ event }) => event.name),
          ["coordinator_started", "rank_attached", "rank_lost"],
        );
        assert.equal(events.numMalformed, 1);
        events.unsubscribe();
      });

      it("have no room for text, and never stop who tells them", async () => {
        const bus = await buses.open();
        const publisher = new EventPublisher(bus, { clusterName: "demo", coordinatorId: "c1" }, { log });
        const withText = { name: "draining", numRunning: 1, numWaiting: 0, prompt: "secret" } as const;
        assert.throws(() => publisher.publish(withText), { code: "invalid_argument" });
        await bus.close();
        publisher.publish({ name: "draining", numRunning: 1, numWaiting: 0 });
        assert.equal(publisher.numLost, 1);
      });
    });
  });
}

function announcement(clusterName: string) {
  return { clusterName, coordinatorId: "first", grpcAddress: "10.0.0.1:50051", version: "0.1.0" };
}
