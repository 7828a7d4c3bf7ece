import assert from "node:assert/strict";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MoesaicClient } from "../../client/client.js";
import { Coordinator, type CoordinatorOptions } from "../../coordinator/coordinator.js";
import { reachableAddress } from "../../coordinator/reachable-address.js";
import { parseClusterSpec } from "../../plans/cluster-spec.js";
import type { Bus, KeyValue } from "../../proto/bus/bus.js";
import { EmbeddedBroker } from "../../proto/bus/embedded-bus.js";
import { systemClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { FakeEngineFactory, FakeWorld } from "../../worker/fake-world.js";
import { fakeToken } from "../../worker/fake-engine.js";
import { runWorker, type WorkerOptions } from "../../worker/worker.js";

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

  async start(
    settings: string,
    grpc = "127.0.0.1:0",
    options: Pick<CoordinatorOptions, "joinToken" | "openBus"> = {},
  ): Promise<void> {
    const yaml = `apiVersion: moesaic.dev/v1
kind: Cluster
metadata: { name: fake }
spec:
  model: dummy:gpt-oss-20b:1
  api: { grpc: "${grpc}", http: "127.0.0.1:0" }
  engine: { stallMs: 300, numBlocks: 40, recoveryTimeoutMs: 10000 }
  maxModelLen: 256
  scheduler: { maxBatchedTokens: 64, maxSequences: 8 }
${settings}`;
    this.coordinator = await Coordinator.start({
      spec: parseClusterSpec(yaml, "fake.yaml"),
      baseDir: ".",
      workerCommand: () => assert.fail("no worker of these clusters is launched"),
      engineChoices: [],
      dummySeed: 1,
      build: "test",
      clock: systemClock,
      log: silentLogger,
      ...options,
    });
    this.client = new MoesaicClient({ endpoint: this.coordinator.grpcAddress });
  }

  work(
    join: WorkerOptions["join"] = this.coordinator.grpcAddress,
    { memoryBytes = 1_000_000, ...options }: { memoryBytes?: number; joinToken?: string } = {},
  ): Worker {
    const factory = new FakeEngineFactory(this.world, { memoryBytes });
    const aborter = new AbortController();
    const ended = runWorker({
      join,
      engines: factory,
      build: "test",
      maxMessageBytes: 2 ** 26,
      clock: systemClock,
      log: silentLogger,
      signal: aborter.signal,
      ...options,
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
    this.client?.close();
    await this.coordinator?.drain(0);
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
    const numTokens = 200;
    await readyWith(fourRanks, 4);
    for (const rank of [0, 2]) {
      const tokens = await fixture.generate(numTokens, (count) => {
        if (count !== 10) return;
        seatOf(rank).leave();
        setTimeout(() => fixture.work(), 50);
      });
      assert.deepEqual(tokens, expected(numTokens));
    }
    // Where the machine is busy the tokens may come before the loss is noticed.
    await until("each loss began an epoch", async () => (await fixture.client.status()).replicas[0]!.epoch === 3);

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

  it("drains one replica while the other serves, and the last only with the cluster", async () => {
    await readyWith("  replicas: 2\n  workers: [{ host: any, ranks: 4 }]", 4);
    await until("both are ready", () =>
      (fixture.coordinator.status().replicas ?? []).every(({ state }) => state === "ready"),
    );
    const begun = new Set<number>();
    const all = [1, 2].map((request) => fixture.generate(250, () => void begun.add(request)));
    await until("both replicas run a request", () => begun.size === 2);
    const drained = fixture.client.drain({ replica: 0 });
    await until("it drains", () => fixture.coordinator.status().replicas![0]!.state === "draining");
    assert.deepEqual(await fixture.generate(5), expected(5), "what is new goes to the other");
    assert.equal(await drained, 1);
    for (const tokens of await Promise.all(all)) assert.deepEqual(tokens, expected(250));
    const { state, replicas } = await fixture.client.status();
    assert.deepEqual([state, ...replicas.map((replica) => replica.state)], ["ready", "closed", "ready"]);
    const ends = await Promise.all(fixture.workers.slice(0, 2).map(({ ended }) => ended));
    assert.deepEqual(ends, [null, null], "its workers left in peace");
    assert.deepEqual(await fixture.generate(5), expected(5));
    const refused = (message: RegExp) => ({ code: "failed_precondition", message });
    await assert.rejects(fixture.client.drain({ replica: 1 }), refused(/replica 1 is the only one that serves/));
    await assert.rejects(fixture.client.drain({ replica: 0 }), refused(/replica 0 has no ranks to drain: drained/));
    await assert.rejects(fixture.client.drain({ replica: 2 }), { code: "not_found", message: /there are 0 to 1/ });
  });

  it("is not drained as the only replica of its cluster", async () => {
    await readyWith(fourRanks, 4);
    const message = /replica 0 is the only one; drain the whole cluster instead/;
    await assert.rejects(fixture.client.drain({ replica: 0 }), { code: "failed_precondition", message });
    assert.deepEqual(await fixture.generate(5), expected(5));
  });

  it("passes over a spare that has too little memory for its KV blocks, and tells it the arithmetic", async () => {
    await readyWith(`${fourRanks}\n  spares: 1`, 4);
    const small = fixture.work(undefined, { memoryBytes: 10_000 });
    await until("the spare is attached", async () => (await fixture.client.status()).spares.length === 1);
    let hasLeft = false;
    const generated = fixture.generate(30, (count) => {
      if (count >= 3 && !hasLeft) fixture.workers[2]!.leave();
      hasLeft ||= count >= 3;
    });
    const refusal = await small.ended;
    assert.equal(refusal?.code, "resource_exhausted");
    assert.match(refusal?.message ?? "", /memory: weights .* the replica's 40 KV blocks .* there are/);
    await until("it waits", () => fixture.coordinator.status().replicas?.[0]?.state === "waiting");
    const { reason } = fixture.coordinator.status().replicas![0]!;
    assert.match(reason ?? "", /replica's 40 KV blocks.*3 of 4 ranks attached, waiting for rank \d/);
    fixture.work();
    assert.deepEqual(await generated, expected(30));
  });
});

describe("coordinators of one cluster", { timeout: 60_000 }, () => {
  const onBus = '  bus: "nats://bus:4222"\n  workers: [{ host: any, device: cpu, ranks: 2 }]';
  const broker = new EmbeddedBroker();
  const [first, second] = [new Fixture(), new Fixture()];
  after(() => Promise.all([first, second].map((fixture) => fixture.stop())));

  it("follow each other: who lost the lease lets its ranks go, and they find the next", async () => {
    let isCut = false;
    await first.start(onBus, "127.0.0.1:0", { openBus: async () => cuttable(broker.connect(), () => isCut) });
    for (let i = 0; i < 2; i += 1) first.work({ bus: broker.connect(), clusterName: "fake" });
    await first.coordinator.whenReady();
    await second.start(onBus, "127.0.0.1:0", { openBus: async () => broker.connect() });
    await until("the second stands by", () => second.coordinator.status().state === "standby");
    isCut = true;
    await broker.connect().kv("moesaic_lease_fake", { ttlMs: 10_000 }).delete("fake");
    await until("the second leads", () => second.coordinator.status().state === "starting");
    assert.deepEqual(await first.generate(5), expected(5), "the first does not know, and serves");
    isCut = false;
    const running = refusalOf(forever(first));
    const [error, ended] = await Promise.all([first.coordinator.failed, running]);
    for (const each of [error, ended]) {
      assert.equal(each.code, "unavailable");
      assert.match(each.message, /another coordinator of the cluster fake has the lease now/);
    }
    const { state, reason } = await first.client.status();
    assert.equal(state, "failed");
    assert.match(reason, /another coordinator/);
    assert.match((await refusalOf(first.generate(1))).message, /another coordinator/);
    const stranger = await first.work().ended;
    assert.match(stranger?.message ?? "", /lost the coordinator.*another coordinator/);
    await second.coordinator.whenReady();
    assert.deepEqual(await second.generate(20), expected(20));
  });

  /** Requests one after the other, until one is refused. */
  async function forever(fixture: Fixture): Promise<never> {
    for (;;) assert.deepEqual(await fixture.generate(50), expected(50));
  }
});

describe("ranks of other hosts", { timeout: 60_000 }, () => {
  const own = reachableAddress("0.0.0.0:0").slice(0, -2);
  const skip = /^[\d.]+$/.test(own) ? false : "this machine has no address beyond loopback";
  const joinToken = "a-token-of-the-test";
  const open = `  workers: [{ host: any, device: cpu, ranks: 2 }]
  security: { allowPlaintextDataPlane: true }`;
  let fixture: Fixture;
  beforeEach(() => {
    fixture = new Fixture();
  });
  afterEach(() => fixture.stop());

  for (const [name, listening] of [
    ["all addresses of its machine", "0.0.0.0"],
    ["one address, and loopback for all others", own],
  ]) {
    it(`join a coordinator at ${name} with its token alone`, { skip }, async () => {
      await fixture.start(open, `${listening}:0`, { joinToken });
      const port = fixture.coordinator.grpcAddress.split(":").at(-1);
      const outside = `${own}:${port}`;
      const none = await fixture.work(outside).ended;
      assert.equal(none?.code, "failed_precondition");
      assert.match(none?.message ?? "", /presents no join token: a worker needs the same MOESAIC_JOIN_TOKEN/);
      const wrong = await fixture.work(outside, { joinToken: `${joinToken}s` }).ended;
      assert.match(wrong?.message ?? "", /not this cluster's/);
      for (let i = 0; i < 2; i += 1) fixture.work(outside, { joinToken });
      await fixture.coordinator.whenReady();
      const stranger = new MoesaicClient({ endpoint: outside });
      await assert.rejects(stranger.status(), { code: "failed_precondition", message: /at 127\.0\.0\.1/ });
      stranger.close();
      const client = new MoesaicClient({ endpoint: `127.0.0.1:${port}` });
      assert.equal((await client.status()).state, "ready");
      client.close();
    });
  }

  it("are not let in without a token, nor with one that can be guessed", async () => {
    const start = (token: Pick<CoordinatorOptions, "joinToken">) => fixture.start(open, "0.0.0.0:0", token);
    await assert.rejects(start({}), { code: "unimplemented", message: /MOESAIC_JOIN_TOKEN/ });
    await assert.rejects(start({ joinToken: "short" }), { code: "invalid_argument", message: /16 to 256/ });
  });
});

function refusalOf(work: Promise<unknown>): Promise<MoesaicError> {
  return work.then(
    () => assert.fail("it was expected to be refused"),
    (error: unknown) => MoesaicError.from(error),
  );
}

/** The bus, whose keys cannot be reached while it is cut, though it says that it is connected. */
function cuttable(bus: Bus, isCut: () => boolean): Bus {
  const guarded = (keys: KeyValue): KeyValue =>
    new Proxy(keys, {
      get: (target, name) => {
        const method = Reflect.get(target, name, target) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) =>
          isCut() ? Promise.reject(new MoesaicError("unavailable", "cut off")) : method.apply(target, args);
      },
    });
  return new Proxy(bus, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (name === "kv") return (...args: Parameters<Bus["kv"]>) => guarded(target.kv(...args));
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
