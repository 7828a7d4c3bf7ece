import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventQueue } from "./event-queue.js";

/** A round of the event loop, in which some turns are given. */
function round(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Everything that the queue gives, as it comes. */
function collected<T>(queue: EventQueue<T>): { events: T[]; ended: Promise<void> } {
  const events: T[] = [];
  const read = async (): Promise<void> => {
    for await (const event of queue) events.push(event);
  };
  return { events, ended: read() };
}

describe("EventQueue", () => {
  it("gives each event as it comes to a consumer that waits, joined or not", async () => {
    const queue = new EventQueue<number[]>(gathers);
    const { events, ended } = collected(queue);
    for (const value of [1, 2, 3]) {
      queue.push([value]);
      await round();
      await round();
    }
    assert.deepEqual(events, [[1], [2], [3]]);
    queue.close();
    await ended;
  });

  it("joins what comes before the consumer's turn", async () => {
    const queue = new EventQueue<number[]>(gathers);
    const { events, ended } = collected(queue);
    await Promise.resolve();
    for (const value of [1, 2, 3]) queue.push([value]);
    queue.close();
    await ended;
    assert.deepEqual(events, [[1, 2, 3]]);
  });

  it("joins what gathers while the consumer is busy, and keeps apart what cannot be joined", async () => {
    const queue = new EventQueue<string[]>((last, next) => last[0] === next[0] && gathers(last, next));
    const got: string[][] = [];
    for (const name of ["a", "b", "b", "a"]) queue.push([name]);
    for await (const event of queue) {
      got.push(event);
      if (got.length === 1) for (const name of ["a", "c"]) queue.push([name]);
      if (got.length === 4) queue.close();
    }
    assert.deepEqual(got, [["a"], ["b", "b"], ["a", "a"], ["c"]]);
  });

  it("ends with the error after what was queued", async () => {
    const queue = new EventQueue<number>();
    queue.push(1);
    queue.push(2);
    queue.close(new Error("it broke"));
    const { events, ended } = collected(queue);
    await assert.rejects(ended, /it broke/);
    assert.deepEqual(events, [1, 2]);
  });

  it("lets the event loop turn between some streams and the others, and serves beginners first", async () => {
    const queues = Array.from({ length: 200 }, () => new EventQueue<number[]>(gathers));
    const readers = queues.map((queue) => collected(queue));
    const numServed = (): number => readers.filter(({ events }) => events.length > 0).length;
    for (const queue of queues) queue.push([1]);
    while (numServed() === 0) await round();
    const first = numServed();
    assert.ok(first > 0 && first < 200, `${first} in the first round`);
    while (numServed() < 200) await round();
    // Now all have begun: those that write again wait behind one that has not.
    for (const queue of queues) queue.push([2]);
    const late = new EventQueue<number[]>(gathers);
    const beginner = collected(late);
    await Promise.resolve();
    late.push([1]);
    while (beginner.events.length === 0) await round();
    assert.ok(readers.filter(({ events }) => events.length > 1).length < 200);
    for (const queue of [...queues, late]) queue.close();
    await Promise.all([...readers, beginner].map(({ ended }) => ended));
    for (const { events } of readers) assert.deepEqual(events.flat(), [1, 2]);
  });
});

function gathers<T>(last: T[], next: T[]): boolean {
  last.push(...next);
  return true;
}
