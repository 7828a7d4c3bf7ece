import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MAX_PAYLOAD_BYTES, MAX_VALUE_BYTES, type KvChange, type KvEntry } from "../../proto/bus/bus.js";
import { bytes, describeBuses, freshName, take, text, until, type BusFixture } from "./bus-fixture.js";

/** What every bus promises, and each must keep in the same way. */
export function describeBus(name: string, start: () => Promise<BusFixture>): void {
  describeBuses(`Bus: ${name}`, start, (buses) => {
    describe("messages", () => {
      it("reach all whose pattern fits, in the order in which they were published", async () => {
        const [bus, other] = [await buses.open(), await buses.open()];
        const root = freshName("m");
        const [one, any, all, none] = [`${root}.a.b`, `${root}.*.b`, `${root}.>`, `${root}.*`].map((pattern) =>
          other.subscribe(pattern),
        );
        await other.flush(5000);
        for (const token of ["a", "b", "c"]) bus.publish(`${root}.${token}.b`, bytes(token));
        bus.publish(`${root}.last`, bytes("last"));
        assert.deepEqual(await textsOf(one!, 1), ["a"]);
        assert.deepEqual(await textsOf(any!, 3), ["a", "b", "c"]);
        assert.deepEqual(await textsOf(all!, 4), ["a", "b", "c", "last"]);
        assert.deepEqual(await textsOf(none!, 1), ["last"]);
      });

      it("are copied, so that the publisher may use its buffer again", async () => {
        const bus = await buses.open();
        const subject = freshName("m");
        const messages = bus.subscribe(subject);
        const buffer = bytes("first");
        bus.publish(subject, buffer);
        buffer.fill(0x78);
        assert.deepEqual(await textsOf(messages, 1), ["first"]);
      });

      it("of a queue go to one of its members each", async () => {
        const bus = await buses.open();
        const subject = freshName("m");
        const members = [bus.subscribe(subject, { queue: "q" }), bus.subscribe(subject, { queue: "q" })];
        const outsider = bus.subscribe(subject);
        for (let index = 0; index < 64; index += 1) bus.publish(subject, bytes(String(index)));
        assert.equal((await take(outsider, 64)).length, 64);
        const seen: string[][] = await Promise.all(members.map((member) => restOf(member)));
        assert.deepEqual(
          seen.flat().toSorted((a, b) => Number(a) - Number(b)),
          Array.from({ length: 64 }, (_, index) => String(index)),
        );
        assert.ok(
          seen.every(({ length }) => length > 0),
          "one member had them all",
        );
      });

      it("that a slow reader leaves behind are dropped, the oldest first, and counted", async () => {
        const bus = await buses.open();
        const subject = freshName("m");
        const slow = bus.subscribe(subject, { maxQueued: 3 });
        const quick = bus.subscribe(subject);
        for (let index = 0; index < 10; index += 1) bus.publish(subject, bytes(String(index)));
        await take(quick, 10);
        assert.equal(slow.numDropped, 7);
        assert.deepEqual(await textsOf(slow, 3), ["7", "8", "9"]);
      });

      it("no longer come after the loop was left", async () => {
        const bus = await buses.open();
        const subject = freshName("m");
        const messages = bus.subscribe(subject);
        bus.publish(subject, bytes("only"));
        for await (const message of messages) {
          assert.equal(text(message.payload), "only");
          break;
        }
        await assert.rejects(bus.request(subject, bytes("?"), 1000), { code: "unavailable" });
      });

      it("of wrong shape are refused before they leave", async () => {
        const bus = await buses.open();
        const wrong = { code: "invalid_argument" };
        for (const subject of ["", ".", "a.", ".a", "a b", "a.*", "a.>", "$SYS.x", "a\r\nPUB", "a".repeat(257)]) {
          assert.throws(() => bus.publish(subject, bytes("")), wrong, subject);
        }
        for (const pattern of ["", ">.a", "a.>.b", "a*", "a..b", "$JS.>"]) {
          assert.throws(() => bus.subscribe(pattern), wrong, pattern);
        }
        assert.throws(() => bus.publish("a", new Uint8Array(MAX_PAYLOAD_BYTES + 1)), wrong);
        assert.throws(() => bus.subscribe("a", { queue: "a b" }), wrong);
        assert.throws(() => bus.subscribe("a", { maxQueued: 0 }), wrong);
        await assert.rejects(bus.request("a", bytes(""), 0), wrong);
      });

      it("may be as large as is allowed", async () => {
        const bus = await buses.open();
        const subject = freshName("m");
        const messages = bus.subscribe(subject);
        bus.publish(subject, new Uint8Array(MAX_PAYLOAD_BYTES).fill(7));
        const [message] = await take(messages, 1);
        assert.equal(message?.payload.byteLength, MAX_PAYLOAD_BYTES);
        assert.ok(message?.payload.every((byte) => byte === 7));
      });
    });

    describe("requests", () => {
      it("get the answer of who listens", async () => {
        const [bus, other] = [await buses.open(), await buses.open()];
        const subject = freshName("r");
        const questions = other.subscribe(subject);
        await other.flush(5000);
        const answers = Promise.all(["a", "b"].map((question) => bus.request(subject, bytes(question), 5000)));
        for (const { payload, respond } of await take(questions, 2)) {
          assert.ok(respond !== null);
          respond(bytes(`${text(payload)}!`));
          respond(bytes("twice"));
        }
        assert.deepEqual((await answers).map(text), ["a!", "b!"]);
      });

      it("fail at once when nobody listens, and in time when nobody answers", async () => {
        const bus = await buses.open();
        const subject = freshName("r");
        await assert.rejects(bus.request(subject, bytes("?"), 60_000), { code: "unavailable" });
        const silent = bus.subscribe(subject);
        await assert.rejects(bus.request(subject, bytes("?"), 50), { code: "deadline_exceeded" });
        silent.unsubscribe();
      });

      it("are told apart from messages", async () => {
        const bus = await buses.open();
        const subject = freshName("r");
        const messages = bus.subscribe(subject);
        bus.publish(subject, bytes("message"));
        const [message] = await take(messages, 1);
        assert.equal(message?.respond, null);
      });
    });

    describe("buckets", () => {
      it("keep the last value of a key, with revisions that rise", async () => {
        const kv = (await buses.open()).kv(freshName("b"), { ttlMs: 60_000 });
        assert.equal(await kv.get("a.b"), null);
        const first = await kv.put("a.b", bytes("1"));
        const second = await kv.put("a.c", bytes("2"));
        const third = await kv.put("a.b", bytes("3"));
        assert.ok(first < second && second < third, `${first}, ${second}, ${third}`);
        assert.deepEqual(shown(await kv.get("a.b")), { key: "a.b", value: "3", revision: third });
      });

      it("create only what is not there, and what was deleted", async () => {
        const kv = (await buses.open()).kv(freshName("b"), { ttlMs: 60_000 });
        const first = await kv.create("a", bytes("1"));
        assert.ok(first !== null);
        assert.equal(await kv.create("a", bytes("2")), null);
        assert.equal(await kv.delete("a"), true);
        assert.equal(await kv.get("a"), null);
        const second = await kv.create("a", bytes("3"));
        assert.ok(second !== null && second > first);
        assert.equal(text((await kv.get("a"))?.value ?? null), "3");
      });

      it("update and delete only the revision that was meant", async () => {
        const kv = (await buses.open()).kv(freshName("b"), { ttlMs: 60_000 });
        const first = await kv.put("a", bytes("1"));
        const second = await kv.update("a", bytes("2"), first);
        assert.ok(second !== null);
        assert.equal(await kv.update("a", bytes("3"), first), null);
        assert.equal(await kv.delete("a", first), false);
        assert.equal(text((await kv.get("a"))?.value ?? null), "2");
        assert.equal(await kv.delete("a", second), true);
        assert.equal(await kv.update("never", bytes("x"), 1), null);
      });

      it("let one of many win", async () => {
        const clients = await Promise.all(Array.from({ length: 8 }, () => buses.open()));
        const bucket = freshName("b");
        const kvs = clients.map((client) => client.kv(bucket, { ttlMs: 60_000 }));
        const won = await Promise.all(kvs.map((kv, index) => kv.create("a", bytes(String(index)))));
        assert.equal(won.filter((revision) => revision !== null).length, 1);
        const revision = won.find((one) => one !== null)!;
        const next = await Promise.all(kvs.map((kv, index) => kv.update("a", bytes(`next ${index}`), revision)));
        assert.equal(next.filter((one) => one !== null).length, 1);
      });

      // A server refuses all makers but one, or answers before the new bucket listens: the more buckets, the likelier.
      it("may be made by many at once", async () => {
        const clients = await Promise.all(Array.from({ length: 8 }, () => buses.open()));
        for (let round = 0; round < 60; round += 1) {
          const bucket = freshName("b");
          const kvs = clients.map((client) => client.kv(bucket, { ttlMs: 60_000 }));
          const writes = kvs.map((kv, index) =>
            index % 2 === 0 ? kv.put(`k${index}`, bytes("x")) : kv.create("a", bytes("x")),
          );
          const revisions = await Promise.all(writes);
          assert.equal(new Set(revisions.filter((revision) => revision !== null)).size, 5, bucket);
        }
      });

      it("forget an entry when its time is over, and not the revisions that were given", async () => {
        const kv = (await buses.open()).kv(freshName("b"), { ttlMs: 300 });
        const first = await kv.put("a", bytes("1"));
        const sinceMs = performance.now();
        await until("the entry is gone", async () => (await kv.get("a")) === null);
        assert.ok(performance.now() - sinceMs > 200, "gone too early");
        assert.equal(await kv.update("a", bytes("2"), first), null);
        const second = await kv.create("a", bytes("3"));
        assert.ok(second !== null && second > first, `${second} after ${first}`);
      });

      it("tell a watcher what is there and what changes", async () => {
        const bucket = freshName("b");
        const [kv, other] = [await buses.open(), await buses.open()].map((bus) => bus.kv(bucket, { ttlMs: 60_000 }));
        await kv!.put("x.a", bytes("1"));
        await kv!.put("y.a", bytes("other"));
        const watch = other!.watch("x.*");
        assert.deepEqual(changed(await take(watch, 1)), ["x.a=1"]);
        await kv!.put("x.b", bytes("2"));
        await kv!.put("y.a", bytes("other"));
        await kv!.delete("x.a");
        assert.deepEqual(changed(await take(watch, 2)), ["x.b=2", "x.a=null"]);
        watch.stop();
        await assert.rejects(take(watch, 1), /ended/);
      });

      it("refuse another lifetime than they were made with", async () => {
        const bucket = freshName("b");
        const [bus, other] = [await buses.open(), await buses.open()];
        await bus.kv(bucket, { ttlMs: 60_000 }).put("a", bytes("1"));
        const error = { code: "failed_precondition", message: /60000.*30000/ };
        const open = async (): Promise<unknown> => other.kv(bucket, { ttlMs: 30_000 }).get("a");
        await assert.rejects(open, error);
        await assert.rejects(take(other.kv(bucket, { ttlMs: 30_000 }).watch("a"), 1), error);
      });

      it("refuse wrong names, revisions and values", async () => {
        const bus = await buses.open();
        const wrong = { code: "invalid_argument" };
        const kv = bus.kv(freshName("b"), { ttlMs: 60_000 });
        for (const key of ["", "a b", "a.*", ">", "a/b"]) await assert.rejects(kv.get(key), wrong, key);
        for (const revision of [0, -1, 1.5, NaN]) await assert.rejects(kv.update("a", bytes(""), revision), wrong);
        await assert.rejects(kv.put("a", new Uint8Array(MAX_VALUE_BYTES + 1)), wrong);
        assert.throws(() => kv.watch("a.>.b"), wrong);
        for (const ttlMs of [0, 99, 1.5, 86_400_001]) assert.throws(() => bus.kv("b", { ttlMs }), wrong);
        assert.throws(() => bus.kv("a.b", { ttlMs: 60_000 }), wrong);
      });
    });

    describe("closing", () => {
      it("sends what was published, ends all loops, and is final", async () => {
        const [bus, other] = [await buses.open(), await buses.open()];
        const subject = freshName("c");
        const received = other.subscribe(subject);
        await other.flush(5000);
        const [messages, watch] = [bus.subscribe(subject), bus.kv(freshName("b"), { ttlMs: 60_000 }).watch("a")];
        const states: string[] = [];
        bus.onState((state) => states.push(state));
        bus.publish(subject, bytes("last"));
        await bus.close();
        await bus.close();
        assert.deepEqual(states, ["closed"]);
        assert.deepEqual(await textsOf(received, 1), ["last"]);
        assert.ok((await restOf(messages)).length <= 1);
        await assert.rejects(take(watch, 1), /ended/);
        const closed = { code: "failed_precondition" };
        assert.throws(() => bus.publish(subject, bytes("")), closed);
        assert.throws(() => bus.subscribe(subject), closed);
        await assert.rejects(bus.request(subject, bytes(""), 1000), closed);
        await assert.rejects(bus.flush(1000), closed);
      });
    });
  });
}

async function textsOf(messages: AsyncIterable<{ payload: Uint8Array }>, count: number): Promise<(string | null)[]> {
  return (await take(messages, count)).map(({ payload }) => text(payload));
}

/** What waits, after unsubscribing. */
async function restOf(messages: AsyncIterable<{ payload: Uint8Array }> & { unsubscribe(): void }): Promise<string[]> {
  messages.unsubscribe();
  const rest: string[] = [];
  for await (const { payload } of messages) rest.push(text(payload)!);
  return rest;
}

function shown(entry: KvEntry | null): object | null {
  return entry === null ? null : { ...entry, value: text(entry.value) };
}

function changed(changes: KvChange[]): string[] {
  return changes.map(({ key, value }) => `${key}=${text(value)}`);
}
