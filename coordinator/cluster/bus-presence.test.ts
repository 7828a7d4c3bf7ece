import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { discoverCoordinator } from "../../proto/bus/discovery.js";
import { EmbeddedBroker } from "../../proto/bus/embedded-bus.js";
import { ManualClock } from "../../proto/clock.js";
import { silentLogger } from "../../proto/log.js";
import { subscribeEvents } from "../bus/events.js";
import { BusPresence } from "./bus-presence.js";

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
});
