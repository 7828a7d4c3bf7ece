import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "../proto/bus/bus.js";
import { announceCoordinator } from "../proto/bus/discovery.js";
import { EmbeddedBroker } from "../proto/bus/embedded-bus.js";
import { systemClock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { silentLogger } from "../proto/log.js";
import { v1 } from "../proto/messages.js";
import { serviceDefinition } from "../proto/rpc.js";
import type { World } from "./engine.js";
import { FakeEngineFactory, FakeWorld } from "./fake-world.js";
import { runWorker, type WorkerOptions } from "./worker.js";

type Stream = grpc.ServerDuplexStream<v1.FromRank, v1.ToRank.$Properties>;

/** Says to ranks what the test tells it to, message after message of theirs. */
class ScriptedCoordinator {
  readonly heard: v1.FromRank[] = [];
  numAttached = 0;
  address = "";
  readonly #server = new grpc.Server();

  constructor(answer: (message: v1.FromRank, stream: Stream) => void) {
    this.#server.addService(serviceDefinition(v1.Rank), {
      attach: (stream: Stream) => {
        this.numAttached += 1;
        stream.on("error", () => {});
        stream.on("data", (message: v1.FromRank) => {
          if (message.progress) return;
          this.heard.push(message);
          answer(message, stream);
        });
      },
    });
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
        this.address = `127.0.0.1:${port}`;
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  /** What a rank says last may come after it has ended. */
  async hears(what: "failure" | "drained"): Promise<v1.FromRank> {
    for (;;) {
      const message = this.heard.find((each) => each[what]);
      if (message !== undefined) return message;
      await sleep(5);
    }
  }

  close(): void {
    this.#server.forceShutdown();
  }
}

const PROGRAM = JSON.stringify({
  rank: 0,
  limits: { maxBatchedTokens: 8, maxSequences: 2, maxSeqLen: 16, blockSize: 8, numBlocks: 2 },
  kvGroups: [{ kind: "full", window: 0, layers: [0] }],
  dims: { globalVocabSize: 50 },
});

function assignment(epoch: number, fields: v1.Assignment.$Properties = {}): v1.ToRank.$Properties {
  return { assignment: { epoch, rank: 0, world_size: 1, program_json: PROGRAM, ...fields } };
}

describe("runWorker", { timeout: 30_000 }, () => {
  let coordinators: ScriptedCoordinator[];
  let aborter: AbortController;
  const buses: Bus[] = [];
  beforeEach(() => {
    coordinators = [];
    aborter = new AbortController();
  });
  afterEach(async () => {
    aborter.abort();
    for (const coordinator of coordinators) coordinator.close();
    await Promise.all(buses.map((bus) => bus.close()));
  });

  function busOf(broker: EmbeddedBroker): Bus {
    const bus = broker.connect();
    buses.push(bus);
    return bus;
  }

  async function coordinatorThat(answer: (message: v1.FromRank, stream: Stream) => void): Promise<ScriptedCoordinator> {
    const coordinator = new ScriptedCoordinator(answer);
    coordinators.push(coordinator);
    await coordinator.listen();
    return coordinator;
  }

  /** @returns how it ended: null in peace */
  function work(join: WorkerOptions["join"], options: Partial<WorkerOptions> = {}): Promise<MoesaicError | null> {
    const running = runWorker({
      join,
      engines: new FakeEngineFactory(new FakeWorld()),
      build: "test",
      maxMessageBytes: 2 ** 20,
      clock: systemClock,
      log: silentLogger,
      signal: aborter.signal,
      ...options,
    });
    return running.then(
      () => null,
      (error: unknown) => MoesaicError.from(error),
    );
  }

  it("refuses an assignment of a coordinator that was succeeded, and tells it the tokens", async () => {
    const coordinator = await coordinatorThat(({ hello, sized }, stream) => {
      if (hello) stream.write(assignment(1, { fencing_token: 9 }));
      else if (sized) stream.write(assignment(2, { fencing_token: 8 }));
    });
    const end = await work(coordinator.address);
    assert.equal(end?.code, "failed_precondition");
    assert.match(end?.message ?? "", /token 8, and this worker has obeyed one with token 9/);
    const { failure } = await coordinator.hears("failure");
    assert.deepEqual([failure?.epoch, failure?.code, failure?.text], [2, "failed_precondition", end?.message]);
  });

  it("gives its engine the deadline for peers that the assignment names, or a usual one", async () => {
    const deadlines: number[] = [];
    class Engines extends FakeEngineFactory {
      override load(...args: Parameters<FakeEngineFactory["load"]>): ReturnType<FakeEngineFactory["load"]> {
        const world: World | null = args[2];
        deadlines.push(world?.deadlineMs ?? -1);
        return Promise.reject(new MoesaicError("internal", "enough"));
      }
    }
    for (const fields of [{ peer_deadline_ms: 1_234 }, {}]) {
      const coordinator = await coordinatorThat(({ hello, sized }, stream) => {
        if (hello) stream.write(assignment(1, { world_size: 2, peers: [{ rank: 0 }, { rank: 1 }], ...fields }));
        else if (sized) stream.write({ load: { epoch: 1, num_blocks: 2 } });
      });
      assert.equal((await work(coordinator.address, { engines: new Engines(new FakeWorld()) }))?.message, "enough");
    }
    assert.deepEqual(deadlines, [1_234, 30_000]);
  });

  it("looks on the bus again when its coordinator lets it go, ends its stream or is not there, and stays with the next", async () => {
    const broker = new EmbeddedBroker();
    const bus = busOf(broker);
    const told: v1.ToRank.$Properties = { drain: { epoch: 0, look_again: true } };
    const letsGo = await coordinatorThat(({ hello }, stream) => void (hello && stream.write(told)));
    const breaksOff = await coordinatorThat((_, stream) => stream.end());
    const stays = await coordinatorThat(() => {});
    const gone = await coordinatorThat(() => {});
    gone.close();
    const next = [letsGo.address, breaksOff.address, gone.address, stays.address];
    const announce = (grpcAddress: string) =>
      announceCoordinator(
        bus,
        { clusterName: "demo", coordinatorId: "c", grpcAddress, version: "0" },
        { log: silentLogger },
      );
    const ended = work({ bus: busOf(broker), clusterName: "demo" });
    for (const [index, address] of next.entries()) {
      const announced = announce(address);
      const coordinator = coordinators.find((each) => each.address === address)!;
      const isSeen = () => (address === gone.address ? index === 2 : coordinator.numAttached > 0);
      while (!isSeen()) await sleep(10);
      if (address === gone.address) await sleep(1_500);
      if (address !== stays.address) await announced.stop();
    }
    aborter.abort();
    assert.equal(await ended, null);
    assert.deepEqual([letsGo.numAttached, stays.numAttached], [1, 1]);
  });

  it("ends with the reason when a coordinator that it was told of lets it go", async () => {
    const told: v1.ToRank.$Properties = { drain: { epoch: 0, look_again: true } };
    const coordinator = await coordinatorThat(({ hello }, stream) => void (hello && stream.write(told)));
    const end = await work(coordinator.address);
    assert.equal(end?.code, "unavailable");
    assert.match(end?.message ?? "", /lost the coordinator at .*: another coordinator of the cluster has the lease/);
    await coordinator.hears("drained");
  });

  it("stops while it looks for a coordinator that is not there", async () => {
    const searching = work({ bus: busOf(new EmbeddedBroker()), clusterName: "demo" });
    const dialing = work("127.0.0.1:9");
    await sleep(50);
    aborter.abort();
    for (const end of await Promise.all([searching, dialing])) assert.equal(end?.code, "cancelled");
  });

  it("presents no join token that could be guessed", async () => {
    assert.equal((await work("127.0.0.1:9", { joinToken: "short" }))?.code, "invalid_argument");
  });
});
