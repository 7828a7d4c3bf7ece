import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../proto/clock.js";
import type { v1 } from "../../proto/messages.js";
import { EventQueue } from "./event-queue.js";
import { KeptRequests } from "./kept-requests.js";

type GenerateEvent = v1.GenerateEvent.$Properties;
const NEVER = new AbortController().signal;

describe("KeptRequests", () => {
  function setUp() {
    const clock = new ManualClock();
    const kept = new KeptRequests(clock);
    const runs: { events: EventQueue<GenerateEvent>; signal: AbortSignal }[] = [];
    const start = (requestId = "r", fingerprint = "f") => ({
      ...{ requestId, fingerprint, tenant: "t" },
      run: (signal: AbortSignal) => {
        const events = new EventQueue<GenerateEvent>();
        signal.addEventListener("abort", () => events.close());
        runs.push({ events, signal });
        return events;
      },
    });
    return { clock, kept, runs, start };
  }

  it("gives a cut reader the events after its offset, those that came meanwhile included", async () => {
    const { kept, runs, start } = setUp();
    const cut = new AbortController();
    const first = kept.read(start(), 0, cut.signal)[Symbol.asyncIterator]();
    const pending = first.next();
    for (const offset of [1, 2, 3]) runs[0]!.events.push({ offset });
    assert.equal((await pending).value.offset, 1);
    cut.abort();
    await first.next();
    const again = offsetsOf(kept.read(start(), 1, NEVER));
    runs[0]!.events.push({ offset: 4 });
    runs[0]!.events.close();
    assert.deepEqual(await again, [2, 3, 4]);
    assert.equal(runs.length, 1);
  });

  it("generates once what comes twice, while it runs and after its end", async () => {
    const { kept, runs, start } = setUp();
    const both = [offsetsOf(kept.read(start(), 0, NEVER)), offsetsOf(kept.read(start(), 0, NEVER))];
    runs[0]!.events.push({ offset: 1 });
    runs[0]!.events.close();
    assert.deepEqual(await Promise.all(both), [[1], [1]]);
    assert.deepEqual(await offsetsOf(kept.read(start(), 0, NEVER)), [1]);
    assert.equal(runs.length, 1);
  });

  it("refuses another request of the same id, and to resume what it does not know", () => {
    const { kept, runs, start } = setUp();
    kept.read(start(), 0, NEVER);
    assert.throws(() => kept.read(start("r", "other"), 0, NEVER), { code: "failed_precondition", place: "request_id" });
    assert.throws(() => kept.read(start("unknown"), 5, NEVER), { code: "not_found", place: "resume_after_offset" });
    kept.read({ ...start("r", "other"), tenant: "another" }, 0, NEVER);
    assert.equal(runs.length, 2);
  });

  it("ends a request that nobody reads for 30 s, and not one that is read again", async () => {
    const { clock, kept, runs, start } = setUp();
    const cut = new AbortController();
    const reading = offsetsOf(kept.read(start(), 0, cut.signal));
    cut.abort();
    await reading;
    clock.advance(29_000);
    const back = new AbortController();
    const again = offsetsOf(kept.read(start(), 0, back.signal));
    clock.advance(60_000);
    assert.ok(!runs[0]!.signal.aborted);
    back.abort();
    await again;
    clock.advance(30_000);
    assert.ok(runs[0]!.signal.aborted);
    assert.throws(() => kept.read(start(), 1, NEVER), { code: "not_found" });
  });

  it("forgets what ended a minute ago, and at once what failed or was cancelled", async () => {
    const { clock, kept, runs, start } = setUp();
    const reading = offsetsOf(kept.read(start(), 0, NEVER));
    runs[0]!.events.close();
    await reading;
    clock.advance(60_000);
    assert.equal(kept.cancel("t", "r"), false);
    const failing = offsetsOf(kept.read(start(), 0, NEVER));
    runs[1]!.events.close(new Error("full"));
    await assert.rejects(failing);
    const cancelled = offsetsOf(kept.read(start(), 0, NEVER));
    assert.equal(kept.cancel("t", "r"), true);
    assert.ok(runs[2]!.signal.aborted);
    assert.deepEqual(await cancelled, []);
  });

  it("keeps no more than its bound of requests that have ended, the last ones", async () => {
    const { kept, runs, start } = setUp();
    const started = { prompt_token_ids: Array.from({ length: 200_000 }, () => 1) };
    for (const [index, id] of ["a", "b", "c"].entries()) {
      const reading = offsetsOf(kept.read(start(id), 0, NEVER));
      runs[index]!.events.push({ offset: 1, started });
      runs[index]!.events.close();
      await reading;
    }
    assert.deepEqual(
      ["a", "b", "c"].map((id) => kept.cancel("t", id)),
      [false, true, true],
    );
  });
});

async function offsetsOf(events: AsyncIterable<GenerateEvent>): Promise<number[]> {
  const offsets: number[] = [];
  for await (const { offset } of events) offsets.push(Number(offset));
  return offsets;
}
