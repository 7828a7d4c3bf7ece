import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { packagePath } from "../../native/index.js";
import type { Host } from "./real-cluster.js";

/** Built from native/comm/test/network, where its lines are described. */
const PROGRAM = join(dirname(packagePath("reference")), "moesaic_test_network");
const ANSWER_MS = 10_000;

/** Hosts in network namespaces of their own, on a network that a program plays: every packet takes its time, links can be cut. */
export class TestNetwork {
  readonly hosts: readonly Host[];
  readonly #program: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** @returns why there can be none on this machine, as a text */
  static async start(numHosts: number, delayUs: number): Promise<TestNetwork | string> {
    const program = spawn(PROGRAM, [String(numHosts), String(delayUs)], { stdio: ["pipe", "pipe", "pipe"] });
    const reasons: string[] = [];
    program.stderr.on("data", (part: Buffer) => reasons.push(part.toString().trim()));
    const lines = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
    const hosts: Host[] = [];
    for (;;) {
      const line = await nextLine(lines);
      if (line === "ready") return new TestNetwork(program, lines, hosts);
      const [, address, pid] = /^host \d+ (\S+) (\d+)$/.exec(line) ?? [];
      if (address === undefined || pid === undefined) return `${line.replace("skipped ", "")}: ${reasons.join("; ")}`;
      hosts.push({ address, enter: ["nsenter", "--target", pid, "--net", "--ipc", "--mount", "--"] });
    }
  }

  private constructor(program: ChildProcess, lines: AsyncIterator<string>, hosts: readonly Host[]) {
    this.hosts = hosts;
    this.#program = program;
    this.#lines = lines;
  }

  /** Both ways, until `heal`. */
  cut(a: number, b: number): Promise<void> {
    return this.#tell(`cut ${a} ${b}`, "cut");
  }

  heal(): Promise<void> {
    return this.#tell("heal", "healed");
  }

  /** Only when nothing runs on its hosts any more. */
  async end(): Promise<void> {
    const exited = once(this.#program, "exit");
    this.#program.stdin!.end();
    await exited;
  }

  async #tell(line: string, answer: string): Promise<void> {
    this.#program.stdin!.write(`${line}\n`);
    const got = await nextLine(this.#lines);
    if (got !== answer) throw new Error(`expected ${answer} after ${line}, got ${got}`);
  }
}

async function nextLine(lines: AsyncIterator<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${PROGRAM} said nothing for ${ANSWER_MS} ms`)), ANSWER_MS);
  });
  try {
    const { done, value } = await Promise.race([lines.next(), late]);
    return done === true ? "skipped it ended without a word" : value;
  } finally {
    clearTimeout(timer);
  }
}
