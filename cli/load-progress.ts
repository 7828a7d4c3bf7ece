import { MultiBar, Presets, type SingleBar } from "cli-progress";
import type { Coordinator } from "../coordinator/coordinator.js";

const MIB = 2 ** 20;

/** A bar per rank of each replica while weights load, on a terminal only. Ends by `stop`, which leaves no trace on the screen. */
export class LoadProgress {
  readonly #bars: MultiBar | null;
  readonly #barOfRank = new Map<string, SingleBar>();
  readonly #stopListening: () => void;

  constructor(coordinator: Coordinator, stderr: NodeJS.WriteStream) {
    const format = "{rank} [{bar}] {value} of {total} MiB";
    const options = { format, clearOnComplete: true, hideCursor: true, stream: stderr };
    this.#bars = stderr.isTTY ? new MultiBar(options, Presets.rect) : null;
    this.#stopListening = coordinator.onStatus(() => this.#show(coordinator));
  }

  stop(): void {
    this.#stopListening();
    this.#bars?.stop();
  }

  #show(coordinator: Coordinator): void {
    const replicas = coordinator.status().replicas ?? [];
    for (const { replica_id: replicaId, ranks } of replicas) {
      for (const { rank, load_bytes_done: done, load_bytes_planned: planned } of ranks ?? []) {
        const name = `${replicas.length > 1 ? `replica ${replicaId ?? 0} ` : ""}rank ${rank ?? 0}`;
        if (planned) this.#update(name, Math.round((done ?? 0) / MIB), Math.round(planned / MIB));
      }
    }
  }

  #update(rank: string, doneMib: number, totalMib: number): void {
    const bar = this.#barOfRank.get(rank) ?? this.#bars?.create(totalMib, 0, { rank });
    if (bar === undefined) return;
    this.#barOfRank.set(rank, bar);
    bar.update(doneMib);
  }
}
