import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManualClock } from "../clock.js";
import { silentLogger } from "../log.js";
import { encodeRecord } from "./bus-record.js";
import { EmbeddedBroker } from "./embedded-bus.js";
import { offerSpare, SPARE_TTL_MS, spareBucket } from "./spare.js";

const OFFER = {
  clusterName: "demo",
  workerId: "w1",
  hostId: "box",
  device: "cpu",
  memoryBytesFree: 2 ** 30,
  version: "0.1.0",
} as const;
const CLAIM = { coordinatorId: "c1", grpcAddress: "10.0.0.1:50051" };

describe("offerSpare", () => {
  it("offers as long as the worker lives, and is forgotten after it died", async () => {
    const { bus, kv, offer, advance } = world();
    offer();
    for (let index = 0; index < 6; index += 1) {
      await advance(SPARE_TTL_MS / 3);
      assert.notEqual(await kv.get("demo.w1"), null);
    }
    await bus.close();
    await advance(SPARE_TTL_MS);
    assert.equal(await kv.get("demo.w1"), null);
  });

  it("offers no more once it was claimed", async () => {
    const { kv, offer, claim, advance } = world();
    const offered = offer();
    await advance(0);
    await claim();
    assert.deepEqual(await offered.claimed, CLAIM);
    for (let index = 0; index < 6; index += 1) {
      await advance(SPARE_TTL_MS / 3);
      assert.equal(await kv.get("demo.w1"), null);
    }
  });

  it("finds a claim that came while it was being withdrawn", async () => {
    const { offer, claim, advance } = world();
    const offered = offer();
    await advance(0);
    await Promise.all([claim(), offered.withdraw()]);
    assert.deepEqual(await offered.claimed, CLAIM);
  });

  it("is told that nobody came when the bus is closed", async () => {
    const { bus, offer, advance } = world();
    const offered = offer();
    await advance(0);
    await bus.close();
    assert.equal(await offered.claimed, null);
  });

  it("refuses to offer what nobody could claim", () => {
    const { bus, clock } = world();
    const wrong = { ...OFFER, memoryBytesFree: -1, workerId: "w 1" };
    assert.throws(() => offerSpare(bus, wrong, { clock, log: silentLogger }), {
      code: "invalid_argument",
      message: /offer\.workerId.*offer\.memoryBytesFree/,
    });
  });
});

function world() {
  const clock = new ManualClock();
  const broker = new EmbeddedBroker(clock);
  const bus = broker.connect();
  const kv = spareBucket(broker.connect());
  const advance = async (ms: number): Promise<void> => {
    await turn();
    clock.advance(ms);
    await turn();
  };
  const claim = async (): Promise<void> => {
    const entry = await kv.get("demo.w1");
    assert.ok(entry !== null);
    assert.notEqual(await kv.update(entry.key, encodeRecord({ ...OFFER, claim: CLAIM }), entry.revision), null);
  };
  return { clock, bus, kv, advance, claim, offer: () => offerSpare(bus, OFFER, { clock, log: silentLogger }) };
}
