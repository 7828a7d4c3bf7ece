import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import type { JobStore } from "../../coordinator/jobs/job-store.js";
import { v1 } from "../../proto/messages.js";
import { ManualClock } from "../../proto/clock.js";
import { until } from "../bus/bus-fixture.js";
import { openStore, resultOf, submission, watched, type JobLogFixture } from "./job-log-fixture.js";

/** What every store of jobs promises, wherever it keeps them. */
export function describeJobStore(name: string, start: () => Promise<JobLogFixture>): void {
  describe(`JobStore: ${name}`, () => {
    let fixture: JobLogFixture;
    let numJobs = 0;
    before(async () => {
      fixture = await start();
    });
    after(() => fixture.end());
    const freshId = (): string => `job-${(numJobs += 1)}`;
    const open = async (test: TestContext) => openStore(test, await fixture.open());
    /** The store as a coordinator finds it that comes after one that was killed. */
    const reopened = async (test: TestContext, use: (store: JobStore) => Promise<void>): Promise<JobStore> => {
      const log = await fixture.open();
      await use(await openStore(test, log));
      await fixture.abandon(log);
      return open(test);
    };

    it("keeps a job with its requests and results over the death of its coordinator", async (test) => {
      const jobId = freshId();
      const store = await reopened(test, async (first) => {
        await first.submit(submission({ jobId, prompts: ["a", "b", "c"] }));
        await first.finish(jobId, 1, resultOf(11));
      });
      const job = store.get(jobId);
      assert.deepEqual([job.state, job.num_requests, job.num_finished], ["running", 3, 1]);
      assert.equal((await store.request(jobId, 2)).prompt, "c");
      assert.equal((await store.result(jobId, 1))![1]!.delta!.token_ids![0], 11);
      assert.equal(await store.result(jobId, 0), null);
      await store.delete(jobId);
    });

    it("takes the first result of a request, and no second, before and after a restart", async (test) => {
      const jobId = freshId();
      const store = await reopened(test, async (first) => {
        await first.submit(submission({ jobId, prompts: ["a"] }));
        await first.finish(jobId, 0, resultOf(1));
        await first.finish(jobId, 0, resultOf(2));
      });
      await store.finish(jobId, 0, resultOf(3));
      assert.deepEqual(await watched(store, jobId), ["0:1"]);
      assert.deepEqual([store.get(jobId).num_finished, store.get(jobId).num_output_tokens], [1, 1]);
      await store.delete(jobId);
    });

    it("takes a job in several Submits, and runs it when the last is there", async (test) => {
      const jobId = freshId();
      const store = await reopened(test, async (first) => {
        const job = await first.submit(submission({ jobId, prompts: ["a", "b"], hasMore: true }));
        assert.deepEqual([job.state, [...first.runnable()].length], ["submitting", 0]);
      });
      await store.submit(submission({ jobId, prompts: ["c"], firstIndex: 2 }));
      assert.deepEqual([store.get(jobId).num_requests, store.get(jobId).state], [3, "waiting"]);
      assert.deepEqual(await Promise.all([0, 1, 2].map(async (index) => (await store.request(jobId, index)).prompt)), [
        "a",
        "b",
        "c",
      ]);
      await store.delete(jobId);
    });

    it("takes the same requests again, however they are cut, and no others", async (test) => {
      const jobId = freshId();
      const store = await open(test);
      await store.submit(submission({ jobId, prompts: ["a", "b"], hasMore: true }));
      await store.submit(submission({ jobId, prompts: ["b", "c", "d"], firstIndex: 1 }));
      for (const same of [
        { prompts: ["a", "b", "c", "d"] },
        { prompts: ["a"], hasMore: true },
        { prompts: ["d"], firstIndex: 3 },
      ]) {
        assert.equal((await store.submit(submission({ jobId, ...same }))).num_requests, 4);
      }
      for (const other of [
        { prompts: ["a", "x"], hasMore: true },
        { prompts: ["a", "b", "c"] },
        { prompts: ["a", "b", "c", "d", "e"] },
        { prompts: ["e"], firstIndex: 4 },
        { prompts: ["f"], firstIndex: 5 },
      ]) {
        const refused = store.submit(submission({ jobId, ...other }));
        await assert.rejects(refused, { code: "failed_precondition" }, JSON.stringify(other));
      }
      await store.delete(jobId);
    });

    it("lets one of two that submit other requests under one id at once have it", async (test) => {
      const jobId = freshId();
      const store = await open(test);
      const both = await Promise.allSettled(
        ["a", "b"].map((prompt) => store.submit(submission({ jobId, prompts: [prompt] }))),
      );
      assert.deepEqual(both.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
      await store.delete(jobId);
    });

    it("shows results in the order of requests, those that are there and those that come, from any of them on", async (test) => {
      const jobId = freshId();
      const store = await open(test);
      await store.submit(submission({ jobId, prompts: ["a", "b", "c", "d"] }));
      await store.finish(jobId, 2, resultOf(12));
      await store.finish(jobId, 0, resultOf(10));
      const all = watched(store, jobId);
      const last = watched(store, jobId, 2);
      await store.finish(jobId, 3, resultOf(13));
      await store.finish(jobId, 1, resultOf(11));
      assert.deepEqual(await all, ["0:10", "1:11", "2:12", "3:13"]);
      assert.deepEqual(await last, ["2:12", "3:13"]);
      assert.equal(store.get(jobId).state, "finished");
      assert.deepEqual(await watched(store, jobId, 4), []);
      await assert.rejects(watched(store, jobId, 5), { code: "invalid_argument", place: "first_index" });
      await store.delete(jobId);
    });

    it("ends a watch that is aborted, and one of a job that is deleted", async (test) => {
      const jobId = freshId();
      const store = await open(test);
      await store.submit(submission({ jobId, prompts: ["a"] }));
      const aborter = new AbortController();
      const aborted = watched(store, jobId, 0, 1, aborter);
      aborter.abort();
      assert.deepEqual(await aborted, []);
      const deleted = watched(store, jobId);
      await store.delete(jobId);
      await assert.rejects(deleted, { code: "not_found" });
    });

    it("ends what a cancelled job had not computed, keeps what it had, and takes no more, also after a restart", async (test) => {
      const jobId = freshId();
      const store = await reopened(test, async (first) => {
        await first.submit(submission({ jobId, prompts: ["a", "b"] }));
        await first.finish(jobId, 0, resultOf(10));
        assert.equal((await first.cancel(jobId)).state, "cancelled");
        await first.finish(jobId, 1, resultOf(11));
      });
      assert.deepEqual(await watched(store, jobId), ["0:10", "1:cancelled"]);
      assert.equal((await store.cancel(jobId)).state, "cancelled");
      assert.deepEqual([...store.runnable()], []);
      await store.delete(jobId);
    });

    it("forgets a deleted job for good, and its id can be used again", async (test) => {
      const jobId = freshId();
      const store = await reopened(test, async (first) => {
        await first.submit(submission({ jobId, prompts: ["a"] }));
        await first.delete(jobId);
        assert.throws(() => first.get(jobId), { code: "not_found" });
        await first.submit(submission({ jobId, prompts: ["other"] }));
      });
      assert.equal((await store.request(jobId, 0)).prompt, "other");
      await store.delete(jobId);
    });

    it("keeps results larger than a message of a bus", async (test) => {
      const jobId = freshId();
      const large = resultOf(1);
      large.events[1]!.delta!.text = [{ kind: v1.TextDelta.Kind.RAW, text: "x".repeat(3_000_000) }];
      const store = await reopened(test, async (first) => {
        await first.submit(submission({ jobId, prompts: ["a"] }));
        await first.finish(jobId, 0, large);
      });
      assert.equal((await store.result(jobId, 0))![1]!.delta!.text![0]!.text!.length, 3_000_000);
      await store.delete(jobId);
    });

    it("lists jobs by pages, oldest first", async (test) => {
      let unixMs = Date.now();
      const store = await openStore(test, await fixture.open(), { unixMs: () => (unixMs += 1) });
      const ids = [freshId(), freshId(), freshId()];
      for (const jobId of ids) await store.submit(submission({ jobId, prompts: ["a"] }));
      const page = store.list(2, "");
      const next = store.list(2, page.next_page_token!);
      assert.deepEqual(
        [page, next].map(({ jobs }) => jobs!.map(({ job_id }) => job_id)),
        [ids.slice(0, 2), ids.slice(2)],
      );
      assert.equal(next.next_page_token, "");
      for (const jobId of ids) await store.delete(jobId);
    });

    it("drops jobs after their retention, and none that is to be run", async (test) => {
      const [over, unfinished, halfSent] = [freshId(), freshId(), freshId()];
      let unixMs = Date.now();
      const clock = new ManualClock();
      const options = { retentionMs: 1_000, unixMs: () => unixMs, clock };
      const store = await openStore(test, await fixture.open(), options);
      await store.submit(submission({ jobId: over, prompts: ["a"] }));
      await store.finish(over, 0, resultOf(1));
      await store.submit(submission({ jobId: unfinished, prompts: ["a"] }));
      await store.submit(submission({ jobId: halfSent, prompts: ["a"], hasMore: true }));
      unixMs += 2_000;
      clock.advance(60_000);
      const kept = (): (string | null | undefined)[] => store.list(0, "").jobs!.map(({ job_id }) => job_id);
      await until("the other two are dropped", () => kept().length === 1);
      assert.deepEqual(kept(), [unfinished]);
      await store.delete(unfinished);
    });

    it("refuses what there is no room for, leaves room for results, and has room again after a delete", async (test) => {
      const store = await openStore(test, await fixture.open(), { maxBytes: 60_000 });
      const [jobId, other] = [freshId(), freshId()];
      await store.submit(submission({ jobId, prompts: ["x".repeat(25_000)] }));
      const full = store.submit(submission({ jobId: other, prompts: ["y".repeat(10_000)] }));
      await assert.rejects(full, { code: "resource_exhausted", message: /spec\.jobs\.maxBytes/ });
      await store.finish(jobId, 0, resultOf(1));
      await store.delete(jobId);
      await store.submit(submission({ jobId: other, prompts: ["y".repeat(10_000)] }));
      await store.delete(other);
    });

    it("refuses submissions that are none", async (test) => {
      const store = await open(test);
      const wrong = { code: "invalid_argument" };
      for (const jobId of ["a b", "a/b", "..", "a.b", "x".repeat(129), "ä"]) {
        await assert.rejects(store.submit(submission({ jobId, prompts: ["a"] })), wrong, jobId);
      }
      for (const bad of [
        { prompts: [] },
        { prompts: [""] },
        { prompts: ["a"], firstIndex: -1 },
        { prompts: ["x".repeat(1_000_000)] },
        { prompts: Array<string>(6).fill("x".repeat(800_000)) },
        { prompts: ["a"], firstIndex: 1_000_000 },
      ]) {
        await assert.rejects(store.submit(submission({ jobId: "bad", ...bad })), wrong);
      }
      await assert.rejects(store.submit(submission({ jobId: "", prompts: ["a"], hasMore: true })), wrong);
      const { job_id: made } = await store.submit(submission({ jobId: "", prompts: ["a"] }));
      await store.delete(made!);
      for (const field of [{ resumable: true }, { resume_after_offset: 3 }]) {
        const asking = submission({ jobId: "bad", prompts: ["a"] });
        Object.assign(asking.requests[0]!, field);
        const place = `requests[0].${Object.keys(field)[0]}`;
        await assert.rejects(store.submit(asking), { code: "unimplemented", place });
      }
      assert.throws(() => store.get("never"), { code: "not_found" });
    });

    it("keeps jobs that are written at the same time apart", async (test) => {
      const ids = Array.from({ length: 8 }, freshId);
      const store = await reopened(test, async (first) => {
        const prompts = ["a", "b", "c", "d"];
        await Promise.all(ids.map((jobId) => first.submit(submission({ jobId, prompts }))));
        await Promise.all(
          ids.flatMap((jobId, job) =>
            prompts.map((_, index) => first.finish(jobId, index, resultOf(10 * job + index))),
          ),
        );
      });
      for (const [job, jobId] of ids.entries()) {
        const expected = [0, 1, 2, 3].map((index) => `${index}:${10 * job + index}`);
        assert.deepEqual(await watched(store, jobId), expected);
        await store.delete(jobId);
      }
    });
  });
}
