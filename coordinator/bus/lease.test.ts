import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Bus } from "../../proto/bus/bus.js";
import { EmbeddedBroker } from "../../proto/bus/embedded-bus.js";
import { ManualClock } from "../../proto/clock.js";
import { silentLogger } from "../../proto/log.js";
import { losingAnswers } from "../../test/bus/lost-answers.js";
import { CoordinatorLease } from "./lease.js";

const TTL_MS = 10_000;

describe("CoordinatorLease", () => {
  it("is held through many renewals, with one token", async () => {
    const { lease, advance } = world();
    const token = await lease("a").tryAcquire();
    const held = lease("a");
    assert.ok(token !== null);
    for (let index = 0; index < 20; index += 1) {
      await advance(2500);
      assert.equal(held.token, token, `after ${(index + 1) * 2500} ms`);
    }
  });

  it("is given up by its holder before another can have it, to the millisecond", async () => {
    const { broker, lease, other, losses, advance } = world();
    await lease("a").acquire(1000);
    await advance(2500);
    // Renewed at 2500 for the last time: lost for the holder at 10500, free for others at 12500.
    broker.stop();
    await advance(7999);
    assert.notEqual(lease("a").token, null);
    await advance(1);
    assert.equal(lease("a").token, null);
    assert.deepEqual(losses, ["expired"]);
    broker.start();
    assert.equal(await other("b").tryAcquire(), null);
    await advance(1999);
    assert.equal(await other("b").tryAcquire(), null);
    await advance(1);
    assert.notEqual(await other("b").tryAcquire(), null);
  });

  it("is not held by the clock even where the timer that says so comes late", async () => {
    const { broker, clock, lease } = world();
    let seenByEarlierTimer: number | null = -1;
    clock.setTimer(8000, () => (seenByEarlierTimer = lease("a").token));
    await lease("a").acquire(1000);
    broker.stop();
    clock.advance(8000);
    assert.equal(seenByEarlierTimer, null);
  });

  it("goes on when the answer to a renewal was lost", async () => {
    const { lease, losses, advance, loseAnswers } = world();
    const token = await lease("a").acquire(1000);
    loseAnswers(1);
    for (let index = 0; index < 30; index += 1) await advance(625);
    assert.equal(lease("a").token, token);
    assert.deepEqual(losses, []);
  });

  it("is lost in time when every answer is lost, though the server keeps it alive", async () => {
    const { lease, other, losses, advance, loseAnswers } = world();
    await lease("a").acquire(1000);
    loseAnswers(Infinity);
    for (let index = 0; index < 13; index += 1) await advance(625);
    assert.deepEqual(losses, ["expired"]);
    assert.equal(await other("b").tryAcquire(), null, "the server still counts the last write");
  });

  it("is had again at once by the same process, with a higher token", async () => {
    const { lease, advance, loseAnswers } = world();
    const token = await lease("a").acquire(1000);
    loseAnswers(Infinity);
    for (let index = 0; index < 13; index += 1) await advance(625);
    loseAnswers(0);
    const again = await lease("a").tryAcquire();
    assert.ok(again !== null && again > token, `${again} after ${token}`);
  });

  it("is waited for until it is free, or the time is over", async () => {
    const { lease, other, advance } = world();
    const token = await lease("a").acquire(1000);
    const late = assert.rejects(other("b").acquire(4000), { code: "deadline_exceeded" });
    for (let index = 0; index < 5; index += 1) await advance(1000);
    await late;
    const waiting = other("b").acquire(60_000);
    await advance(100);
    await lease("a").release();
    await advance(2500);
    assert.ok((await waiting) > token);
  });

  it("refuses a holder that the bus cannot name", () => {
    const { bus } = world();
    const wrong = { code: "invalid_argument" };
    assert.throws(() => new CoordinatorLease(bus, { clusterName: "A b", holderId: "a", log: silentLogger }), wrong);
    assert.throws(() => new CoordinatorLease(bus, { clusterName: "a", holderId: "", log: silentLogger }), wrong);
  });
});

function world() {
  const clock = new ManualClock();
  const broker = new EmbeddedBroker(clock);
  const losses: string[] = [];
  let numAnswersToLose = 0;
  const bus = forgetful(broker.connect(), () => numAnswersToLose-- > 0);
  const otherBus = broker.connect();
  const leases = new Map<string, CoordinatorLease>();
  const leaseOn = (on: Bus) => (holderId: string) => {
    const known = leases.get(holderId);
    if (known !== undefined) return known;
    const lease = new CoordinatorLease(on, { clusterName: "demo", holderId, ttlMs: TTL_MS, clock, log: silentLogger });
    lease.onLost((loss) => losses.push(loss));
    leases.set(holderId, lease);
    return lease;
  };
  const advance = async (ms: number): Promise<void> => {
    await turn();
    clock.advance(ms);
    await turn();
  };
  const loseAnswers = (count: number): void => void (numAnswersToLose = count);
  return { clock, broker, bus, losses, lease: leaseOn(bus), other: leaseOn(otherBus), advance, loseAnswers };
}

/** A bus on which updates happen while their answers may get lost. */
function forgetful(bus: Bus, loses: () => boolean): Bus {
  return {
    name: bus.name,
    state: bus.state,
    stats: bus.stats,
    onState: (listener) => bus.onState(listener),
    publish: (subject, payload) => bus.publish(subject, payload),
    subscribe: (pattern, options) => bus.subscribe(pattern, options),
    request: (subject, payload, timeoutMs) => bus.request(subject, payload, timeoutMs),
    kv: (bucket, options) => losingAnswers(bus.kv(bucket, options), loses),
    flush: (timeoutMs) => bus.flush(timeoutMs),
    close: () => bus.close(),
  };
}
