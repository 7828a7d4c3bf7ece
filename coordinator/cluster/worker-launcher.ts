import { spawn, type ChildProcess } from "node:child_process";
import type { Clock } from "../../proto/clock.js";
import type { Logger } from "../../proto/log.js";

export interface WorkerCommand {
  command: string;
  args: string[];
  env: Record<string, string>;
}

/** How often a worker may be started again before its seat is given up, and the pause before each time. */
const RESTART_DELAYS_MS = [100, 1_000, 5_000];
/** A worker that ran this long has its restarts counted from zero again. */
const HEALTHY_AFTER_MS = 60_000;

/**
 * Keeps the local worker processes of a cluster running: starts one per rank, starts it again when it dies, and gives up
 * (`onGiveUp`) when it keeps dying.
 */
export class WorkerLauncher {
  onGiveUp: (reason: string) => void = () => {};
  readonly #command: () => WorkerCommand;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #children = new Set<ChildProcess>();
  #isStopping = false;

  constructor(command: () => WorkerCommand, clock: Clock, log: Logger) {
    this.#command = command;
    this.#clock = clock;
    this.#log = log;
  }

  launch(numWorkers: number): void {
    for (let worker = 0; worker < numWorkers; worker += 1) this.#start(0);
  }

  /** Workers that end from now on are not started again. */
  stopRestarting(): void {
    this.#isStopping = true;
  }

  /** Waits for the workers to leave by themselves, as drained ones do; after `graceMs` they are terminated, then killed. */
  async stop(graceMs: number): Promise<void> {
    this.stopRestarting();
    await this.#exited(graceMs);
    for (const child of this.#children) child.kill("SIGTERM");
    await this.#exited(1_000);
    for (const child of this.#children) child.kill("SIGKILL");
    await this.#exited(1_000);
  }

  #start(numRestarts: number): void {
    const { command, args, env } = this.#command();
    const startedMs = this.#clock.nowMs();
    const child = spawn(command, args, { env, stdio: ["ignore", "ignore", "inherit"] });
    this.#children.add(child);
    this.#log.info({ pid: child.pid }, "worker started");
    child.once("error", (error) => this.#ended(child, `cannot be started: ${error.message}`, startedMs, numRestarts));
    child.once("exit", (code, signal) =>
      this.#ended(child, `exited with ${signal ?? `code ${code}`}`, startedMs, numRestarts),
    );
  }

  #ended(child: ChildProcess, how: string, startedMs: number, numRestarts: number): void {
    if (!this.#children.delete(child) || this.#isStopping) return;
    const counted = this.#clock.nowMs() - startedMs > HEALTHY_AFTER_MS ? 0 : numRestarts;
    const delayMs = RESTART_DELAYS_MS[counted];
    if (delayMs === undefined) {
      this.onGiveUp(`the worker process ${how}; it was started ${counted + 1} times`);
      return;
    }
    this.#log.warn({ pid: child.pid, how, delayMs }, "worker ended and will be started again");
    this.#clock.setTimer(delayMs, () => {
      if (!this.#isStopping) this.#start(counted + 1);
    });
  }

  async #exited(withinMs: number): Promise<void> {
    const exits = [...this.#children].map(
      (child) => new Promise<void>((resolve) => child.once("close", () => resolve())),
    );
    if (exits.length === 0) return;
    let cancelTimer = () => {};
    const timeout = new Promise<void>((resolve) => {
      cancelTimer = this.#clock.setTimer(withinMs, resolve);
    });
    await Promise.race([Promise.all(exits), timeout]);
    cancelTimer();
  }
}
