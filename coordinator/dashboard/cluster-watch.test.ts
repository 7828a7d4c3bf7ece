import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { Seat } from "../cluster/seat.js";
import type { StepObserver } from "../engine-loop.js";
import type { SchedulerStats } from "../scheduler/scheduler-stats.js";
import type { ClusterView } from "./cluster-view.js";
import { ClusterWatch, type ClusterWatchOptions } from "./cluster-watch.js";

type StepFacts = Parameters<StepObserver["stepFinished"]>[0];

const USE = { numTokens: 0, numHitTokens: 0 };
const STATS: SchedulerStats = {
  numRunning: 3,
  numWaiting: 1,
  numBlocksUsed: { full: 5, sliding: 2 },
  numBlocksTotal: 100,
  numBlocksFree: 93,
  numPreemptions: 0,
  numScheduledTokens: 0,
  prefixCache: { numBlocks: 0, first: USE, replay: USE },
};

/** A step of so many sequences that each sample a token, one of them at the end of a prompt of `numTokens` in all. */
function stepOf(numSequences: number, numTokens: number, durationMs: number): StepFacts {
  const step = { parts: Array.from({ length: numSequences }, () => ({})), size: { numTokens } };
  const result = { tokenIds: new Int32Array(numSequences), engineUs: 500 * durationMs };
  return { step, result, durationMs, numDecodes: numSequences - 1 } as unknown as StepFacts;
}

function watched(options: Partial<ClusterWatchOptions> = {}) {
  const clock = new ManualClock();
  const seats = [new Seat(0), new Seat(1)];
  const replicas = [{ replicaId: 0, replica: { epoch: 4, seats }, stats: () => STATS }];
  const watch = new ClusterWatch({
    replicas: () => replicas,
    status: () => ({ name: "test", state: "ready" }),
    newestJobs: () => [{ job_id: "a", num_requests: 2 }],
    model: { numLayers: 1, numExperts: 2 },
    clock,
    ...options,
  });
  watch.start();
  const heard: string[] = [];
  const observer = watch.stepsOf<StepObserver>(0, { stepFinished: () => heard.push("step") });
  return { clock, seats, watch, heard, observer };
}

/** Who reads views one at a time. */
function reader(watch: ClusterWatch, signal = new AbortController().signal) {
  const views = watch.watch(signal);
  return async (): Promise<ClusterView> => JSON.parse((await views.next()).value as string) as ClusterView;
}

describe("ClusterWatch", () => {
  it("tells what a second's steps were", async () => {
    const { clock, watch, heard, observer } = watched();
    const next = reader(watch);
    const first = await next();
    assert.equal(first.isWhole, true);
    assert.deepEqual(first.samples, []);
    observer.stepFinished(stepOf(2, 2, 10));
    observer.stepFinished(stepOf(4, 40, 30));
    watch.requestsOf({ firstToken: () => heard.push("first"), finished: () => {} }).firstToken(120);
    assert.deepEqual(heard, ["step", "step", "first"]);
    clock.advance(1_000);
    const view = await next();
    assert.equal(view.isWhole, false);
    const [sample] = view.samples;
    assert.deepEqual(sample!.ttft, { p50: 120, p95: 120 });
    // One gap of 10 ms, three of 30.
    assert.deepEqual(sample!.itl, { p50: 30, p95: 30 });
    assert.deepEqual(sample!.replicas, [
      {
        replicaId: 0,
        numRunning: 3,
        numWaiting: 1,
        outputRate: 6,
        prefillRate: 36,
        stepRate: 2,
        meanSequences: 3,
        meanTokens: 21,
        meanStepMs: 20,
        meanEngineMs: 10,
        blocks: { full: 5, sliding: 2, free: 93, total: 100 },
      },
    ]);
    clock.advance(1_000);
    const quiet = (await next()).samples[0]!;
    assert.equal(quiet.itl, null);
    assert.deepEqual(quiet.ttft, { p50: 120, p95: 120 });
    assert.equal(quiet.replicas[0]!.meanStepMs, 0);
  });

  it("has the protocol's messages with all of their fields", async () => {
    const { status, jobs } = await reader(watched().watch)();
    assert.equal(status.protocol_version, 0);
    assert.deepEqual(status.replicas, []);
    assert.equal(jobs![0]!.num_failed, 0);
    const keepsNone = watched({
      newestJobs: () => {
        throw new MoesaicError("failed_precondition", "no jobs are kept");
      },
    });
    assert.equal((await reader(keepsNone.watch)()).jobs, null);
  });

  it("remembers five minutes for who comes later, and what happened", async () => {
    const { clock, watch } = watched();
    watch.happened({ name: "draining", numRunning: 1, numWaiting: 2 });
    clock.advance(400_000);
    const { samples, events, atMs } = await reader(watch)();
    assert.equal(samples.length, 300);
    assert.ok(Math.abs(samples.at(-1)!.atMs - atMs) < 1);
    assert.deepEqual(
      events.map(({ event }) => event.name),
      ["draining"],
    );
  });

  it("gives one who was too slow for a sample all of it again", async () => {
    const { clock, watch } = watched();
    const next = reader(watch);
    await next();
    clock.advance(3_000);
    const view = await next();
    assert.equal(view.isWhole, true);
    assert.equal(view.samples.length, 3);
  });

  it("sends what each rank has told of its steps and experts, and an epoch's begin", async () => {
    const { clock, watch, seats } = watched();
    const next = reader(watch);
    assert.deepEqual((await next()).experts, []);
    const progress = (stepIds: number[], expertTokens: number[]) => ({
      counter: 1,
      expert_tokens: expertTokens,
      steps: stepIds.map((stepId) => ({ step_id: stepId, ended_us_ago: 0, engine_us: 2_000, collective_us: 500 })),
    });
    clock.advance(500);
    seats[0]!.progressed(progress([7, 8], [3, 1]), clock.nowMs());
    seats[1]!.progressed(progress([7], [0, 9]), clock.nowMs());
    clock.advance(500);
    const view = await next();
    assert.deepEqual(view.experts, [
      { replicaId: 0, epoch: 4, numLayers: 1, numExperts: 2, numTokens: [3, 9], numRecentTokens: [3, 9] },
    ]);
    assert.deepEqual(
      view.timelines.map(({ rank, steps }) => [rank, ...steps.map(({ stepId }) => stepId)]),
      [
        [0, 7, 8],
        [1, 7],
      ],
    );
    const [step] = view.timelines[0]!.steps;
    assert.ok(Math.abs(step!.endMs - step!.beginMs - 2) < 1e-3 && step!.collectiveMs === 0.5);
    seats[0]!.progressed(progress([9], [3, 1]), clock.nowMs());
    clock.advance(1_000);
    assert.deepEqual(
      (await next()).timelines[0]!.steps.map(({ stepId }) => stepId),
      [9],
    );
    for (const seat of seats) seat.beginEpoch(clock.nowMs());
    clock.advance(1_000);
    const anew = await next();
    assert.deepEqual(anew.experts, []);
    assert.deepEqual(
      anew.timelines.flatMap(({ steps }) => steps),
      [],
    );
  });

  it("ends its watchers with itself and with them, and refuses the 65th", async () => {
    const { watch } = watched();
    const aborter = new AbortController();
    const views = Array.from({ length: 64 }, () => watch.watch(aborter.signal));
    await Promise.all(views.map((one) => one.next()));
    await assert.rejects(watch.watch(aborter.signal).next(), /64 dashboards are open already/);
    const waiting = views[0]!.next();
    aborter.abort();
    assert.equal((await waiting).done, true);
    await Promise.all(views.slice(1).map((one) => one.next()));
    const later = watch.watch(new AbortController().signal);
    await later.next();
    const last = later.next();
    watch.close();
    assert.equal((await last).done, true);
  });
});
