import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../clock.js";
import { MAX_KEYS } from "./bus.js";
import { MAX_REQUESTS } from "./bus-errors.js";
import { EmbeddedBroker } from "./embedded-bus.js";

describe("EmbeddedBroker", () => {
  it("takes time from its clock alone", async () => {
    const { clock, bus } = opened();
    const kv = bus.kv("b", { ttlMs: 1000 });
    await kv.put("a", bytes("1"));
    clock.advance(999);
    assert.notEqual(await kv.get("a"), null);
    clock.advance(1);
    assert.equal(await kv.get("a"), null);
  });

  it("ends a request at its deadline to the millisecond", async () => {
    const { clock, bus } = opened();
    bus.subscribe("a");
    let failure: unknown = null;
    const request = bus.request("a", bytes("?"), 500).catch((caught: unknown) => (failure = caught));
    clock.advance(499);
    await Promise.resolve();
    assert.equal(failure, null);
    clock.advance(1);
    await request;
    assert.equal((failure as { code?: unknown } | null)?.code, "deadline_exceeded");
  });

  it("lets the members of a queue take turns, so that a run can be repeated", async () => {
    const run = async (): Promise<string[]> => {
      const { bus } = opened();
      const members = ["x", "y", "z"].map((name) => ({ name, messages: bus.subscribe("a", { queue: "q" }) }));
      for (let index = 0; index < 7; index += 1) bus.publish("a", bytes(String(index)));
      await bus.close();
      const seen: string[] = [];
      for (const { name, messages } of members) {
        for await (const { payload } of messages) seen.push(`${name}${Buffer.from(payload).toString()}`);
      }
      return seen;
    };
    assert.deepEqual(await run(), ["x0", "x3", "x6", "y1", "y4", "z2", "z5"]);
    assert.deepEqual(await run(), await run());
  });

  it("bounds the keys of a bucket, and has room again when some expire", async () => {
    const { clock, bus } = opened();
    const kv = bus.kv("b", { ttlMs: 1000 });
    for (let index = 0; index < MAX_KEYS; index += 1) await kv.put(`k${index}`, bytes(""));
    await assert.rejects(kv.put("more", bytes("")), { code: "resource_exhausted" });
    await kv.put("k0", bytes("written over"));
    clock.advance(1000);
    await kv.put("more", bytes(""));
  });

  it("bounds the requests that wait", async () => {
    const { bus } = opened();
    bus.subscribe("a");
    const waiting = Array.from({ length: MAX_REQUESTS }, () => bus.request("a", bytes("?"), 1000));
    await assert.rejects(bus.request("a", bytes("?"), 1000), { code: "resource_exhausted" });
    await bus.close();
    const ended = await Promise.allSettled(waiting);
    assert.ok(ended.every((one) => one.status === "rejected" && one.reason.code === "cancelled"));
  });

  it("gives a client that comes during an outage a bus that waits", async () => {
    const { broker, bus } = opened();
    broker.stop();
    const late = broker.connect();
    assert.deepEqual([bus.state, late.state], ["reconnecting", "reconnecting"]);
    const messages = bus.subscribe("a");
    late.publish("a", bytes("kept"));
    assert.equal(late.stats.numPublishesKept, 1);
    broker.start();
    assert.equal(late.stats.numPublishesKept, 0);
    for await (const { payload } of messages) {
      assert.equal(Buffer.from(payload).toString(), "kept");
      break;
    }
  });

  it("loses an answer that is given while it is stopped", async () => {
    const { broker, clock, bus } = opened();
    const questions = bus.subscribe("a");
    const request = bus.request("a", bytes("?"), 1000);
    for await (const { respond } of questions) {
      broker.stop();
      respond?.(bytes("lost"));
      break;
    }
    clock.advance(1000);
    await assert.rejects(request, { code: "deadline_exceeded" });
  });
});

function opened() {
  const clock = new ManualClock();
  const broker = new EmbeddedBroker(clock);
  return { clock, broker, bus: broker.connect() };
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}
