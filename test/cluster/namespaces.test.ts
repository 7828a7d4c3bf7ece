import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GOLDEN } from "../e2e/golden-generations.js";
import { eventually } from "../e2e/moesaic.js";
import { IS_LONG } from "../paths.js";
import type { Daemon } from "./daemon.js";
import { RealCluster, type Host, type RealCoordinator } from "./real-cluster.js";
import { TestNetwork } from "./test-network.js";

/** Hosts 0 to 3 have a rank each, the last one the coordinator. */
const NUM_HOSTS = 5;
const DELAY_US = 1_000;
/** How long a rank waits for a peer that is silent. */
const PEER_DEADLINE_MS = 2_000;
/** For its way to the coordinator and into the log on a busy machine, milliseconds. */
const SLACK_MS = 3_000;
/** For processes to start, load and be asked on a busy machine, milliseconds. */
const START_MS = 60_000;
/** A try to connect that began before the link was healed ends by the deadline; then ranks load. Milliseconds. */
const RECOVERY_MS = 60_000;
const NUM_TOKENS = 64;
const QUESTION = GOLDEN[0]!;

const LAYOUTS = { "TP 2 x EP 2": { tp: 2, ep: 2 }, "EP 4": { tp: 1, ep: 4 } };
const RUNS = (["sharded", "replicated"] as const).flatMap((tokens) =>
  Object.entries(LAYOUTS).map(([name, layout]) => ({ name, tokens, ...layout })),
);
/** The short tests see both layouts and both placements, and cut a link once. */
const SHORT_RUNS = RUNS.filter(({ name, tokens }) => (name === "EP 4") === (tokens === "replicated"));

const network = await TestNetwork.start(NUM_HOSTS, DELAY_US);
const skip = typeof network === "string" && network;
if (network instanceof TestNetwork) await network.end();

describe("four ranks on four hosts, 1 ms apart", { skip }, () => {
  for (const { name, tokens, tp, ep } of IS_LONG ? RUNS : SHORT_RUNS) {
    it(`answer with the golden tokens, lose a link and are whole again: ${name}, tokens ${tokens}`, async (test) => {
      const plan = planOf(tp, ep, tokens);
      const world = await DistantWorld.start(test, plan);
      assert.deepEqual(await world.answer(), QUESTION.generated_tokens);
      if (IS_LONG || tokens === "sharded") await loseLink(test, world);
    });
  }
});

/** Every rank must give up by its deadline, and the stream that ran must go on as if nothing had been. */
async function loseLink(test: TestContext, world: DistantWorld): Promise<void> {
  const undisturbed = await text(world.stream().stdout!);
  const stream = world.stream();
  const streamed = text(stream.stdout!);
  await once(stream.stdout!, "readable");
  const [one, other] = [world.hostOfRank(1), world.hostOfRank(3)];
  const cutAtMs = Date.now();
  await world.network.cut(one, other);
  await eventually("every rank's epoch ended", () => world.ends(cutAtMs).every((end) => end !== undefined), START_MS);
  const ends = world.ends(cutAtMs).map((end) => end!);
  for (const [host, { time, reason }] of ends.entries()) {
    const tookMs = Date.parse(time) - cutAtMs;
    assert.ok(tookMs < PEER_DEADLINE_MS + SLACK_MS, `host ${host} took ${tookMs} ms`);
    assert.match(String(reason), /rank 1\b/, `host ${host} names one end of the link`);
    assert.match(String(reason), /rank 3\b/, `host ${host} names the other end of the link`);
  }
  assert.match(world.coordinatorLog("step was lost"), /rank 1\b.*rank 3\b|rank 3\b.*rank 1\b/);
  test.diagnostic(`${String(ends[0]?.reason)}, told after ${Date.parse(ends[0]!.time) - cutAtMs} ms`);
  await sleep(500);
  await world.network.heal();
  assert.equal(await streamed, undisturbed, "the stream went on as if nothing had been");
  assert.deepEqual(await world.answer(), QUESTION.generated_tokens);
}

class DistantWorld {
  readonly cluster: RealCluster;
  readonly network: TestNetwork;
  readonly #coordinator: RealCoordinator;
  readonly #workers: readonly Daemon[];

  static async start(test: TestContext, plan: object): Promise<DistantWorld> {
    const network = await TestNetwork.start(NUM_HOSTS, DELAY_US);
    if (typeof network === "string") throw new Error(network);
    const cluster = new RealCluster(test, { network, spec: specOf(plan) });
    const [coordinatorHost, hosts] = [network.hosts.at(-1)!, network.hosts.slice(0, -1)];
    const coordinator = await cluster.coordinator(coordinatorHost);
    const workers = hosts.map((host, index) => cluster.worker(`worker ${index}`, coordinator, host));
    for (const daemon of [coordinator, ...workers]) daemon.start();
    return new DistantWorld(cluster, network, coordinator, workers);
  }

  private constructor(cluster: RealCluster, network: TestNetwork, coordinator: RealCoordinator, workers: Daemon[]) {
    this.cluster = cluster;
    this.network = network;
    this.#coordinator = coordinator;
    this.#workers = workers;
  }

  /** Asked until somebody answers. */
  async answer(): Promise<number[]> {
    const endMs = performance.now() + START_MS;
    for (;;) {
      const asked = this.#generate(QUESTION.prompt_tokens, ["--json", "--max-tokens", "40"]);
      const [stdout, stderr, [code]] = await Promise.all([
        text(asked.stdout!),
        text(asked.stderr!),
        once(asked, "exit"),
      ]);
      if (code === 0) return (JSON.parse(stdout) as { token_ids: number[] }).token_ids;
      if (performance.now() > endMs) throw new Error(`no answer: ${stderr}\n${this.cluster.logs()}`);
    }
  }

  /** A text that takes seconds. */
  stream(): ChildProcess {
    return this.#generate([1, 2, 3], ["--ignore-eos", "--max-tokens", String(NUM_TOKENS)]);
  }

  /** The index of the host on which the rank was last. */
  hostOfRank(rank: number): number {
    const index = this.#workers.findIndex(({ log }) => lastWith(log, "weights loaded")?.["rank"] === rank);
    assert.ok(index >= 0, `rank ${rank} is nowhere`);
    return index;
  }

  /** By host, how its rank gave up an epoch after that time of this machine. */
  ends(sinceMs: number): (LogLine | undefined)[] {
    return this.#workers.map(({ log }) =>
      lines(log).find(({ msg, time }) => Date.parse(time) > sinceMs && msg === "epoch ended"),
    );
  }

  /** What the coordinator said last under this message. */
  coordinatorLog(msg: string): string {
    return String(lastWith(this.#coordinator.log, msg)?.["text"]);
  }

  #generate(tokenIds: readonly number[], args: readonly string[]): ChildProcess {
    const endpoint = this.#coordinator.endpoint.replace(/^[^:]+/, "127.0.0.1");
    const tokens = ["--tokens", tokenIds.join(","), "--temperature", "0"];
    const host: Host = this.network.hosts.at(-1)!;
    return this.cluster.command(["generate", "--endpoint", endpoint, ...tokens, ...args], host);
  }
}

type LogLine = { msg: string; time: string } & Record<string, unknown>;

function lines(log: string): LogLine[] {
  return log
    .split("\n")
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => JSON.parse(line) as LogLine);
}

function lastWith(log: string, msg: string): LogLine | undefined {
  return lines(log).findLast((line) => line.msg === msg);
}

function planOf(tp: number, ep: number, tokens: string): object {
  return {
    kind: "ShardingPlan",
    worldSize: 4,
    attention: { tp },
    experts: { ep, tp: 4 / ep, assign: "auto" },
    tokens,
  };
}

function specOf(plan: object): Record<string, unknown> {
  return {
    plan,
    workers: [{ host: "any", ranks: 4, threads: 1 }],
    engine: { numBlocks: 1_024, stallMs: 20_000, peerDeadlineMs: PEER_DEADLINE_MS, recoveryTimeoutMs: RECOVERY_MS },
    security: { allowPlaintextDataPlane: true },
  };
}
