import { spawn, type ChildProcess } from "node:child_process";
import type { Clock } from "../../proto/clock.js";
import type { Logger } from "../../proto/log.js";

export interface WorkerCommand {
  command: string;
  args: string[];
  env: Record<string, string>;
}

/** One local worker that is to be there. */
export interface LaunchedWorker {
  /** Its secret, by which it is known when it attaches, also after a restart. */
  launchId: string;
  /** Of its engine. */
  threads: number;
  device: "cpu" | "cuda";
  /** Among the workers of this machine: which GPU it gets. */
  index: number;
}

/** How often a worker may be started again before its seat is given up, and the pause before each time. */
const RESTART_DELAYS_MS = [100, 1_000, 5_000];
/** A worker that ran this long has its restarts counted from zero again. */
const HEALTHY_AFTER_MS = 60_000;
/** How long a worker whose rank was lost may take to end by itself, milliseconds. */
const LOST_GRACE_MS = 1_000;

/**
 * Keeps the local worker processes of a cluster running: starts one per seat, starts it again when it ends, and gives up
 * (`onGiveUp`) when it keeps dying.
 */
export class WorkerLauncher {
  onGiveUp: (worker: LaunchedWorker, reason: string) => void = () => {};
  /** Called whenever a worker's process has ended. */
  onEnded: (worker: LaunchedWorker) => void = () => {};
  readonly #command: (worker: LaunchedWorker) => WorkerCommand;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #children = new Map<ChildProcess, LaunchedWorker>();
  /** Launch ids of workers that nobody needs any more. */
  readonly #retired = new Set<string>();
  /** By launch id, workers whose place somebody else has for now. */
  readonly #standingBy = new Map<string, LaunchedWorker | null>();
  readonly #killAll = (): void => this.#signal("SIGKILL");
  #isStopping = false;

  constructor(command: (worker: LaunchedWorker) => WorkerCommand, clock: Clock, log: Logger) {
    this.#command = command;
    this.#clock = clock;
    this.#log = log;
  }

  launch(workers: readonly LaunchedWorker[]): void {
    for (const worker of workers) {
      if (this.#standingBy.has(worker.launchId)) this.#standingBy.set(worker.launchId, worker);
      else this.#start(worker, 0);
    }
  }

  /** Somebody else has the worker's place: it ends, or is not started, until `callBack`. */
  standBy(launchId: string): void {
    if (!this.#standingBy.has(launchId)) this.#standingBy.set(launchId, null);
    for (const [child, worker] of this.#children) {
      if (worker.launchId !== launchId) continue;
      this.#standingBy.set(launchId, worker);
      child.kill("SIGTERM");
    }
  }

  /** The worker's place is free again. */
  callBack(launchId: string): void {
    const worker = this.#standingBy.get(launchId) ?? null;
    this.#standingBy.delete(launchId);
    if (worker !== null && !this.#isOver(worker)) this.#start(worker, 0);
  }

  /** A rank of this launch was lost: a process that hangs, or was stopped, would never make room for its successor. */
  rankLost(launchId: string): void {
    for (const [child, worker] of this.#children) {
      if (worker.launchId !== launchId) continue;
      const cancel = this.#clock.setTimer(LOST_GRACE_MS, () => child.kill("SIGKILL"));
      child.once("exit", cancel);
    }
  }

  /** A worker that ends from now on is not started again. */
  retire(launchId: string): void {
    this.#retired.add(launchId);
  }

  /** Workers that end from now on are not started again. */
  stopRestarting(): void {
    this.#isStopping = true;
  }

  /** From now on nobody comes for workers whose coordinator ends: they end with this process. */
  leaveNoneBehind(): void {
    process.once("exit", this.#killAll);
  }

  /** Waits for the workers to leave by themselves, as drained ones do; after `graceMs` they are terminated, then killed. */
  async stop(graceMs: number): Promise<void> {
    this.stopRestarting();
    await this.#exited(graceMs);
    this.#signal("SIGTERM");
    await this.#exited(1_000);
    this.#signal("SIGKILL");
    await this.#exited(1_000);
    process.off("exit", this.#killAll);
  }

  #signal(name: "SIGTERM" | "SIGKILL"): void {
    for (const child of this.#children.keys()) child.kill(name);
  }

  #start(worker: LaunchedWorker, numRestarts: number): void {
    const { command, args, env } = this.#command(worker);
    const startedMs = this.#clock.nowMs();
    const child = spawn(command, args, { env, stdio: ["ignore", "ignore", "inherit"] });
    this.#children.set(child, worker);
    this.#log.info({ pid: child.pid }, "worker started");
    const ended = (how: string, wasDrained: boolean) => {
      const ranMs = this.#clock.nowMs() - startedMs;
      this.#ended(child, how, wasDrained || ranMs > HEALTHY_AFTER_MS ? 0 : numRestarts);
    };
    child.once("error", (error) => ended(`cannot be started: ${error.message}`, false));
    child.once("exit", (code, signal) => ended(`exited with ${signal ?? `code ${code}`}`, code === 0));
  }

  #ended(child: ChildProcess, how: string, numRestarts: number): void {
    const worker = this.#children.get(child);
    if (worker === undefined) return;
    this.#children.delete(child);
    this.onEnded(worker);
    if (this.#isOver(worker)) return;
    const delayMs = RESTART_DELAYS_MS[numRestarts];
    if (delayMs === undefined) {
      this.onGiveUp(worker, `the worker process ${how}; it was started ${numRestarts + 1} times`);
      return;
    }
    this.#log.warn({ pid: child.pid, how, delayMs }, "worker ended and will be started again");
    this.#clock.setTimer(delayMs, () => {
      if (!this.#isOver(worker)) this.#start(worker, numRestarts + 1);
    });
  }

  #isOver({ launchId }: LaunchedWorker): boolean {
    return this.#isStopping || this.#retired.has(launchId) || this.#standingBy.has(launchId);
  }

  async #exited(withinMs: number): Promise<void> {
    const exits = [...this.#children.keys()].map(
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
