import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Bus, KeyValue } from "../../proto/bus/bus.js";
import { discoverCoordinator } from "../../proto/bus/discovery.js";
import { EmbeddedBroker } from "../../proto/bus/embedded-bus.js";
import { ManualClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { subscribeEvents } from "../bus/events.js";
import { BusPresence } from "./bus-presence.js";

const KEY = "demo";
const BUCKET = "moesaic_lease_demo";

function presencesOn(broker: EmbeddedBroker, clock: ManualClock, count: number): BusPresence[] {
  return Array.from({ length: count }, () => new BusPresence(broker.connect(), "demo", clock, silentLogger));
}

async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    await turn();
    clock.advance(500);
    await turn();
  }
}

describe("BusPresence", () => {
  it("makes a second coordinator of the cluster wait until the first has gone", async () => {
    const clock = new ManualClock();
    const [first, second] = presencesOn(new EmbeddedBroker(clock), clock, 2) as [BusPresence, BusPresence];
    assert.equal(await first.lead(() => assert.fail("the first waits for nobody")), true);
    let isStandby = false;
    let hasLead = false;
    const leading = second.lead(() => (isStandby = true)).then((leads) => (hasLead = leads));
    await pass(clock, 30_000);
    assert.deepEqual([isStandby, hasLead], [true, false]);
    await first.close();
    await pass(clock, 5_000);
    await leading;
    assert.equal(hasLead, true);
    await second.close();
  });

  it("ends the wait of a standby that is closed", async () => {
    const clock = new ManualClock();
    const [first, second] = presencesOn(new EmbeddedBroker(clock), clock, 2) as [BusPresence, BusPresence];
    await first.lead(() => {});
    const leading = second.lead(() => {});
    await pass(clock, 1_000);
    await second.close();
    await pass(clock, 5_000);
    assert.equal(await leading, false);
    await first.close();
  });

  it("lets workers find it, tells events, and shows the bus going away and coming back", async () => {
    const clock = new ManualClock();
    const broker = new EmbeddedBroker(clock);
    const [presence] = presencesOn(broker, clock, 1) as [BusPresence];
    const reader = broker.connect();
    const told = subscribeEvents(reader, "demo")[Symbol.asyncIterator]();
    await presence.lead(() => {});
    presence.announce("127.0.0.1:7", "0.1.0");
    assert.equal((await discoverCoordinator(reader, "demo", 1_000, clock)).grpcAddress, "127.0.0.1:7");
    const { value } = (await told.next()) as { value: { event: { name: string } } };
    assert.equal(value.event.name, "coordinator_started");
    const states: string[] = [];
    presence.onChange = () => states.push(presence.status.state);
    broker.stop();
    presence.tell({ name: "draining", numRunning: 1, numWaiting: 0 });
    broker.start();
    assert.deepEqual(states, ["reconnecting", "connected"]);
    await presence.close();
    await reader.close();
  });

  /** One coordinator that leads over a bus of its own, to be cut off, and what it was told. */
  async function leader(clock: ManualClock, broker: EmbeddedBroker) {
    const link = cuttable(broker.connect());
    const presence = new BusPresence(link.bus, "demo", clock, silentLogger);
    const deposed: MoesaicError[] = [];
    presence.onDeposed = (error) => deposed.push(error);
    assert.equal(await presence.lead(() => assert.fail("nobody else leads")), true);
    presence.announce("127.0.0.1:1", "0.1.0");
    return { link, presence, deposed };
  }

  it("is deposed once when another has the lease, and takes its announcement back", async () => {
    const clock = new ManualClock();
    const broker = new EmbeddedBroker(clock);
    const { presence, deposed } = await leader(clock, broker);
    const other = broker.connect();
    await turn();
    await other.kv(BUCKET, { ttlMs: 10_000 }).put(KEY, Buffer.from('{"holder_id":"other","term":1}'));
    await pass(clock, 3_000);
    assert.equal(deposed.length, 1);
    assert.equal(deposed[0]?.code, "unavailable");
    assert.match(deposed[0]?.message ?? "", /another coordinator of the cluster demo has the lease now/);
    assert.equal(await other.kv("moesaic_coordinators", { ttlMs: 15_000 }).get("demo"), null);
    await pass(clock, 30_000);
    assert.equal(deposed.length, 1);
    await presence.close();
  });

  it("serves on while the bus is away, and has the lease again when it is back and the lease is free", async () => {
    const clock = new ManualClock();
    const broker = new EmbeddedBroker(clock);
    const { presence, deposed } = await leader(clock, broker);
    broker.stop();
    await pass(clock, 40_000);
    broker.start();
    await pass(clock, 1_000);
    assert.deepEqual(deposed, []);
    const other = new BusPresence(broker.connect(), "demo", clock, silentLogger);
    let isStandby = false;
    const leading = other.lead(() => (isStandby = true));
    await pass(clock, 20_000);
    assert.equal(isStandby, true, "the lease is held again");
    await other.close();
    await pass(clock, 3_000);
    assert.equal(await leading, false);
    await presence.close();
  });

  it("goes before a standby after an outage that outlived its lease", async () => {
    const clock = new ManualClock();
    const broker = new EmbeddedBroker(clock);
    // It hears first of the bus coming back.
    const standby = new BusPresence(broker.connect(), "demo", clock, silentLogger);
    const { presence, deposed } = await leader(clock, broker);
    const leading = standby.lead(() => {});
    await pass(clock, 1_000);
    broker.stop();
    await pass(clock, 31_000);
    broker.start();
    await pass(clock, 20_000);
    assert.deepEqual(deposed, []);
    await standby.close();
    await pass(clock, 3_000);
    assert.equal(await leading, false);
    await presence.close();
  });

  it("is deposed when it comes back from an outage of its own, in which a standby took the lease", async () => {
    const clock = new ManualClock();
    const broker = new EmbeddedBroker(clock);
    const { link, presence, deposed } = await leader(clock, broker);
    const standby = new BusPresence(broker.connect(), "demo", clock, silentLogger);
    const leading = standby.lead(() => {});
    await turn();
    link.isCut = true;
    await pass(clock, 16_000);
    assert.equal(await leading, true);
    assert.deepEqual(deposed, [], "it knows nothing yet");
    link.isCut = false;
    await pass(clock, 3_000);
    assert.equal(deposed.length, 1);
    await Promise.all([presence.close(), standby.close()]);
  });

  it("keeps others from the lease though its server forgot the tokens that it gave", async () => {
    const clock = new ManualClock();
    const { link, presence, deposed } = await leader(clock, new EmbeddedBroker(clock));
    const forgetful = new EmbeddedBroker(clock);
    link.moveTo(forgetful.connect());
    await pass(clock, 12_000);
    assert.deepEqual(deposed, []);
    const other = new BusPresence(forgetful.connect(), "demo", clock, silentLogger);
    let isStandby = false;
    const leading = other.lead(() => (isStandby = true));
    await pass(clock, 15_000);
    assert.equal(isStandby, true);
    await other.close();
    await pass(clock, 3_000);
    assert.equal(await leading, false);
    await presence.close();
  });

  it("fences with the token of its lease, and not on the embedded bus", async () => {
    const clock = new ManualClock();
    const broker = new EmbeddedBroker(clock);
    const bus = broker.connect();
    const named = new Proxy(bus, {
      get: (target, key) => {
        if (key === "name") return "nats://bus:4222";
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const fenced = new BusPresence(named, "a", clock, silentLogger);
    const [unfenced] = presencesOn(broker, clock, 1) as [BusPresence];
    for (const presence of [fenced, unfenced]) {
      assert.equal(presence.fencingToken, 0);
      await presence.lead(() => {});
    }
    assert.ok(fenced.fencingToken > 0);
    assert.equal(unfenced.fencingToken, 0);
    await Promise.all([fenced.close(), unfenced.close()]);
  });
});

/** A bus whose keys cannot be reached while it is cut, though it says that it is connected, as in a partition. */
function cuttable(first: Bus) {
  let target = first;
  const link = {
    isCut: false,
    moveTo: (bus: Bus) => void (target = bus),
    bus: first,
  };
  const through = async <T>(operation: (bus: Bus) => Promise<T>): Promise<T> => {
    if (link.isCut) throw new MoesaicError("unavailable", "cut off");
    return operation(target);
  };
  const keyValue = (bucket: string, options: { ttlMs: number }): KeyValue => ({
    get: (key) => through((bus) => bus.kv(bucket, options).get(key)),
    put: (key, value) => through((bus) => bus.kv(bucket, options).put(key, value)),
    create: (key, value) => through((bus) => bus.kv(bucket, options).create(key, value)),
    update: (key, value, revision) => through((bus) => bus.kv(bucket, options).update(key, value, revision)),
    delete: (key, revision) => through((bus) => bus.kv(bucket, options).delete(key, revision)),
    watch: (pattern) => target.kv(bucket, options).watch(pattern),
  });
  link.bus = {
    name: first.name,
    state: "connected",
    stats: first.stats,
    onState: (listener) => first.onState(listener),
    publish: () => {},
    subscribe: (pattern, options) => first.subscribe(pattern, options),
    request: (subject, payload, timeoutMs) => first.request(subject, payload, timeoutMs),
    kv: keyValue,
    flush: (timeoutMs) => first.flush(timeoutMs),
    close: () => target.close(),
  };
  return link;
}
