import type { v1 } from "../../proto/messages.js";

/** A step of one rank, on the coordinator's monotonic clock: to within the time that the fastest of the rank's reports takes. */
export interface RankStep {
  stepId: number;
  beginMs: number;
  endMs: number;
  /** The part of it inside collectives, waiting for the other ranks included. */
  collectiveMs: number;
}

const MAX_STEPS = 512;
/** Reports whose fastest says how far the two clocks are apart: a quarter of a minute, in which they do not drift. */
const NUM_OFFSETS = 64;

/** The last steps of a rank, as it tells of them. */
export class RankSteps {
  #steps: RankStep[] = [];
  /** Of the last reports: when each came by this clock, less when it was sent by the rank's. */
  #offsets: number[] = [];

  /** Those with larger ids, oldest first. */
  after(stepId: number): RankStep[] {
    return this.#steps.filter((step) => step.stepId > stepId);
  }

  /** @param told what came at `nowMs`, sent at `sentMs` by the rank's clock; what is no step, or was told before, is passed over */
  take(told: readonly v1.StepTime.$Properties[], nowMs: number, sentMs: number): void {
    if (!Number.isFinite(sentMs)) return;
    this.#offsets = [...this.#offsets.slice(1 - NUM_OFFSETS), nowMs - sentMs];
    const sentHereMs = sentMs + Math.min(...this.#offsets);
    const fresh: RankStep[] = [];
    let lastId = this.#steps.at(-1)?.stepId ?? 0;
    for (const { step_id: id, ended_us_ago: agoUs, engine_us: engineUs, collective_us: waitedUs } of told.slice(
      -MAX_STEPS,
    )) {
      const stepId = id ?? 0;
      const [agoMs, engineMs, collectiveMs] = [agoUs, engineUs, waitedUs].map((us) => (us ?? 0) / 1_000);
      if (stepId <= lastId || ![agoMs, engineMs, collectiveMs].every((ms) => ms! >= 0 && ms! < Infinity)) continue;
      lastId = stepId;
      const endMs = sentHereMs - agoMs!;
      fresh.push({ stepId, beginMs: endMs - engineMs!, endMs, collectiveMs: Math.min(collectiveMs!, engineMs!) });
    }
    this.#steps = [...this.#steps, ...fresh].slice(-MAX_STEPS);
  }

  clear(): void {
    this.#steps = [];
    this.#offsets = [];
  }
}
