import { MultiBar, Presets, type SingleBar } from "cli-progress";
import type { Coordinator } from "../coordinator/coordinator.js";

const MIB = 2 ** 20;

/** A bar per rank while weights load, on a terminal only. Ends by `stop`, which leaves no trace on the screen. */
export class LoadProgress {
  readonly #bars: MultiBar | null;
  readonly #barOfRank = new Map<number, SingleBar>();
  readonly #stopListening: () => void;

  constructor(coordinator: Coordinator, stderr: NodeJS.WriteStream) {
    const format = "rank {rank} [{bar}] {value} of {total} MiB";
    const options = { format, clearOnComplete: true, hideCursor: true, stream: stderr };
    this.#bars = stderr.isTTY ? new MultiBar(options, Presets.rect) : null;
    this.#stopListening = coordinator.onStatus(() => this.#show(coordinator));
  }

  stop(): void {
    this.#stopListening();
    this.#bars?.stop();
  }

  #show(coordinator: Coordinator): void {
    for (const replica of coordinator.status().replicas ?? []) {
      for (const { rank, load_bytes_done: done, load_bytes_planned: planned } of replica.ranks ?? []) {
        if (planned) this.#update(rank ?? 0, Math.round((done ?? 0) / MIB), Math.round(planned / MIB));
      }
    }
  }

  #update(rank: number, doneMib: number, totalMib: number): void {
    const bar = this.#barOfRank.get(rank) ?? this.#bars?.create(totalMib, 0, { rank });
    if (bar === undefined) return;
    this.#barOfRank.set(rank, bar);
    bar.update(doneMib);
  }
}
