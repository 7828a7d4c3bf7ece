import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManualClock } from "../clock.js";
import { losingAnswers } from "../../test/bus/lost-answers.js";
import { silentLogger } from "../log.js";
import type { KeyValue } from "./bus.js";
import { EmbeddedBroker } from "./embedded-bus.js";
import { KeptKey, type KeptKeyOptions } from "./kept-key.js";

const TTL_MS = 3000;
const INTERVAL_MS = 1000;

describe("KeptKey", () => {
  it("lives as long as it is kept, and no longer", async () => {
    const { kv, keep, advance } = world();
    const kept = keep("mine");
    for (let index = 0; index < 10; index += 1) {
      await advance(INTERVAL_MS);
      assert.equal(await valueOf(kv), "mine");
    }
    await kept.stop();
    assert.equal(await valueOf(kv), null);
    await advance(10 * TTL_MS);
    assert.equal(await valueOf(kv), null);
  });

  it("is written again when it expired during an outage", async () => {
    const { broker, kv, keep, advance } = world();
    const kept = keep("mine");
    await advance(0);
    broker.stop();
    await advance(2 * TTL_MS);
    broker.start();
    await advance(0);
    assert.equal(await valueOf(kv), "mine", "at once, not at the next interval");
    await kept.stop();
  });

  it("is written once more when the bus comes back while it is being written", async () => {
    const { broker, kv, keep, advance } = world();
    broker.stop();
    const kept = keep("mine");
    broker.start();
    await advance(0);
    assert.equal(await valueOf(kv), "mine");
    await kept.stop();
  });

  it("is taken back from another who wrote it", async () => {
    const { kv, keep, advance } = world();
    const others: string[] = [];
    const kept = keep("mine", ({ value }) => others.push(Buffer.from(value).toString()));
    await advance(0);
    await kv.put("k", Buffer.from("theirs"));
    await advance(INTERVAL_MS);
    assert.equal(await valueOf(kv), "mine");
    assert.deepEqual(others, ["theirs"]);
    await kept.stop();
  });

  it("knows its own write whose answer was lost", async () => {
    const { kv, keep, advance, loseAnswers } = world();
    const others: string[] = [];
    const kept = keep("mine", ({ value }) => others.push(Buffer.from(value).toString()));
    await advance(0);
    loseAnswers(true);
    await advance(INTERVAL_MS);
    loseAnswers(false);
    await advance(INTERVAL_MS);
    assert.deepEqual(others, []);
    await kept.stop();
    assert.equal(await valueOf(kv), null);
  });
});

function world() {
  const clock = new ManualClock();
  const broker = new EmbeddedBroker(clock);
  const bus = broker.connect();
  const kv = bus.kv("b", { ttlMs: TTL_MS });
  let isLosing = false;
  const loseAnswers = (isOn: boolean): void => void (isLosing = isOn);
  const deaf = losingAnswers(kv, () => isLosing);
  const keep = (value: string, onOther: KeptKeyOptions["onOther"] = () => {}): KeptKey =>
    new KeptKey({
      bus,
      kv: deaf,
      key: "k",
      value: Buffer.from(value),
      intervalMs: INTERVAL_MS,
      clock,
      log: silentLogger,
      onOther,
    });
  const advance = async (ms: number): Promise<void> => {
    await turn();
    clock.advance(ms);
    await turn();
  };
  return { clock, broker, kv, keep, advance, loseAnswers };
}

async function valueOf(kv: KeyValue): Promise<string | null> {
  const entry = await kv.get("k");
  return entry === null ? null : Buffer.from(entry.value).toString();
}
