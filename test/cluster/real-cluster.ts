import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MoesaicClient, type ClusterStatus } from "../../client/index.js";
import { MoesaicError } from "../../proto/errors.js";
import { freePort, NatsServer } from "../bus/nats-server.js";
import { GOLDEN } from "../e2e/golden-generations.js";
import { DEMO_MODEL } from "../paths.js";
import { Daemon } from "./daemon.js";

const MAIN_FILE = fileURLToPath(new URL("../../cli/main.js", import.meta.url));
/** In the environment of every process of a cluster and of their children: finds those that outlive it. */
const MARK_VARIABLE = "MOESAIC_TEST_MARK";
/** Longest time of one try to be answered, milliseconds. */
const TRY_MS = 10_000;
const POLL_MS = 50;
/** Short, so that the answer costs little; its tokens are those of transformers. */
const QUESTION = GOLDEN[0]!;

export interface RealClusterOptions {
  /** Where the coordinator is to be found, ended with the cluster; null: the embedded bus. */
  nats?: NatsServer | null;
  /** Whose hosts it runs on, ended with the cluster. */
  network?: { end(): Promise<void> } | null;
  /** Over what every cluster of these tests has in its `spec`. */
  spec?: Record<string, unknown>;
}

/** Where a process runs: this machine as it is, or a part of it that is shut off. */
export interface Host {
  /** As processes of other hosts reach it. */
  address: string;
  /** What runs a command there, with its arguments. */
  enter: readonly string[];
}

export const HERE: Host = { address: "127.0.0.1", enter: [] };

export interface RealCoordinator extends Daemon {
  /** HOST:PORT of its gRPC API, the same in all its lives. */
  readonly endpoint: string;
}

/** The demo model served by processes as an operator starts them: `moesaic up`, `moesaic worker`, nats-server. */
export class RealCluster {
  /** Nobody else's. */
  readonly name = `real-${randomUUID().slice(0, 8)}`;
  readonly #folder = mkdtempSync(join(tmpdir(), "moesaic-real-"));
  readonly #nats: NatsServer | null;
  readonly #network: { end(): Promise<void> } | null;
  readonly #spec: Record<string, unknown>;
  readonly #daemons: Daemon[] = [];

  /** Everything goes away with the test; a process that does not makes it fail. */
  constructor(test: TestContext, { nats = null, network = null, spec = {} }: RealClusterOptions = {}) {
    this.#nats = nats;
    this.#network = network;
    this.#spec = spec;
    test.after(() => this.#close());
  }

  /** `moesaic up` on a port of its own; several are coordinators of one cluster. Not started yet. */
  async coordinator(host = HERE): Promise<RealCoordinator> {
    const name = `coordinator ${this.#daemons.length}`;
    const endpoint = `${host.address}:${await freePort()}`;
    const file = join(this.#folder, `${name}.yaml`);
    writeFileSync(file, JSON.stringify(this.#document(endpoint)));
    return Object.assign(this.#daemon(name, ["up", file, "--json", "--log-level", "info"], host), { endpoint });
  }

  /** `moesaic worker`, which finds the coordinator at its address, or on the bus. Not started yet. */
  worker(name: string, coordinator: Pick<RealCoordinator, "endpoint"> | "bus", host = HERE): Daemon {
    const bus = ["--bus", this.#nats?.url ?? "", "--cluster", this.name];
    const meeting = coordinator === "bus" ? bus : ["--join", coordinator.endpoint];
    return this.#daemon(name, ["worker", ...meeting, "--threads", "1", "--log-level", "info"], host);
  }

  /**
   * Resolves when the coordinator has formed its replicas of exactly these workers, has its bus, and answers with the right
   * tokens; a wrong token is an error at once. @returns milliseconds it took
   */
  async formed(coordinator: RealCoordinator, workers: readonly Daemon[], withinMs: number): Promise<number> {
    const startedMs = performance.now();
    let obstacle = "it was not asked";
    while (performance.now() - startedMs < withinMs) {
      const now = await this.#obstacle(coordinator, workers);
      if (now === null) return performance.now() - startedMs;
      obstacle = now;
      await sleep(POLL_MS);
    }
    throw new Error(`not formed within ${withinMs} ms: ${obstacle}\n${this.logs()}`);
  }

  async #obstacle(coordinator: RealCoordinator, workers: readonly Daemon[]): Promise<string | null> {
    return withClient(coordinator, async (client) => {
      try {
        const status = await client.status({ timeoutMs: TRY_MS });
        const missing = whatIsMissing(status, workers);
        if (missing === null) await checkAnswer(client);
        return missing;
      } catch (caught) {
        const error = MoesaicError.from(caught);
        if (error.code === "unavailable" || error.code === "deadline_exceeded") return error.describe();
        throw caught;
      }
    });
  }

  /** Ids of the processes of this cluster that run now, whoever started them; zombies do not. */
  pids(): number[] {
    const mark = `${MARK_VARIABLE}=${this.name}`;
    return readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .filter((entry) => readOrEmpty(`/proc/${entry}/environ`).split("\0").includes(mark))
      .map(Number);
  }

  logs(): string {
    return this.#daemons.map(({ name, log }) => `==== ${name}\n${log}`).join("\n");
  }

  /** Any other command of ours, which ends by itself. */
  command(args: readonly string[], host = HERE): ChildProcess {
    const [command, ...rest] = [...host.enter, process.execPath, MAIN_FILE, ...args] as [string, ...string[]];
    return spawn(command, rest, { env: { ...process.env, ...this.#env }, stdio: ["ignore", "pipe", "pipe"] });
  }

  /** Ranks that are not on the coordinator's loopback present the token. */
  get #env(): Record<string, string> {
    return { [MARK_VARIABLE]: this.name, MOESAIC_JOIN_TOKEN: `${this.name}-${"x".repeat(32)}` };
  }

  #daemon(name: string, args: readonly string[], host: Host): Daemon {
    const [command, ...rest] = [...host.enter, process.execPath, MAIN_FILE, ...args] as [string, ...string[]];
    const daemon = new Daemon({ name, command, args: rest, env: this.#env });
    this.#daemons.push(daemon);
    return daemon;
  }

  #document(grpc: string): object {
    return {
      apiVersion: "moesaic.dev/v1",
      kind: "Cluster",
      metadata: { name: this.name },
      spec: {
        model: DEMO_MODEL,
        maxModelLen: 1_024,
        plan: EXPERTS_ON_TWO_RANKS,
        workers: [{ host: "any", ranks: 2, threads: 1 }],
        bus: this.#nats?.url ?? "embedded",
        api: { grpc, http: "127.0.0.1:0" },
        // A machine that runs many tests at once may leave a process without a core for seconds.
        engine: { numBlocks: 1_024, stallMs: 10_000 },
        scheduler: { maxBatchedTokens: 128, maxSequences: 16 },
        ...this.#spec,
      },
    };
  }

  async #close(): Promise<void> {
    // Coordinators first: they end the workers they launched.
    await Promise.all(this.#daemons.map((daemon) => daemon.end("SIGTERM")));
    const left = this.pids();
    for (const pid of left) process.kill(pid, "SIGKILL");
    await this.#nats?.end();
    await this.#network?.end();
    rmSync(this.#folder, { recursive: true, force: true });
    assert.deepEqual(left, [], `processes outlived their cluster\n${this.logs()}`);
  }
}

/** Two ranks with half of the experts each. */
export const EXPERTS_ON_TWO_RANKS = {
  kind: "ShardingPlan",
  worldSize: 2,
  attention: { tp: 1 },
  experts: { ep: 2, tp: 1, assign: "auto" },
  tokens: "auto",
};

export async function withClient<T>(
  { endpoint }: RealCoordinator,
  use: (client: MoesaicClient) => Promise<T>,
): Promise<T> {
  const client = new MoesaicClient({ endpoint, defaultTimeoutMs: 120_000 });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

export function statusOf(coordinator: RealCoordinator): Promise<ClusterStatus> {
  return withClient(coordinator, (client) => client.status({ timeoutMs: TRY_MS }));
}

/** Asks a question whose answer is known. @throws AssertionError for another answer */
export async function checkAnswer(client: MoesaicClient, timeoutMs = TRY_MS): Promise<void> {
  const { prompt_tokens: tokenIds, generated_tokens: expected } = QUESTION;
  const sampling = { temperature: 0, maxTokens: expected.length + 8 };
  const { choices } = await client.complete({ tokenIds, sampling }, { timeoutMs });
  assert.deepEqual(choices[0]?.tokenIds, expected, "tokens of the answer");
}

function whatIsMissing({ state, reason, replicas, bus }: ClusterStatus, workers: readonly Daemon[]): string | null {
  if (state !== "ready") return `${state}: ${reason}`;
  const waiting = replicas.find((replica) => replica.state !== "ready");
  if (waiting !== undefined) return `replica ${waiting.replicaId} is ${waiting.state}: ${waiting.reason}`;
  if (bus?.state !== "connected") return `the bus is ${bus?.state ?? "not there"}`;
  const pids = replicas.flatMap(({ ranks }) => ranks.map(({ pid }) => pid)).toSorted((a, b) => a - b);
  const wanted = workers.flatMap(({ pid }) => (pid === null ? [] : [pid])).toSorted((a, b) => a - b);
  const isOfThem = pids.length === workers.length && pids.every((pid) => wanted.includes(pid));
  return workers.length === 0 || isOfThem ? null : `its ranks are ${pids.join()}, the workers ${wanted.join()}`;
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
