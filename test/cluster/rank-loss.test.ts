import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterStatus } from "../../client/index.js";
import { eventually } from "../e2e/moesaic.js";
import { QuestionLoad } from "./question-load.js";
import { checkAnswer, RealCluster, statusOf, withClient } from "./real-cluster.js";

/** For processes to start and load on a busy machine, milliseconds. */
const START_MS = 45_000;
const NUM_CLIENTS = 4;

describe("a cluster of launched workers", { concurrency: 2 }, () => {
  it("goes on with every stream when any rank is killed, and leaves no process behind", async (test) => {
    const workers = [{ host: "localhost", ranks: 2, threads: 1 }];
    const cluster = new RealCluster(test, { spec: { workers } });
    const coordinator = await cluster.coordinator();
    coordinator.start();
    await cluster.formed(coordinator, [], START_MS);
    const load = new QuestionLoad(coordinator.endpoint, NUM_CLIENTS);
    for (const rank of [1, 0]) {
      const before = load.numTokens;
      await eventually("streams run", () => load.numTokens > before + 20, START_MS);
      const victim = pidsOf(await statusOf(coordinator))[rank]!;
      process.kill(victim, "SIGKILL");
      const isReplaced = ({ state, replicas }: ClusterStatus): boolean =>
        state === "ready" && !pidsOf({ replicas }).includes(victim);
      await eventually("another is there", async () => isReplaced(await statusOf(coordinator)), START_MS);
    }
    await load.stop();
    assert.ok(load.numAnswered >= NUM_CLIENTS, `${load.numAnswered} answers`);
    const { replicas } = await statusOf(coordinator);
    const family = [coordinator.pid!, ...pidsOf({ replicas })];
    assert.deepEqual(
      cluster.pids(),
      family.toSorted((a, b) => a - b),
      "of the killed nothing is left",
    );
    assert.deepEqual(await coordinator.end("SIGTERM"), [0, null]);
    assert.deepEqual(cluster.pids(), [], "its workers left with it");
  });

  it("leaves no worker behind when it is killed itself", async (test) => {
    const workers = [{ host: "localhost", ranks: 2, threads: 1 }];
    const cluster = new RealCluster(test, { spec: { workers, engine: { numBlocks: 1_024, leaseMs: 1_000 } } });
    const coordinator = await cluster.coordinator();
    coordinator.start();
    await cluster.formed(coordinator, [], START_MS);
    assert.equal(cluster.pids().length, 3);
    await coordinator.end("SIGKILL");
    await eventually("their lease ran out, and its workers left", () => cluster.pids().length === 0);
  });
});

describe("two replicas of two ranks", () => {
  it("share the load, and one serves while a rank of the other is lost", async (test) => {
    const cluster = new RealCluster(test, { spec: { replicas: 2, workers: [{ host: "any", ranks: 4, threads: 1 }] } });
    const coordinator = await cluster.coordinator();
    const workers = [0, 1, 2, 3].map((index) => cluster.worker(`worker ${index}`, coordinator));
    for (const daemon of [coordinator, ...workers]) daemon.start();
    await cluster.formed(coordinator, workers, START_MS);
    const load = new QuestionLoad(coordinator.endpoint, NUM_CLIENTS);
    await eventually(
      "both work",
      async () => outputsOf(await statusOf(coordinator)).every((num) => num > 20),
      START_MS,
    );

    const victim = pidsOf({ replicas: (await statusOf(coordinator)).replicas.slice(1) })[1];
    const lost = workers.find(({ pid }) => pid === victim)!;
    await lost.end("SIGKILL");
    await eventually("its replica is missed", async () => statesOf(await statusOf(coordinator))[1] !== "ready");
    const { numAnswered } = load;
    await eventually("the other answers", () => load.numAnswered > numAnswered + NUM_CLIENTS, START_MS);
    await withClient(coordinator, (client) => checkAnswer(client));
    const alone = await statusOf(coordinator);
    assert.deepEqual([alone.state, statesOf(alone)[0]], ["ready", "ready"]);
    assert.notEqual(statesOf(alone)[1], "ready");

    lost.start();
    await cluster.formed(coordinator, workers, START_MS);
    const [, before] = outputsOf(await statusOf(coordinator));
    await eventually("it works again", async () => outputsOf(await statusOf(coordinator))[1]! > before! + 20, START_MS);
    await load.stop();
  });
});

function pidsOf({ replicas }: Pick<ClusterStatus, "replicas">): number[] {
  return replicas.flatMap(({ ranks }) => ranks.map(({ pid }) => pid));
}

function statesOf({ replicas }: ClusterStatus): string[] {
  return replicas.map(({ state }) => state);
}

/** Tokens that each replica has answered with. */
function outputsOf({ replicas }: ClusterStatus): number[] {
  return replicas.map(({ scheduler }) => scheduler?.numOutputTokens ?? 0);
}
