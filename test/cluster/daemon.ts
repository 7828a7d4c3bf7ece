import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** How long a process that ended by itself is left alone, milliseconds. */
const RESTART_DELAY_MS = 250;
/** How long a process that was told to end may take, milliseconds. */
const END_MS = 20_000;
/** What is kept of its output for a failure's message. */
const MAX_LOG_CHARS = 6_000;

export interface DaemonOptions {
  name: string;
  command: string;
  args: readonly string[];
  env?: Record<string, string>;
}

/** A process that is started again whenever it ends by itself, as a service manager does. */
export class Daemon {
  readonly name: string;
  readonly #options: DaemonOptions;
  #child: ChildProcess | null = null;
  #isWanted = false;
  #timer: NodeJS.Timeout | undefined;
  #log = "";

  constructor(options: DaemonOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Null while it does not run. */
  get pid(): number | null {
    const child = this.#child;
    return child !== null && child.exitCode === null && child.signalCode === null ? (child.pid ?? null) : null;
  }

  /** The end of what it wrote to standard error, over all its lives. */
  get log(): string {
    return this.#log;
  }

  start(): void {
    this.#isWanted = true;
    this.#spawn();
  }

  /** Stays down until `start`. @returns exit code and signal, null when it did not run */
  async end(signal: NodeJS.Signals): Promise<[number | null, NodeJS.Signals | null] | null> {
    this.#isWanted = false;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null || this.pid === null) return null;
    const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    const how = await exited;
    clearTimeout(timer);
    return how;
  }

  #spawn(): void {
    const { name, command, args, env = {} } = this.#options;
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    child.stderr.on("data", (part: Buffer) => this.#note(part.toString()));
    child.once("error", (error) => this.#note(`${name}: ${error.message}\n`));
    child.once("exit", (code, signal) => {
      this.#note(`-- ${name} ended with ${signal ?? code}\n`);
      if (this.#isWanted) this.#timer = setTimeout(() => this.#spawn(), RESTART_DELAY_MS);
    });
  }

  #note(text: string): void {
    this.#log = `${this.#log}${text}`.slice(-MAX_LOG_CHARS);
  }
}
