import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MoesaicClient } from "../../client/client.js";
import { Coordinator } from "../../coordinator/coordinator.js";
import { parseClusterSpec } from "../../plans/cluster-spec.js";
import { systemClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { FakeEngineFactory, FakeWorld } from "../../worker/fake-world.js";
import { fakeToken } from "../../worker/fake-engine.js";
import { runWorker } from "../../worker/worker.js";

const VOCAB = 201_088;
const PROMPT = [1, 2, 3];

interface Worker {
  factory: FakeEngineFactory;
  /** Leaves as a process that is killed: without a word. */
  leave(): void;
  ended: Promise<MoesaicError | null>;
}

/** A coordinator, its gRPC and workers in one process; only the engines are fake, and they hold plans to their contract. */
class Fixture {
  readonly world = new FakeWorld();
  readonly workers: Worker[] = [];
  coordinator!: Coordinator;
  client!: MoesaicClient;

  async start(settings: string, grpc = "127.0.0.1:0"): Promise<void> {
    const yaml = `apiVersion: moesaic.dev/v1
kind: Cluster
metadata: { name: fake }
spec:
  model: dummy:gpt-oss-20b:1
  api: { grpc: "${grpc}", http: "127.0.0.1:0" }
  engine: { stallMs: 300, numBlocks: 40 }
  maxModelLen: 256
  scheduler: { maxBatchedTokens: 64, maxSequences: 8 }
${settings}`;
    this.coordinator = await Coordinator.start({
      spec: parseClusterSpec(yaml, "fake.yaml"),
      baseDir: ".",
      workerCommand: () => assert.fail("no worker of these clusters is launched"),
      recoveryTimeoutMs: 10_000,
      dummySeed: 1,
      build: "test",
      clock: systemClock,
      log: silentLogger,
    });
    this.client = new MoesaicClient({ endpoint: this.coordinator.grpcAddress });
  }

  work(join = this.coordinator.grpcAddress): Worker {
    const factory = new FakeEngineFactory(this.world);
    const aborter = new AbortController();
    const ended = runWorker({
      join,
      engines: factory,
      build: "test",
      maxMessageBytes: 2 ** 26,
      clock: systemClock,
      log: silentLogger,
      signal: aborter.signal,
    }).then(
      () => null,
      (error: unknown) => MoesaicError.from(error),
    );
    const worker = { factory, leave: () => aborter.abort(), ended };
    this.workers.push(worker);
    return worker;
  }

  async generate(maxTokens: number, onToken: (count: number) => void = () => {}): Promise<number[]> {
    const tokenIds: number[] = [];
    const request = { tokenIds: PROMPT, sampling: { temperature: 0, seed: 7, maxTokens, ignoreEos: true } };
    for await (const event of this.client.generate(request)) {
      if (event.type === "delta") tokenIds.push(...event.tokenIds);
      if (event.type === "delta") onToken(tokenIds.length);
      if (event.type === "finish" && event.error) throw event.error;
    }
    return tokenIds;
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.coordinator.drain(0);
    for (const worker of this.workers) worker.leave();
    await Promise.all(this.workers.map(({ ended }) => ended));
  }
}

/** What any number of ranks must sample, whatever happens to them meanwhile. */
function expected(numTokens: number): number[] {
  const all = [...PROMPT];
  const sampling = { seed: 7, minSeqLen: 0, stopTokenIds: [] };
  for (let i = 0; i < numTokens; i += 1) all.push(fakeToken(sampling, all, VOCAB));
  return all.slice(PROMPT.length);
}

async function until(what: string, isSo: () => boolean | Promise<boolean>, withinMs = 8_000): Promise<void> {
  const endMs = Date.now() + withinMs;
  while (!(await isSo())) {
    assert.ok(Date.now() < endMs, `within ${withinMs} ms: ${what}`);
    await sleep(10);
  }
}

describe("a replica of four ranks", { timeout: 60_000 }, () => {
  let fixture: Fixture;
  beforeEach(() => {
    fixture = new Fixture();
  });
  afterEach(() => fixture.stop());

  const fourRanks = "  workers: [{ host: any, device: cpu, ranks: 4 }]";

  async function readyWith(settings: string, numWorkers: number): Promise<void> {
    await fixture.start(settings);
    for (let i = 0; i < numWorkers; i += 1) fixture.work();
    await fixture.coordinator.whenReady();
  }

  it("serves what the lead answers, and shows every rank", async () => {
    await readyWith(fourRanks, 4);
    assert.deepEqual(await fixture.generate(20), expected(20));
    await until("collectives are reported", async () => {
      const { replicas } = await fixture.client.status();
      return replicas[0]!.ranks.every(({ collectives }) => collectives.some(({ bytes }) => bytes > 0));
    });
    const status = await fixture.client.status();
    const ranks = status.replicas[0]!.ranks;
    assert.deepEqual(
      ranks.map(({ rank, state, transport, loadPercent }) => [rank, state, transport, loadPercent]),
      [0, 1, 2, 3].map((rank) => [rank, "ready", "shm", 100]),
    );
    assert.deepEqual(status.bus, { name: "embedded", state: "connected" });
  });

  it("is joined by workers that were started before it", async () => {
    const first = new Fixture();
    await first.start(fourRanks);
    const { grpcAddress } = first.coordinator;
    await first.stop();
    for (let i = 0; i < 4; i += 1) fixture.work(grpcAddress);
    await sleep(300);
    await fixture.start(fourRanks, grpcAddress);
    await fixture.coordinator.whenReady();
    assert.deepEqual(await fixture.generate(5), expected(5));
  });

  it("goes on without a lost or repeated token when any rank is killed and started again", async () => {
    await readyWith(fourRanks, 4);
    for (const rank of [0, 2]) {
      const tokens = await fixture.generate(60, (count) => {
        if (count !== 10) return;
        seatOf(rank).leave();
        setTimeout(() => fixture.work(), 50);
      });
      assert.deepEqual(tokens, expected(60));
    }
    const { replicas } = await fixture.client.status();
    assert.equal(replicas[0]!.epoch, 3);

    /** Every worker of the test has the same process id: they sit in the order in which they came. */
    function seatOf(rankToLose: number): Worker {
      return fixture.workers[rankToLose]!;
    }
  });

  it("answers unavailable with the reason while a rank is missing", async () => {
    await readyWith(fourRanks, 4);
    fixture.workers[1]!.leave();
    await until("the loss is noticed", async () => (await fixture.client.status()).state !== "ready", 3_000);
    const raw = await fixture.generate(1).then(
      () => assert.fail("nobody could answer this"),
      (error: unknown) => MoesaicError.from(error),
    );
    assert.equal(raw.code, "unavailable");
    assert.match(raw.message, /rank \d of .* was lost.*3 of 4 ranks attached, waiting for rank \d/s);
  });

  it("gives a lost rank's seat to the spare at once, and refuses one worker too many", async () => {
    await readyWith(`${fourRanks}\n  spares: 1`, 5);
    await until("the spare is attached", async () => (await fixture.client.status()).spares.length === 1);
    const refused = await fixture.work().ended;
    assert.equal(refused?.code, "failed_precondition");
    assert.match(refused?.message ?? "", /no free seat.*and 1 spares are there/);
    fixture.workers[0]!.leave();
    fixture.workers[1]!.leave();
    await until("two are lost, one spare came", () => fixture.coordinator.status().spares?.length === 0);
    fixture.work();
    await until("all are back", () => fixture.coordinator.status().state === "ready");
    assert.deepEqual(await fixture.generate(5), expected(5));
  });

  it("finds the rank that hangs, ends the epoch on all, and goes on with another in its seat", async () => {
    await readyWith(fourRanks, 4);
    fixture.world.hanging.add(fixture.workers[2]!.factory);
    const generated = fixture.generate(8);
    await until("a rank is taken for lost", () => fixture.coordinator.status().state !== "ready", 4_000);
    fixture.world.hanging.clear();
    fixture.work();
    assert.deepEqual(await generated, expected(8));
  });

  it("drains one rank between two steps and puts the next worker into its seat", async () => {
    await readyWith(`${fourRanks}\n  spares: 1`, 5);
    let drained: Promise<void> = Promise.resolve();
    const tokens = await fixture.generate(60, (count) => {
      if (count === 10) drained = fixture.coordinator.drainRank(0, 3);
    });
    await drained;
    assert.deepEqual(tokens, expected(60));
    assert.equal(fixture.coordinator.status().replicas?.[0]?.epoch, 2);
    const ends = await Promise.race(fixture.workers.map(({ ended }) => ended));
    assert.equal(ends, null, "the drained worker left in peace");
  });

  it("shares requests out over two replicas, and needs one of them only", async () => {
    await readyWith("  replicas: 2\n  workers: [{ host: any, ranks: 4 }]", 4);
    await until("both are ready", () =>
      (fixture.coordinator.status().replicas ?? []).every(({ state }) => state === "ready"),
    );
    const all = await Promise.all([1, 2, 3, 4].map(() => fixture.generate(10)));
    for (const tokens of all) assert.deepEqual(tokens, expected(10));
    const steps = fixture.coordinator.status().replicas?.map(({ scheduler }) => scheduler?.num_output_tokens);
    assert.deepEqual(steps, [20, 20]);
    fixture.workers[0]!.leave();
    await until("one is lost", () => fixture.coordinator.status().replicas?.[0]?.state !== "ready");
    assert.deepEqual(await fixture.generate(5), expected(5));
  });
});
