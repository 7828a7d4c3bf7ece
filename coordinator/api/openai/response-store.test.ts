import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../../proto/clock.js";
import type { ConversationItem } from "./conversation-item.js";
import { ResponseRun } from "./response-run.js";
import { ResponseStore, type KeptResponse } from "./response-store.js";

const text = (length: number): ConversationItem => ({
  type: "message",
  id: "m",
  role: "user",
  text: "x".repeat(length),
});

function response(id: string, items: ConversationItem[] = [], abort = () => {}): KeptResponse {
  const run = new ResponseRun({ head: { id }, wantsSummary: false, wantsLogprobs: false });
  return { run, tenant: "default", items, numInputItems: items.length, abort };
}

function stored(store: ResponseStore, ids: string[]): string[] {
  return ids.filter((id) => store.has(id));
}

describe("ResponseStore", () => {
  const limits = { maxEntries: 3, maxSize: 10_000, keepMs: 1_000 };

  it("lets the least recently used go when there are too many", () => {
    const store = new ResponseStore(new ManualClock(), limits);
    for (const id of ["a", "b", "c"]) store.keep(response(id));
    store.get("a", "default");
    store.keep(response("d"));
    assert.deepEqual(stored(store, ["a", "b", "c", "d"]), ["a", "c", "d"]);
  });

  it("lets them go when they are too long together, conversations counted", () => {
    const store = new ResponseStore(new ManualClock(), limits);
    store.keep(response("a", [text(6_000)]));
    store.keep(response("b", [text(6_000)]));
    assert.deepEqual(stored(store, ["a", "b"]), ["b"]);
    store.keep(response("c", [text(20_000)]));
    assert.deepEqual(stored(store, ["b", "c"]), [], "one that is larger than all of the room is not kept");
    store.keep(response("d"));
    assert.ok(store.has("d"));
  });

  it("forgets after a time, and never shows one tenant's to another", () => {
    const clock = new ManualClock();
    const store = new ResponseStore(clock, limits);
    store.keep(response("a"));
    assert.throws(() => store.get("a", "other"), { code: "not_found" });
    clock.advance(1_001);
    assert.throws(() => store.get("a", "default"), { code: "not_found" });
  });

  it("ends a response that is deleted while it runs", () => {
    const store = new ResponseStore(new ManualClock(), limits);
    let isAborted = false;
    store.keep(response("a", [], () => (isAborted = true)));
    store.delete("a", "default");
    assert.ok(isAborted && !store.has("a"));
  });
});
