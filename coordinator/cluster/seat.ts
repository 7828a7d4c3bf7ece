import { assert } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import type { RankConnection } from "./rank-connection.js";
import { RankSteps } from "./rank-steps.js";

/** away: the stream of a ready rank broke; it may come back. */
export type SeatState = "waiting" | "attached" | "loading" | "ready" | "away" | "draining" | "lost";

/** Who may sit here. */
export interface SeatRequirement {
  /** Host name or address, as the spec has it; null: any. */
  host: string | null;
  device: "cpu" | "cuda" | null;
  /** Secret of the worker that is launched for this seat; null: none is. */
  launchId: string | null;
}

/** More counts than any model has experts in all of its layers are not kept. */
const MAX_EXPERT_COUNTS = 2 ** 20;

export const ANYBODY: SeatRequirement = { host: null, device: null, launchId: null };

/** The place of one rank in a replica and all that is known of whoever sits there. */
export class Seat {
  state: SeatState = "waiting";
  connection: RankConnection | null = null;
  sized: v1.Sized.$Properties | null = null;
  ready: v1.Ready.$Properties | null = null;
  progress: v1.Progress.$Properties | null = null;
  /** Layer after layer, pairs of token and expert that the rank has computed in this epoch; empty: it does not count. */
  expertTokens: readonly number[] = [];
  readonly steps = new RankSteps();
  loadBytesDone = 0;
  loadBytesPlanned = 0;
  /** When the rank came. */
  takenMs = 0;
  /** When the rank last said anything. */
  heardMs = 0;
  /** When what it says last showed work done. */
  movedMs = 0;
  #lastHello: v1.Hello.$Properties | null = null;
  #leftListeners: (() => void)[] = [];

  constructor(
    readonly rank: number,
    readonly requirement: SeatRequirement = ANYBODY,
  ) {}

  /** Of the rank that sits here or is away; empty when the seat is. */
  get hostId(): string {
    return this.hello?.host_id ?? "";
  }

  get hello(): v1.Hello.$Properties | null {
    return this.connection?.hello ?? (this.state === "away" ? this.#lastHello : null);
  }

  /**
   * How well a worker fits this free seat: 0 not at all, then by what it has in common with the seat's last or intended
   * worker, so that who comes back gets the rank it had.
   */
  fit(hello: v1.Hello.$Properties): number {
    const { host, launchId } = this.requirement;
    if (this.connection !== null) return 0;
    if (launchId !== null && hello.launch_id === launchId) return 5;
    if (!this.accepts(hello)) return 0;
    const last = this.#lastHello;
    if (last === null || last.host_id !== hello.host_id) return host === null ? 1 : 2;
    return last.pid === hello.pid ? 4 : 3;
  }

  /** Whether device and host are those that are wanted here. */
  accepts(hello: v1.Hello.$Properties): boolean {
    const { device, host } = this.requirement;
    return (device === null || hello.device?.kind === device) && (host === null || isOfHost(hello, host));
  }

  take(connection: RankConnection, nowMs: number): void {
    assert(this.connection === null, `seat ${this.rank} is free`);
    this.connection = connection;
    this.#lastHello = connection.hello;
    this.takenMs = nowMs;
    this.heardMs = nowMs;
    this.beginEpoch(nowMs);
  }

  /** Nothing of an epoch before counts any more. */
  beginEpoch(nowMs: number): void {
    this.state = "attached";
    this.sized = null;
    this.ready = null;
    this.progress = null;
    this.expertTokens = [];
    this.steps.clear();
    this.loadBytesDone = 0;
    this.loadBytesPlanned = 0;
    this.movedMs = nowMs;
  }

  progressed(message: v1.Progress.$Properties, nowMs: number): void {
    const { steps, expert_tokens: counts, ...progress } = message;
    if (progress.counter !== this.progress?.counter) this.movedMs = nowMs;
    this.progress = progress;
    const numCounts = counts?.length ?? 0;
    if (numCounts > 0 && numCounts <= MAX_EXPERT_COUNTS) this.expertTokens = counts!;
    this.steps.take(steps ?? [], nowMs, progress.sent_ms ?? 0);
  }

  /** The rank's stream is gone, what it holds is not. */
  part(): void {
    this.connection = null;
    this.state = "away";
  }

  /** Whether this is the process that sat here last. */
  isLast({ host_id: hostId, pid }: v1.Hello.$Properties): boolean {
    return this.#lastHello !== null && this.#lastHello.host_id === hostId && this.#lastHello.pid === pid;
  }

  /** Takes the rank in again, with all that it had. */
  comeBack(connection: RankConnection, nowMs: number): void {
    this.connection = connection;
    this.#lastHello = connection.hello;
    this.state = "ready";
    this.heardMs = nowMs;
    this.movedMs = nowMs;
  }

  leave(): void {
    this.connection = null;
    this.state = this.state === "draining" ? "waiting" : "lost";
    for (const listener of this.#leftListeners.splice(0)) listener();
  }

  /** Resolves when nobody sits here. */
  whenLeft(): Promise<void> {
    if (this.connection === null) return Promise.resolve();
    return new Promise((resolve) => this.#leftListeners.push(resolve));
  }

  /** Where in its life the rank was, for error texts: "while loading (3 of 12 MB)", "in step 17 at op linear". */
  describePhase(): string {
    if (this.ready !== null) return `in step ${this.progress?.step_id ?? 0} at op ${this.progress?.op || "none"}`;
    if (this.state === "loading") return `while loading (${this.loadBytesDone} of ${this.loadBytesPlanned} bytes)`;
    return "before it was loaded";
  }

  /** Who would be let in: "rank 2 (host gpu-1, device cuda)". */
  describeWanted(): string {
    const { host, device } = this.requirement;
    const wanted = [...(host === null ? [] : [`host ${host}`]), ...(device === null ? [] : [`device ${device}`])];
    return `rank ${this.rank}${wanted.length === 0 ? "" : ` (${wanted.join(", ")})`}`;
  }
}

/** A host is named by its full name, the first part of that, or an address of its data plane. */
function isOfHost(hello: v1.Hello.$Properties, host: string): boolean {
  const name = (hello.host_id ?? "").split("/")[0]!;
  if (name === host || name.split(".")[0] === host) return true;
  return (hello.data_plane_addresses ?? []).some((address) => address.slice(0, address.lastIndexOf(":")) === host);
}

/** The worker that is there for the seat, where it was launched: who sits in it, else who is meant to. */
export function launchIdOf({ connection, requirement }: Seat): string {
  return (connection === null ? requirement.launchId : connection.hello.launch_id) ?? "";
}
