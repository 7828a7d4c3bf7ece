import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseClusterSpec, type ClusterSpec } from "../../plans/cluster-spec.js";
import { numLocalRanks, rankProfileOf, threadsOfEach, threadsOfLocalRanks } from "./local-ranks.js";

function clusterOf(workers: object[]): ClusterSpec {
  const document = {
    apiVersion: "moesaic.dev/v1",
    kind: "Cluster",
    metadata: { name: "here" },
    spec: { model: "dummy:gpt-oss-20b:2", workers },
  };
  return parseClusterSpec(JSON.stringify(document), "cluster.yaml");
}

describe("threads of local ranks", () => {
  it("are an equal part of the cores, and as many as are written where they are", () => {
    const cluster = clusterOf([{ ranks: 2 }, { ranks: 1, threads: 5 }, { host: "far", ranks: 9, threads: 7 }]);
    assert.equal(numLocalRanks(cluster), 3);
    assert.deepEqual(threadsOfLocalRanks(cluster, 16), [5, 5, 5]);
    assert.deepEqual(threadsOfLocalRanks(cluster, 12), [4, 4, 5]);
  });

  it("are one at least, and all cores for a rank alone", () => {
    assert.deepEqual(threadsOfLocalRanks(clusterOf([{ ranks: 3 }]), 2), [1, 1, 1]);
    assert.deepEqual(threadsOfLocalRanks(clusterOf([{ ranks: 1 }]), 6), [6]);
    assert.equal(threadsOfEach(clusterOf([{ host: "far", ranks: 2 }]), 6), 6);
  });
});

describe("rankProfileOf", () => {
  it("is of shared memory where all ranks are of this machine, else of sockets", () => {
    assert.equal(rankProfileOf(clusterOf([{ ranks: 2 }])).transport, "shm");
    assert.equal(rankProfileOf(clusterOf([{ ranks: 1 }, { host: "far", ranks: 1 }])).transport, "tcp");
    assert.equal(rankProfileOf(clusterOf([{ host: "any", ranks: 2 }])).transport, "tcp");
  });
});
