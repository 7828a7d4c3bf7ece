import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import type { JobLog } from "../../coordinator/jobs/job-log.js";
import { JobRoom } from "../../coordinator/jobs/job-room.js";
import { ObjectStore } from "../../coordinator/jobs/object-store.js";
import { ManualClock, systemClock, type Clock } from "../../proto/clock.js";
import { silentLogger } from "../../proto/log.js";
import type { v1 } from "../../proto/messages.js";
import { until } from "../bus/bus-fixture.js";
import type { JobLogFixture } from "./job-log-fixture.js";

/** What every store of objects promises, wherever it keeps them. */
export function describeObjectStore(name: string, start: () => Promise<JobLogFixture>): void {
  describe(`ObjectStore: ${name}`, () => {
    let fixture: JobLogFixture;
    before(async () => {
      fixture = await start();
    });
    after(() => fixture.end());
    const open = async (test: TestContext, options: OpenOptions = {}) => openStore(test, await fixture.open(), options);

    it("keeps content and document over the death of its coordinator, and drops content without a document", async (test) => {
      const log = await fixture.open();
      const first = await openStore(test, log);
      for (const part of ["one ", "two ", "three"]) await first.append("file-a", Buffer.from(part), true);
      await first.create("file-a", documentOf("t", 1));
      await first.append("file-half", Buffer.from("lost"), true);
      assert.equal(first.find("file-half", "file", "t"), null);
      await fixture.abandon(log);
      const second = await open(test);
      assert.equal(await contentOf(second, "file-a"), "one two three");
      assert.equal(second.find("file-a", "file", "t")!.file!.filename, "f1");
      assert.deepEqual(idsOf(second), ["file-a"]);
      const third = await open(test);
      assert.deepEqual(idsOf(third), ["file-a"]);
      await third.delete("file-a");
    });

    it("replaces a document, one change after another, and keeps the last", async (test) => {
      const first = await open(test);
      await first.create("file-b", documentOf("t", 1));
      const longer = (document: v1.KeptObject) => void (document.file!.filename += "x");
      await Promise.all(Array.from({ length: 5 }, () => first.update("file-b", longer)));
      const second = await open(test);
      assert.equal(second.find("file-b", "file", "t")!.file!.filename, "f1xxxxx");
      await second.delete("file-b");
      await assert.rejects(second.update("file-b", longer), { code: "not_found" });
    });

    it("shows a tenant its own, of the kind that it asks for, the oldest first", async (test) => {
      const store = await open(test);
      for (const [id, tenant, at] of [
        ["file-2", "a", 2],
        ["file-1", "a", 1],
        ["file-3", "b", 3],
      ] as const) {
        await store.create(id, documentOf(tenant, at));
      }
      assert.equal(store.find("file-3", "file", "a"), null);
      assert.equal(store.find("file-1", "batch", "a"), null);
      const later = await open(test);
      assert.deepEqual(
        later.list("file", "a").map(({ id }) => id),
        ["file-1", "file-2"],
      );
      for (const id of idsOf(later)) await later.delete(id);
    });

    it("drops what is out of date, unless somebody is not done with it", async (test) => {
      const clock = new ManualClock();
      let nowMs = 1_000;
      const store = await open(test, { clock, unixMs: () => nowMs });
      for (const id of ["file-a", "file-held"])
        await store.create(id, { ...documentOf("t", 1), expires_unix_ms: 5_000 });
      await store.create("file-kept", documentOf("t", 1));
      store.isHeld = (id) => id === "file-held";
      nowMs = 4_999;
      clock.runNext();
      assert.equal(idsOf(store).length, 3);
      nowMs = 5_000;
      clock.runNext();
      await until("one is dropped", () => idsOf(store).length === 2);
      assert.deepEqual(idsOf(store).toSorted(), ["file-held", "file-kept"]);
      for (const id of idsOf(store)) await store.delete(id);
    });

    it("refuses what is more than there is room for, and gives room back", async (test) => {
      const store = await open(test, { maxBytes: 200_000 });
      await store.append("file-a", Buffer.alloc(60_000), true);
      const full = { code: "resource_exhausted", message: /spec\.jobs\.maxBytes/ };
      await assert.rejects(store.append("file-a", Buffer.alloc(60_000), true), full);
      await store.append("file-a", Buffer.alloc(60_000), false);
      await store.abandon("file-a");
      await store.append("file-a", Buffer.alloc(60_000), true);
      await store.abandon("file-a");
      await assert.rejects(store.create("file-b", { file: { filename: "x".repeat(70_000) } }), {
        code: "resource_exhausted",
      });
      assert.deepEqual(idsOf(store), []);
    });
  });
}

interface OpenOptions {
  clock?: Clock;
  unixMs?: () => number;
  maxBytes?: number;
}

async function openStore(
  test: TestContext,
  log: JobLog,
  { clock = systemClock, unixMs = () => 1_000, maxBytes = 2 ** 30 }: OpenOptions = {},
): Promise<ObjectStore> {
  const store = await ObjectStore.open(log, { room: new JobRoom(maxBytes, [log]), clock, unixMs }, silentLogger);
  test.after(() => store.close());
  return store;
}

function documentOf(tenant: string, createdUnixMs: number): v1.KeptObject.$Properties {
  return {
    tenant,
    created_unix_ms: createdUnixMs,
    file: { filename: `f${createdUnixMs}`, purpose: "batch", num_bytes: 1 },
  };
}

function idsOf(store: ObjectStore): string[] {
  return store.list("file").map(({ id }) => id);
}

async function contentOf(store: ObjectStore, id: string): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of store.content(id)) parts.push(part);
  return Buffer.concat(parts).toString();
}
