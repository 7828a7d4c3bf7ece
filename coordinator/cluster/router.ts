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
  /** Tokens of its sequences, waiting ones included. */
  readonly numLiveTokens: number;
  /** Why it is not ready. */
  readonly reason: string;
}

/**
 * Gives each sequence to the ready replica with the least to do. A recovering one is waited for when none is ready; one
 * that is away gets nothing. Sequences of a replica that failed for good, or is drained, run on elsewhere.
 */
export class Router implements SequenceRunner {
  readonly #log: Logger;
  readonly #lanes: Lane[] = [];
  /** Where each sequence runs, and who listens to it. */
  readonly #routes = new Map<number, { lane: Lane; listener: OutputListener }>();

  constructor(log: Logger) {
    this.#log = log;
  }

  add(lane: Lane): void {
    this.#lanes.push(lane);
  }

  submit(spec: SequenceSpec, listener: OutputListener): void {
    let refusal: MoesaicError | null = null;
    for (const lane of this.#candidates()) {
      try {
        return this.#submitTo(lane, spec, listener);
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
        this.#routes.delete(spec.seqId);
        endAll([orphan], MoesaicError.from(caught));
      }
    }
  }

  #submitTo(lane: Lane, spec: SequenceSpec, listener: OutputListener): void {
    lane.submit(spec, (output) => {
      if (output.finish !== undefined) this.#routes.delete(spec.seqId);
      listener(output);
    });
    this.#routes.set(spec.seqId, { lane, listener });
  }

  #candidates(): Lane[] {
    const ready = this.#lanes.filter(({ availability }) => availability === "ready");
    const lanes = ready.length > 0 ? ready : this.#lanes.filter(({ availability }) => availability === "recovering");
    return lanes.toSorted((a, b) => a.numLiveTokens - b.numLiveTokens || a.replicaId - b.replicaId);
  }

  #nobody(): MoesaicError {
    const reasons = this.#lanes.map(({ replicaId, reason }) => `replica ${replicaId}: ${reason}`).join("; ");
    return new MoesaicError("unavailable", `no replica is ready: ${reasons || "none has been yet"}`);
  }
}
