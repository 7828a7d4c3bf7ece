import { assert } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import type { RankConnection } from "./rank-connection.js";

export type SeatState = "waiting" | "attached" | "loading" | "ready" | "draining" | "lost";

/** The place of one rank in a replica and all that is known of whoever sits there. */
export class Seat {
  state: SeatState = "waiting";
  connection: RankConnection | null = null;
  sized: v1.Sized.$Properties | null = null;
  ready: v1.Ready.$Properties | null = null;
  progress: v1.Progress.$Properties | null = null;
  loadBytesDone = 0;
  loadBytesPlanned = 0;
  #leftListeners: (() => void)[] = [];

  constructor(readonly rank: number) {}

  take(connection: RankConnection): void {
    assert(this.connection === null, `seat ${this.rank} is free`);
    this.connection = connection;
    this.state = "attached";
    this.sized = null;
    this.ready = null;
    this.progress = null;
    this.loadBytesDone = 0;
    this.loadBytesPlanned = 0;
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
}
