import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { endAll, type LiveSequence, type OutputListener, type SequenceRunner } from "../engine-loop.js";
import type { FinishReason, SequenceSpec } from "../scheduler/sequence.js";

/** A replica as the router sees it. */
export interface Lane extends SequenceRunner {
  readonly replicaId: number;
  /**
   * ready; recovering: it has served, every seat is taken and the next epoch is on its way; away: it waits for ranks, or
   * has never been ready, or never will be again.
   */
  readonly availability: "ready" | "recovering" | "away";
  /** Tokens of its sequences, waiting ones included. */
  readonly numLiveTokens: number;
  /** Why it is not ready. */
  readonly reason: string;
}

/**
 * Gives each sequence to the ready replica with the least to do. A recovering one is waited for when none is ready; one
 * that is away gets nothing. Sequences of a replica that failed for good run on elsewhere.
 */
export class Router implements SequenceRunner {
  readonly #log: Logger;
  readonly #lanes: Lane[] = [];
  readonly #laneOf = new Map<number, Lane>();

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
    this.#laneOf.get(seqId)?.abort(seqId, finish);
  }

  /** Sequences whose replica failed for good: each goes on where there is room, with the tokens it has. */
  adopt(orphans: readonly LiveSequence[], error: MoesaicError): void {
    for (const orphan of orphans) {
      try {
        if (orphan.spec.wantsLogits) throw error;
        const spec = { ...orphan.spec, outputTokenIds: orphan.outputTokenIds };
        this.submit(spec, orphan.listener);
        this.#log.info({ seqId: spec.seqId, requestId: spec.requestId }, "sequence was handed over");
      } catch (caught) {
        this.#laneOf.delete(orphan.spec.seqId);
        endAll([orphan], MoesaicError.from(caught));
      }
    }
  }

  #submitTo(lane: Lane, spec: SequenceSpec, listener: OutputListener): void {
    lane.submit(spec, (output) => {
      if (output.finish !== undefined) this.#laneOf.delete(spec.seqId);
      listener(output);
    });
    this.#laneOf.set(spec.seqId, lane);
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
