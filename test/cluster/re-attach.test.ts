import assert from "node:assert/strict";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import type { ClusterStatus } from "../../client/index.js";
import { MoesaicError } from "../../proto/errors.js";
import { eventually } from "../e2e/moesaic.js";
import type { Daemon } from "./daemon.js";
import { QuestionLoad } from "./question-load.js";
import { checkAnswer, RealCluster, statusOf, withClient, type RealCoordinator } from "./real-cluster.js";

/** For processes to start and load on a busy machine, milliseconds. */
const START_MS = 45_000;
const NUM_CLIENTS = 4;
const ONE_RANK = { kind: "ShardingPlan", worldSize: 1 };

describe("a rank that loses its coordinator", { concurrency: 2 }, () => {
  it("goes on in its epoch when only the connection broke, and no stream loses or repeats a token", async (test) => {
    const cluster = new RealCluster(test);
    const coordinator = await cluster.coordinator();
    const wires = await Promise.all([0, 1].map(() => Wire.to(test, coordinator.endpoint)));
    const workers = wires.map(({ endpoint }, index) => cluster.worker(`worker ${index}`, { endpoint }));
    for (const daemon of [coordinator, ...workers]) daemon.start();
    await cluster.formed(coordinator, workers, START_MS);
    const before = ranksOf(await statusOf(coordinator));
    const load = new QuestionLoad(coordinator.endpoint, NUM_CLIENTS);
    for (let round = 0; round < 6; round += 1) {
      const { numTokens } = load;
      await eventually("streams run", () => load.numTokens > numTokens + 20, START_MS);
      // Whichever of them is the lead: each is cut, then both at once.
      for (const wire of round < 4 ? [wires[round % 2]!] : wires) wire.cut();
    }
    const { numAnswered } = load;
    await eventually("answers come", () => load.numAnswered > numAnswered + NUM_CLIENTS, START_MS);
    await load.stop();
    assert.deepEqual(ranksOf(await statusOf(coordinator)), before, "the same epoch of the same processes");
    for (const worker of workers) assert.equal(numLoads(worker), 1);
  });

  for (const [what, launches] of [
    ["workers that came by themselves", false],
    ["workers that the coordinator launched", true],
  ] as const) {
    it(`is taken over, weights and all, by the next coordinator: ${what}`, async (test) => {
      const host = launches ? "localhost" : "any";
      const cluster = new RealCluster(test, { spec: { workers: [{ host, ranks: 2, threads: 1 }] } });
      const coordinator = await cluster.coordinator();
      const workers = launches ? [] : [0, 1].map((index) => cluster.worker(`worker ${index}`, coordinator));
      for (const daemon of [coordinator, ...workers]) daemon.start();
      await cluster.formed(coordinator, workers, START_MS);
      const before = ranksOf(await statusOf(coordinator));
      // Killed while it serves: the rows of those sequences must not be in the way of the next ones.
      const load = new QuestionLoad(coordinator.endpoint, NUM_CLIENTS);
      await eventually("a request runs", async () => numRunning(await statusOf(coordinator)) > 0, START_MS);
      await coordinator.end("SIGKILL");
      await assert.rejects(load.stop());
      coordinator.start();
      await cluster.formed(coordinator, workers, START_MS);
      assert.deepEqual(ranksOf(await statusOf(coordinator)), before, "the same epoch of the same processes");
      for (const worker of workers) assert.equal(numLoads(worker), 1);
      assert.equal(cluster.pids().length, 3, "no worker was launched that found no place");
      if (launches) await replacesLaunched(cluster, coordinator);
    });
  }

  it("ends when nobody came for it within its lease", async (test) => {
    const cluster = new RealCluster(test, { spec: { engine: { numBlocks: 1_024, leaseMs: 1_000 } } });
    const coordinator = await cluster.coordinator();
    const workers = [0, 1].map((index) => cluster.worker(`worker ${index}`, coordinator));
    for (const daemon of [coordinator, ...workers]) daemon.start();
    await cluster.formed(coordinator, workers, START_MS);
    const pids = workers.map(({ pid }) => pid);
    await coordinator.end("SIGKILL");
    await eventually("they ended", () => workers.every(({ pid }, index) => pid !== pids[index]));
    for (const { log } of workers) assert.match(log, /no coordinator took the rank in again within its lease/);
  });
});

describe("a worker that nobody launched", () => {
  it("is missed at once when it is killed, and its successor gets its seat at once", async (test) => {
    const cluster = new RealCluster(test, { spec: { plan: ONE_RANK, workers: [{ host: "any", threads: 1 }] } });
    const coordinator = await cluster.coordinator();
    const worker = cluster.worker("worker", coordinator);
    for (const daemon of [coordinator, worker]) daemon.start();
    await cluster.formed(coordinator, [worker], START_MS);
    await worker.end("SIGKILL");
    const killedMs = performance.now();
    const error = await withClient(coordinator, (client) => checkAnswer(client)).then(
      () => assert.fail("nobody can have answered"),
      (caught: unknown) => MoesaicError.from(caught),
    );
    assert.equal(error.code, "unavailable");
    assert.match(error.message, /rank 0 of .* is away: .*; it has 5000 ms to come back/);
    assert.ok(performance.now() - killedMs < 3_000);
    worker.start();
    await cluster.formed(coordinator, [worker], START_MS);
  });
});

/** A TCP connection to the coordinator that can be cut as a network does it: both ends hear of it, and may connect again. */
class Wire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(test: TestContext, endpoint: string): Promise<Wire> {
    const [host, port] = endpoint.split(":") as [string, string];
    const server = createServer((near) => {
      const far = connect(Number(port), host);
      wire.#join(near, far);
    });
    const wire = new Wire(server);
    test.after(() => wire.#close());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return wire;
  }

  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }

  #close(): void {
    this.#server.close();
    this.cut();
  }
}

/** The place of a rank that was taken over and then lost is a launched worker's again. */
async function replacesLaunched(cluster: RealCluster, coordinator: RealCoordinator): Promise<void> {
  const victim = ranksOf(await statusOf(coordinator))[1]!.pid;
  process.kill(victim, "SIGKILL");
  const pids = (status: ClusterStatus) => ranksOf(status).map(({ pid }) => pid);
  await eventually("another is there", async () => !pids(await statusOf(coordinator)).includes(victim), START_MS);
  await cluster.formed(coordinator, [], START_MS);
}

function ranksOf({ replicas }: ClusterStatus): { epoch: number; rank: number; pid: number }[] {
  return replicas.flatMap(({ epoch, ranks }) => ranks.map(({ rank, pid }) => ({ epoch, rank, pid })));
}

function numRunning({ replicas }: ClusterStatus): number {
  return replicas[0]?.scheduler?.numRunning ?? 0;
}

function numLoads({ log }: Daemon): number {
  return log.split("weights loaded").length - 1;
}
