import type { ExpertLoad } from "./cluster-view.js";

/** What counts as recent, and how often it is noted what it is counted from, milliseconds. */
const RECENT_MS = 30_000;
const NOTE_MS = 5_000;

interface ReplicaCounts {
  replicaId: number;
  epoch: number;
  /** Of each rank, layer after layer; of the wrong length: it does not count. */
  counts: readonly (readonly number[])[];
}

/** Where the tokens of each replica went, by what its ranks have counted, with what is recent of it. */
export class ExpertLoads {
  readonly #numLayers: number;
  readonly #numExperts: number;
  /** By replica, oldest first. */
  readonly #notes = new Map<number, { atMs: number; epoch: number; numTokens: number[] }[]>();

  constructor({ numLayers, numExperts }: { numLayers: number; numExperts: number }) {
    this.#numLayers = numLayers;
    this.#numExperts = numExperts;
  }

  /** To be called every second or so. */
  note(replica: ReplicaCounts, nowMs: number): void {
    const notes = this.#notes.get(replica.replicaId) ?? [];
    const { epoch } = replica;
    const last = notes.at(-1);
    if (last !== undefined && last.epoch === epoch && nowMs - last.atMs < NOTE_MS) return;
    const numTokens = this.#sum(replica.counts);
    if (numTokens === null) return;
    const all = [...notes.filter((note) => note.epoch === epoch), { atMs: nowMs, epoch, numTokens }];
    // The newest of those that are old enough is the one that is counted from.
    this.#notes.set(
      replica.replicaId,
      all.slice(
        Math.max(
          0,
          all.findLastIndex(({ atMs }) => atMs <= nowMs - RECENT_MS),
        ),
      ),
    );
  }

  /** @returns null when no rank counts */
  of({ replicaId, epoch, counts }: ReplicaCounts, nowMs: number): ExpertLoad | null {
    const numTokens = this.#sum(counts);
    if (numTokens === null) return null;
    const notes = (this.#notes.get(replicaId) ?? []).filter((note) => note.epoch === epoch);
    // Before half a minute has passed all of it is recent.
    const before = notes.findLast(({ atMs }) => atMs <= nowMs - RECENT_MS)?.numTokens;
    const numRecentTokens = numTokens.map((count, index) => Math.max(0, count - (before?.[index] ?? 0)));
    return { replicaId, epoch, numLayers: this.#numLayers, numExperts: this.#numExperts, numTokens, numRecentTokens };
  }

  /**
   * Ranks that share an expert's tensors all compute its pairs and count the same, give or take the moment of their report; others
   * count none of it: so the largest count is the one.
   */
  #sum(counts: readonly (readonly number[])[]): number[] | null {
    const length = this.#numLayers * this.#numExperts;
    const counting = counts.filter((ofRank) => ofRank.length === length);
    if (length === 0 || counting.length === 0) return null;
    return Array.from({ length }, (_, index) => Math.max(...counting.map((ofRank) => ofRank[index]!)));
  }
}
