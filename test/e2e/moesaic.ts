import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text as readStream } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { MoesaicClient } from "../../client/client.js";
import { DEMO_MODEL, ROOT } from "../paths.js";

export const MAIN_FILE = join(ROOT, "dist", "cli", "main.js");
/** Longer than any command of a normal test takes on a busy machine. */
const COMMAND_TIMEOUT_MS = 120_000;
const READY_TIMEOUT_MS = 60_000;

export interface CommandInput {
  stdin?: string;
  timeoutMs?: number;
  /** Beside this process's own. */
  env?: Record<string, string>;
  /** Folder that it runs in. */
  cwd?: string;
}

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `moesaic …` to its end. */
export async function moesaic(
  args: readonly string[],
  { stdin = "", timeoutMs = COMMAND_TIMEOUT_MS, env = {}, cwd = "." }: CommandInput = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [MAIN_FILE, ...args], {
    cwd,
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    env: { ...process.env, ...env },
  });
  const exited = once(child, "close") as Promise<[number | null]>;
  child.stdin.on("error", () => {}); // A command that reads nothing may be gone already.
  child.stdin.end(stdin);
  const [stdout, stderr, [code]] = await Promise.all([readStream(child.stdout), readStream(child.stderr), exited]);
  return { code, stdout, stderr };
}

/** Arguments of a generation that outlives its test. */
export function longGeneration(endpoint: string): string[] {
  return ["generate", "--endpoint", endpoint, "--tokens", "1,2,3", "--ignore-eos", "--max-tokens", "4000"];
}

/** The lines of a command's standard output, each a JSON value. */
export function jsonLines<T>({ stdout, stderr }: CommandResult): T[] {
  try {
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as T);
  } catch (error) {
    throw new Error(`not JSON lines: ${stdout}\n${stderr}`, { cause: error });
  }
}

/** A folder that goes away with the test. */
export function temporaryFolder(test: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-test-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Keys of `spec`; what is left out is as documentOf says, or the product's default. */
export interface ClusterSettings {
  /** Folder of a checkpoint; the demo model's by default. */
  model?: string;
  api?: Record<string, unknown>;
  jobs?: Record<string, unknown>;
  engine?: Record<string, unknown>;
  scheduler?: Record<string, unknown>;
  maxModelLen?: number;
  plan?: Record<string, unknown>;
  workers?: Record<string, unknown>[];
  replicas?: number;
}

/** A cluster as `moesaic up` runs it, with a client; it goes away with the test. */
export class RunningCluster {
  readonly process: ChildProcess;
  readonly client: MoesaicClient;
  readonly endpoint: string;
  readonly http: string;
  /** Exit code and signal of `moesaic up`. */
  readonly exited: Promise<[number | null, NodeJS.Signals | null]>;

  /** @param folder of the cluster file; the same one again finds what was kept there */
  static async launch(
    test: TestContext,
    settings: ClusterSettings = {},
    folder = temporaryFolder(test),
  ): Promise<RunningCluster> {
    const file = join(folder, "cluster.yaml");
    writeFileSync(file, JSON.stringify(documentOf(settings)));
    const child = spawn(process.execPath, [MAIN_FILE, "up", file, "--json", "--log-level", "error"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const cluster = new RunningCluster(child, await readyEvent(child));
    test.after(() => cluster.close());
    return cluster;
  }

  private constructor(child: ChildProcess, { grpc, http }: ReadyEvent) {
    this.process = child;
    this.endpoint = grpc;
    this.http = http;
    this.client = new MoesaicClient({ endpoint: grpc, defaultTimeoutMs: COMMAND_TIMEOUT_MS });
    this.exited = exitOf(child);
  }

  /** Process ids of the ranks. */
  async workerPids(): Promise<number[]> {
    const { replicas } = await this.client.status();
    return replicas.flatMap(({ ranks }) => ranks.map(({ pid }) => pid));
  }

  /** A gauge or counter of /metrics by its name with labels. */
  async metric(name: string): Promise<number> {
    const response = await fetch(`http://${this.http}/metrics`);
    const line = (await response.text()).split("\n").find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.slice(name.length));
  }

  async close(): Promise<void> {
    this.client.close();
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 10_000);
    await this.exited;
    clearTimeout(timer);
  }
}

/** Waits until a condition holds, for the effects of other processes. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms for this to hold: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

interface ReadyEvent {
  event: "ready";
  grpc: string;
  http: string;
}

async function readyEvent(child: ChildProcess): Promise<ReadyEvent> {
  const late = setTimeout(() => child.kill("SIGKILL"), READY_TIMEOUT_MS);
  try {
    for await (const line of createInterface({ input: child.stdout! })) {
      const event = JSON.parse(line) as ReadyEvent;
      if (event.event === "ready") return event;
    }
  } finally {
    clearTimeout(late);
    child.stdout!.resume();
  }
  throw new Error("moesaic up ended, or was ended after a minute, before it was ready");
}

function exitOf(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve([child.exitCode, child.signalCode]);
  return once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
}

function documentOf(settings: ClusterSettings): object {
  return {
    apiVersion: "moesaic.dev/v1",
    kind: "Cluster",
    metadata: { name: "test" },
    spec: {
      model: DEMO_MODEL,
      maxModelLen: 4_096,
      api: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" },
      ...settings,
    },
  };
}
