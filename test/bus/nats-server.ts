import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { connectNatsBus } from "../../proto/bus/nats-bus.js";
import type { Bus } from "../../proto/bus/bus.js";
import { silentLogger } from "../../proto/log.js";
import { until, type BusFixture } from "./bus-fixture.js";

/** The program, or null. Debian puts it where the PATH of a plain user does not reach. */
export function findNatsServer(): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, "nats-server")).find(isExecutable) ?? null;
}

export const NO_NATS_SERVER =
  "nats-server is not on this machine; as root on Debian or Ubuntu: apt-get install nats-server";

export interface NatsServerOptions {
  /** Text of the configuration file. */
  configuration?: string;
  /** Default true. */
  jetstream?: boolean;
}

/** A nats-server process of our own with JetStream, its folder and port; both stay the same when it is restarted. */
export class NatsServer implements BusFixture {
  readonly url: string;
  readonly #program: string;
  #hasJetstream: boolean;
  readonly #port: number;
  readonly #folder: string;
  #process: ChildProcess | null = null;

  private constructor(program: string, port: number, options: NatsServerOptions) {
    this.#program = program;
    this.#hasJetstream = options.jetstream ?? true;
    this.#port = port;
    this.#folder = mkdtempSync(join(tmpdir(), "moesaic-nats-"));
    this.url = `nats://127.0.0.1:${port}`;
    writeFileSync(join(this.#folder, "nats.conf"), options.configuration ?? "");
  }

  static async start(program: string, options: NatsServerOptions = {}): Promise<NatsServer> {
    const server = await NatsServer.prepare(program, options);
    await server.bringBack();
    return server;
  }

  /** One with an address, that `bringBack` starts for the first time. */
  static async prepare(program: string, options: NatsServerOptions = {}): Promise<NatsServer> {
    return new NatsServer(program, await freePort(), options);
  }

  connect(): Promise<Bus> {
    return connectNatsBus({ url: this.url, credentialsFile: null, clientName: "test" }, silentLogger);
  }

  async takeAway(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#signalAndWait(signal);
  }

  async bringBack(): Promise<void> {
    const address = ["-a", "127.0.0.1", "-p", String(this.#port)];
    const jetstream = !this.#hasJetstream ? [] : ["-js", "-sd", this.#jetstreamFolder];
    const started = spawn(this.#program, ["-c", join(this.#folder, "nats.conf"), ...address, ...jetstream], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = started;
    await untilReady(started);
  }

  /** From the next start on. */
  giveJetstream(): void {
    this.#hasJetstream = true;
  }

  /** As a volume that did not outlive its container. Only while the server is away. */
  loseDisk(): void {
    rmSync(this.#jetstreamFolder, { recursive: true, force: true });
  }

  /** Alive, connected, and deaf until `resume`; resolves when none of its threads runs any more. */
  async suspend(): Promise<void> {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error("the server is away");
    process.kill(pid, "SIGSTOP");
    await until("the server is suspended", () => threadStates(pid).every((state) => state === "T"));
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async end(): Promise<void> {
    await this.#signalAndWait("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #jetstreamFolder(): string {
    return join(this.#folder, "jetstream");
  }

  async #signalAndWait(signal: NodeJS.Signals): Promise<void> {
    const running = this.#process;
    this.#process = null;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, "exit");
    running.kill(signal);
    await gone;
  }
}

async function untilReady(started: ChildProcess): Promise<void> {
  let log = "";
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`nats-server ${why}\n${log}`));
    const timer = setTimeout(() => fail("was not ready after 10 s"), 10_000);
    started.on("error", (error) => fail(error.message));
    started.on("exit", (code) => fail(`ended with ${code}`));
    started.stderr?.on("data", (part: Buffer) => {
      log += part.toString();
      if (!log.includes("Server is ready")) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * Below those that the kernel gives to whoever dials: a process that is to come back to its port must find it free, and
 * one that dials a port where nobody listens yet must not meet itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const probe = createServer().listen(port, "127.0.0.1");
    const isFree = await once(probe, "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}

/** Of proc(5): T is stopped. The name before it, in parentheses, may hold anything. */
function threadStates(pid: number): (string | undefined)[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2)[0];
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
