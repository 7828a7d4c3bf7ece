import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MoesaicError } from "../errors.js";
import { BoundedQueue, MAX_QUEUED_BYTES } from "./bounded-queue.js";

interface Item {
  key: string;
  bytes?: number;
}

describe("BoundedQueue", () => {
  it("gives items in order, those that wait and those that come", async () => {
    const { queue, push } = queueOf({ maxQueued: 8 });
    push("a", "b");
    const reading = [queue.next(), queue.next(), queue.next()];
    push("c");
    assert.deepEqual(await keys(reading), ["a", "b", "c"]);
    assert.equal(queue.numDropped, 0);
  });

  it("drops the oldest when the reader is slow, and counts", async () => {
    const { queue, push } = queueOf({ maxQueued: 2 });
    push("a", "b", "c", "d");
    assert.equal(queue.numDropped, 2);
    assert.deepEqual(await keys([queue.next(), queue.next()]), ["c", "d"]);
  });

  it("keeps the latest of a key, in its place of arrival, when it was given keys", async () => {
    const { queue, push } = queueOf({ maxQueued: 2, keyOf: ({ key }) => key });
    push("a", "b", "a");
    assert.equal(queue.numDropped, 0);
    assert.deepEqual(await keys([queue.next(), queue.next()]), ["b", "a"]);
  });

  it("is bounded in bytes, and takes a single item of any size", async () => {
    const { queue } = queueOf({ maxQueued: 100 });
    const third = MAX_QUEUED_BYTES / 3;
    for (const key of ["a", "b", "c", "d"]) queue.push({ key, bytes: third });
    assert.equal(queue.numDropped, 1);
    queue.push({ key: "huge", bytes: 2 * MAX_QUEUED_BYTES });
    assert.equal(queue.numDropped, 4);
    assert.deepEqual(await keys([queue.next()]), ["huge"]);
    queue.push({ key: "e", bytes: MAX_QUEUED_BYTES });
    assert.equal(queue.numDropped, 4, "what was read no longer counts");
  });

  it("ends after what waits, and then takes nothing", async () => {
    const { queue, push, ends } = queueOf({ maxQueued: 8 });
    push("a");
    queue.end();
    queue.end();
    push("b");
    assert.deepEqual(await queue.next(), { done: false, value: { key: "a" } });
    assert.equal((await queue.next()).done, true);
    assert.equal(ends.length, 1);
  });

  it("throws the error it ended with once, to a reader that waits as well", async () => {
    const error = new MoesaicError("failed_precondition", "forbidden");
    const { queue } = queueOf({ maxQueued: 8 });
    const waiting = queue.next();
    queue.end(error);
    await assert.rejects(waiting, error);
    assert.equal((await queue.next()).done, true);
  });

  it("ends when the reader leaves its loop", async () => {
    const { queue, push, ends } = queueOf({ maxQueued: 8 });
    push("a", "b");
    for await (const { key } of queue) {
      assert.equal(key, "a");
      break;
    }
    assert.equal(ends.length, 1);
    assert.equal((await queue.next()).done, true);
  });
});

function queueOf(options: { maxQueued: number; keyOf?: (item: Item) => string }) {
  const ends: number[] = [];
  const queue = new BoundedQueue<Item>({ ...options, bytesOf: ({ bytes = 1 }) => bytes, onEnd: () => ends.push(1) });
  const push = (...items: string[]): void => {
    for (const key of items) queue.push({ key });
  };
  return { queue, push, ends };
}

async function keys(reading: Promise<IteratorResult<Item>>[]): Promise<(string | undefined)[]> {
  return (await Promise.all(reading)).map((result) => (result.done === true ? undefined : result.value.key));
}
