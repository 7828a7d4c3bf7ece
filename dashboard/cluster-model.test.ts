import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterSample, ClusterView } from "../coordinator/dashboard/cluster-view.js";
import { mergeView, type ClusterModel } from "./cluster-model.js";

const sample = (atMs: number): ClusterSample => ({ atMs, ttft: null, itl: null, replicas: [] });
const step = (stepId: number) => ({ stepId, beginMs: 10 * stepId, endMs: 10 * stepId + 9, collectiveMs: 1 });

function view(changes: Partial<ClusterView>): ClusterView {
  const status = { name: "test", num_replicas: 1 };
  return {
    isWhole: false,
    atMs: 0,
    status,
    samples: [],
    timelines: [],
    experts: [],
    jobs: null,
    events: [],
    ...changes,
  };
}

function merged(...views: ClusterView[]): ClusterModel {
  return views.reduce<ClusterModel | null>((model, one) => mergeView(model, one), null)!;
}

describe("the cluster as the page knows it", () => {
  it("is what came first and what was new since", () => {
    const event = (atMs: number) => ({ atMs, event: { name: "draining" as const, numRunning: 0, numWaiting: 0 } });
    const timeline = (...steps: number[]) => [{ replicaId: 0, rank: 1, steps: steps.map(step) }];
    const model = merged(
      view({ isWhole: true, samples: [1, 2].map(sample), events: [1, 2].map(event), timelines: timeline(1, 2, 3) }),
      // A whole view is sent with what the next one has, too.
      view({ samples: [sample(3)], events: [2, 3].map(event), timelines: timeline(2, 3, 4) }),
    );
    assert.deepEqual(
      model.samples.map(({ atMs }) => atMs),
      [1, 2, 3],
    );
    assert.deepEqual(
      model.events.map(({ atMs }) => atMs),
      [3, 2, 1],
    );
    assert.deepEqual(
      model.timelines[0]!.steps.map(({ stepId }) => stepId),
      [1, 2, 3, 4],
    );
  });

  it("begins anew with a whole view, and has its bounds", () => {
    const model = merged(
      view({ isWhole: true, samples: [1, 2].map(sample) }),
      view({ isWhole: true, samples: Array.from({ length: 400 }, (_, index) => sample(index)) }),
    );
    assert.equal(model.samples.length, 300);
    assert.equal(model.samples[0]!.atMs, 100);
  });

  it("has the protocol's messages by the names of TypeScript", () => {
    const { status, jobs } = merged(view({ status: { name: "a", protocol_version: 2 }, jobs: [{ job_id: "j" }] }));
    assert.equal(status.protocolVersion, 2);
    assert.equal(jobs![0]!.jobId, "j");
  });
});
