import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { endAll, type LiveSequence, type OutputListener, type SequenceRunner } from "../engine-loop.js";
import type { FinishReason, SequenceSpec } from "../scheduler/sequence.js";

/** A replica as the router sees it. */
export interface Lane extends SequenceRunner {
  readonly replicaId: number;
  /**
   * ready; recovering: it has served, every seat is taken and the next epoch is on its way; away: it waits for ranks, or
   * has never been ready, is being drained, or never will be ready again.
   */
  readonly availability: "ready" | "recovering" | "away";
  /** It has a sequence for each of its rows: another would wait for one of them to end. */
  readonly isFull: boolean;
  /** What a step of so many tokens takes there, milliseconds; null: it has not run enough of them. */
  measuredStepMs(numTokens: number): number | null;
  /** How many of the sequence's tokens it need not compute. */
  numCachedTokens(spec: SequenceSpec): number;
  /** Why it is not ready. */
  readonly reason: string;
}

/** Steps of one size can be compared: one of a token takes nearly as long as one of many. */
const USUAL_NUM_TOKENS = 64;

/**
 * Time per token of each lane, up to a common factor. One that has run too little to be measured counts as fast as the others
 * are on average: a guess of its own would stand beside their measurements, and keep everybody from it or draw all to it.
 */
function msPerToken(lanes: readonly Lane[]): number[] {
  const measured = lanes.map((lane) => lane.measuredStepMs(USUAL_NUM_TOKENS));
  const known = measured.filter((stepMs) => stepMs !== null);
  const mean = known.length === 0 ? 1 : known.reduce((sum, stepMs) => sum + stepMs, 0) / known.length;
  return measured.map((stepMs) => (stepMs ?? mean) / USUAL_NUM_TOKENS);
}

/** Where a sequence runs, and who listens to it. */
interface Route {
  lane: Lane;
  listener: OutputListener;
  /** Tokens that are computed for it: its prompt's without those that were cached when it came, and its outputs. */
  numTokens: number;
}

/**
 * Gives each sequence to the ready replica that would have done its work and the sequence's first:
 *
 *     (tokens of its sequences + tokens of this one that it has not cached) / speed
 *
 * So a prefix draws to where it was computed, for as long as it takes less to wait there than to compute it elsewhere; then
 * another replica computes it and has it too. One with a sequence in every row comes after those with free ones, whatever it has
 * cached. A recovering one is waited for when none is ready; one that is away gets nothing. Sequences of a replica that failed
 * for good, or is drained, run on elsewhere.
 */
export class Router implements SequenceRunner {
  readonly #log: Logger;
  readonly #lanes: Lane[] = [];
  readonly #routes = new Map<number, Route>();
  /** By lane, the tokens of its routes. */
  readonly #numTokens = new Map<Lane, number>();

  constructor(log: Logger) {
    this.#log = log;
  }

  add(lane: Lane): void {
    this.#lanes.push(lane);
    this.#numTokens.set(lane, 0);
  }

  submit(spec: SequenceSpec, listener: OutputListener): void {
    let refusal: MoesaicError | null = null;
    // Hashed once, for whichever replica asks first.
    const hashed = { ...spec, blockHashes: [] };
    for (const { lane, numTokens } of this.#candidates(hashed)) {
      try {
        return this.#submitTo({ lane, listener, numTokens }, hashed);
      } catch (caught) {
        refusal ??= MoesaicError.from(caught);
        // Only what another replica may have room for is worth another try.
        if (refusal.code !== "resource_exhausted") throw refusal;
      }
    }
    throw refusal ?? this.#nobody();
  }

  abort(seqId: number, finish: FinishReason = "abort"): void {
    this.#routes.get(seqId)?.lane.abort(seqId, finish);
  }

  /** Sequences whose replica runs them no longer: each goes on where there is room, after what it has. */
  adopt(orphans: readonly LiveSequence[]): void {
    for (const orphan of orphans) {
      const { spec, outputTokenIds, numReturnedLogits } = orphan;
      try {
        // The replica's own ear at the old place stays behind.
        const listener = this.#routes.get(spec.seqId)?.listener ?? orphan.listener;
        this.submit({ ...spec, outputTokenIds, numReturnedLogits }, listener);
        this.#log.info({ seqId: spec.seqId, requestId: spec.requestId }, "sequence was handed over");
      } catch (caught) {
        this.#leaveRoute(spec.seqId);
        endAll([orphan], MoesaicError.from(caught));
      }
    }
  }

  #submitTo(route: Route, spec: SequenceSpec): void {
    const { lane, listener } = route;
    lane.submit(spec, (output) => {
      if (output.tokenId !== undefined) this.#count(route, 1);
      if (output.finish !== undefined) this.#leaveRoute(spec.seqId);
      listener(output);
    });
    this.#leaveRoute(spec.seqId);
    this.#routes.set(spec.seqId, route);
    this.#numTokens.set(lane, this.#numTokens.get(lane)! + route.numTokens);
  }

  #count(route: Route, numTokens: number): void {
    route.numTokens += numTokens;
    this.#numTokens.set(route.lane, this.#numTokens.get(route.lane)! + numTokens);
  }

  #leaveRoute(seqId: number): void {
    const route = this.#routes.get(seqId);
    if (route === undefined) return;
    this.#count(route, -route.numTokens);
    this.#routes.delete(seqId);
  }

  /** Lanes that may take a sequence, the best first, with the tokens that each would compute for it. */
  #candidates(spec: SequenceSpec): { lane: Lane; numTokens: number }[] {
    const ready = this.#lanes.filter(({ availability }) => availability === "ready");
    const lanes = ready.length > 0 ? ready : this.#lanes.filter(({ availability }) => availability === "recovering");
    const all = spec.promptTokenIds.length + (spec.outputTokenIds?.length ?? 0);
    if (lanes.length < 2) return lanes.map((lane) => ({ lane, numTokens: all }));
    const tokenMs = msPerToken(lanes);
    const candidates = lanes.map((lane, index) => {
      const numTokens = all - lane.numCachedTokens(spec);
      return { lane, numTokens, doneMs: (this.#numTokens.get(lane)! + numTokens) * tokenMs[index]! };
    });
    return candidates.toSorted(
      (a, b) =>
        Number(a.lane.isFull) - Number(b.lane.isFull) || a.doneMs - b.doneMs || a.lane.replicaId - b.lane.replicaId,
    );
  }

  #nobody(): MoesaicError {
    const reasons = this.#lanes.map(({ replicaId, reason }) => `replica ${replicaId}: ${reason}`).join("; ");
    return new MoesaicError("unavailable", `no replica is ready: ${reasons || "none has been yet"}`);
  }
}
