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
import { encodeStepPlan } from "../proto/step-codec.js";
import { GREEDY, planOf } from "../proto/step-fixture.js";
import { LAST_SAMPLED, OUTPUT_SAMPLE } from "../proto/step.js";
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

  // ---- the stream breaks

  /** Takes a rank to ready; what comes then, and what a rank says that has been there before, is up to `answer`. */
  function coordinatorThatBreaks(
    answer: (message: v1.FromRank, stream: Stream) => void,
    fields: v1.Assignment.$Properties = {},
  ): Promise<ScriptedCoordinator> {
    return coordinatorThat((message, stream) => {
      const { hello, sized } = message;
      const lease = { lease_ms: 5_000, digest: "d", replica_id: 2, fencing_token: 7 };
      if (hello && !hello.held) stream.write(assignment(1, { ...lease, ...fields }));
      else if (sized) stream.write({ load: { epoch: 1, num_blocks: 2 } });
      else answer(message, stream);
    });
  }

  const newRows = [0, 1].map((row) => ({ row, seqId: row, numPromptTokens: 2, sampling: GREEDY }));
  const blockDeltas = [Int32Array.of(0, 0, 1, 1)];
  const oneRow = { seqRows: Int32Array.of(0), outputs: Int32Array.of(OUTPUT_SAMPLE) };
  /** Two rows begin and one computes its prompt, which goes on when the other has ended. */
  const plans = [
    planOf(1, 1, {
      ...oneRow,
      newRows,
      blockDeltas,
      tokenIds: Int32Array.of(5, 6),
      positions: Int32Array.of(0, 1),
      queryStarts: Int32Array.of(0, 2),
      seqLens: Int32Array.of(2),
    }),
    planOf(1, 2, {
      ...oneRow,
      finishedRows: Int32Array.of(1),
      masks: Int32Array.of(),
      blockDeltas: [Int32Array.of()],
      tokenIds: Int32Array.of(LAST_SAMPLED),
      positions: Int32Array.of(2),
      queryStarts: Int32Array.of(0, 1),
      seqLens: Int32Array.of(3),
    }),
  ].map(encodeStepPlan);

  it("says in its next Hello what it holds, and sends again the results that whoever goes on has not", async () => {
    const helds: v1.Held[] = [];
    const coordinator = await coordinatorThatBreaks(({ hello, ready, step_result: result }, stream) => {
      if (ready) for (const plan of plans) stream.write({ step_plan: plan });
      if (result?.step_id === 2 && helds.length === 0) stream.emit("error", { code: grpc.status.UNAVAILABLE });
      else if (result?.step_id === 2) stream.write({ drain: { epoch: 1 } });
      if (hello?.held) helds.push(hello.held as v1.Held);
      if (hello?.held) stream.write({ resume: { epoch: 1, fencing_token: 7, last_result_id: 1 } });
    });
    assert.equal(await work(coordinator.address), null);
    const [held] = helds;
    assert.deepEqual(
      [held?.epoch, held?.replica_id, held?.rank, held?.digest, held?.last_step_id, held?.live_rows],
      [1, 2, 0, "d", 2, [0]],
    );
    assert.deepEqual([held?.sized?.kv_block_bytes, held?.ready?.num_blocks], [1_000, 2]);
    const steps = coordinator.heard.flatMap(({ step_result: result }) => (result ? [result.step_id] : []));
    assert.deepEqual(steps, [1, 2, 2]);
    assert.equal(coordinator.heard.filter(({ ready }) => ready).length, 1);
  });

  it("dials again while its step runs, and sends the result when it is there", async () => {
    const world = new FakeWorld();
    const engines = new FakeEngineFactory(world);
    let finish = () => {};
    class Engines extends FakeEngineFactory {
      override async load(...args: Parameters<FakeEngineFactory["load"]>): ReturnType<FakeEngineFactory["load"]> {
        const outcome = await engines.load(...args);
        const { engine } = outcome;
        const step = engine.step.bind(engine);
        const held = new Promise<void>((resolve) => (finish = resolve));
        engine.step = (plan, onResult) => held.then(() => step(plan, onResult));
        return outcome;
      }
    }
    const coordinator = await coordinatorThatBreaks(({ hello, ready, step_result: result }, stream) => {
      if (ready) {
        stream.write({ step_plan: plans[0]! });
        setTimeout(() => stream.emit("error", { code: grpc.status.UNAVAILABLE }), 50);
      }
      if (hello?.held) {
        stream.write({ resume: { epoch: 1 } });
        finish();
      }
      if (result) stream.write({ drain: { epoch: 1 } });
    });
    assert.equal(await work(coordinator.address, { engines: new Engines(world) }), null);
    const said = coordinator.heard.map(({ hello, step_result: result }) =>
      hello ? `hello ${hello.held?.last_step_id ?? "-"}` : result ? `result ${result.step_id}` : "",
    );
    assert.deepEqual(
      said.filter((text) => text !== ""),
      ["hello -", "hello 1", "result 1"],
    );
  });

  it("begins anew when whoever it finds does not go on, and comes again to one that has no say yet", async () => {
    let numHellos = 0;
    const coordinator = await coordinatorThatBreaks(({ hello, ready }, stream) => {
      if (ready) stream.emit("error", { code: grpc.status.UNAVAILABLE });
      numHellos += hello ? 1 : 0;
      if (hello && numHellos < 3) stream.emit("error", { code: grpc.status.UNAVAILABLE, details: "I stand by" });
      else if (hello) {
        stream.write({ end_epoch: { epoch: 1, reason: "not mine" } });
        stream.write({ drain: { epoch: 0 } });
      }
    });
    assert.equal(await work(coordinator.address), null);
    assert.equal(numHellos, 3);
    assert.equal((await coordinator.hears("drained")).drained?.epoch, 1);
  });

  it("does not let an older coordinator go on with what a newer one began", async () => {
    const coordinator = await coordinatorThatBreaks(({ hello, ready }, stream) => {
      if (ready) stream.emit("error", { code: grpc.status.UNAVAILABLE });
      else if (hello) stream.write({ resume: { epoch: 1, fencing_token: 6 } });
    });
    assert.match(
      (await work(coordinator.address))?.message ?? "",
      /token 6, and this worker has obeyed one with token 7/,
    );
  });

  it("tells whoever goes on too late that the epoch is over", async () => {
    const coordinator = await coordinatorThatBreaks(
      ({ hello, ready, failure }, stream) => {
        if (ready) stream.emit("error", { code: grpc.status.UNAVAILABLE });
        else if (hello?.held) setTimeout(() => stream.write({ resume: { epoch: 1 } }), 700);
        else if (failure) stream.write({ drain: { epoch: 0 } });
      },
      { lease_ms: 600 },
    );
    assert.equal(await work(coordinator.address), null);
    const { failure } = await coordinator.hears("failure");
    assert.deepEqual([failure?.epoch, failure?.code], [1, "unavailable"]);
  });

  it("ends with why it lost the coordinator when its lease has run out, and at once when it has none", async () => {
    for (const leaseMs of [300, 0]) {
      let lostMs = 0;
      const coordinator = await coordinatorThatBreaks(
        ({ ready }, stream) => {
          if (!ready) return;
          lostMs = performance.now();
          stream.emit("error", { code: grpc.status.UNAVAILABLE });
          coordinator.close();
        },
        { lease_ms: leaseMs },
      );
      const end = await work(coordinator.address);
      assert.equal(end?.code, "unavailable");
      assert.match(end?.message ?? "", /this rank lost the coordinator at /);
      const tookMs = performance.now() - lostMs;
      assert.ok(tookMs >= leaseMs - 5 && tookMs < 3_000, `${tookMs} ms, its lease is ${leaseMs} ms`);
    }
  });

  it("comes again with empty hands when it had loaded nothing yet, or had no epoch", async () => {
    for (const isLoading of [true, false]) {
      const helds: unknown[] = [];
      const coordinator = await coordinatorThat(({ hello, sized, load_progress: progress }, stream) => {
        if (hello) helds.push(hello.held ?? null);
        if (helds.length > 1) stream.write({ drain: { epoch: 0 } });
        else if (hello && isLoading) stream.write(assignment(1, { lease_ms: 5_000 }));
        else if (sized) stream.write({ load: { epoch: 1, num_blocks: 2 } });
        else if (hello || progress) stream.emit("error", { code: grpc.status.UNAVAILABLE });
      });
      class Slow extends FakeEngineFactory {
        override async load(...args: Parameters<FakeEngineFactory["load"]>): ReturnType<FakeEngineFactory["load"]> {
          const outcome = await super.load(...args);
          await sleep(200);
          return outcome;
        }
      }
      assert.equal(await work(coordinator.address, { engines: new Slow(new FakeWorld()) }), null);
      assert.deepEqual(helds, [null, null]);
    }
  });

  it("ends at once when the coordinator ended its stream: it is not wanted there", async () => {
    const coordinator = await coordinatorThatBreaks(({ ready }, stream) => void (ready && stream.end()));
    const startedMs = performance.now();
    assert.match((await work(coordinator.address))?.message ?? "", /: it ended the stream/);
    assert.ok(performance.now() - startedMs < 3_000);
    assert.equal(coordinator.numAttached, 1);
  });

  it("stops at once while it is away", async () => {
    const coordinator = await coordinatorThatBreaks(({ ready }, stream) => {
      if (!ready) return;
      stream.emit("error", { code: grpc.status.UNAVAILABLE });
      coordinator.close();
      setTimeout(() => aborter.abort(), 300);
    });
    assert.equal((await work(coordinator.address))?.code, "cancelled");
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
