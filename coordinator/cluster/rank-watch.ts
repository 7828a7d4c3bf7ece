import type { Clock } from "../../proto/clock.js";
import type { Seat } from "./seat.js";

/** A rank that says nothing for so long is lost; it reports its progress four times a second. */
const SILENCE_MS_MIN = 5_000;
/** Longest wait for a rank to bind its program. */
const SIZING_MS_MAX = 30_000;
/** Longest pause in a load, at least; reading and allocating fit, and waiting for peers does twice. */
const LOAD_STALL_MS_MIN = 60_000;

/**
 * Sees that no wait for a rank lasts for ever. `onLost` is called with the rank at fault: one that is silent, does not bind
 * its program, does not get on with its load, or holds up a step: then nobody's progress counter moves for stallMs, and the
 * rank to blame is the one that says nothing, or else is furthest behind.
 */
export class RankWatch {
  readonly #seats: readonly Seat[];
  readonly #stallMs: number;
  readonly #loadStallMs: number;
  readonly #clock: Clock;
  readonly #onLost: (seat: Seat, reason: string, isSilent: boolean) => void;
  #cancelTimer: (() => void) | null = null;
  #epochBeganMs = 0;
  #stepBeganMs: number | null = null;

  constructor(
    seats: readonly Seat[],
    { stallMs, peerDeadlineMs }: { stallMs: number; peerDeadlineMs: number },
    clock: Clock,
    onLost: (seat: Seat, reason: string, isSilent: boolean) => void,
  ) {
    this.#seats = seats;
    this.#stallMs = stallMs;
    this.#loadStallMs = Math.max(LOAD_STALL_MS_MIN, 2 * peerDeadlineMs);
    this.#clock = clock;
    this.#onLost = onLost;
  }

  /** Goes on while somebody is attached. */
  start(): void {
    if (this.#cancelTimer !== null) return;
    const intervalMs = Math.min(500, Math.max(25, this.#stallMs / 8));
    this.#cancelTimer = this.#clock.setTimer(intervalMs, () => {
      this.#cancelTimer = null;
      if (this.#seats.some((seat) => seat.connection !== null)) this.start();
      this.#look();
    });
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  epochBegan(): void {
    this.#epochBeganMs = this.#clock.nowMs();
  }

  /** A step was sent, or is the next after one that ended; one that runs already goes on. */
  stepBegan(): void {
    this.#stepBeganMs ??= this.#clock.nowMs();
  }

  stepEnded(): void {
    this.#stepBeganMs = null;
  }

  #look(): void {
    const nowMs = this.#clock.nowMs();
    const silenceMs = Math.max(SILENCE_MS_MIN, 3 * this.#stallMs);
    const attached = this.#seats.filter((seat) => seat.connection !== null && seat.state !== "draining");
    for (const seat of attached) {
      if (nowMs - seat.heardMs > silenceMs) return this.#onLost(seat, `it said nothing for ${silenceMs} ms`, true);
      const late = this.#lateness(seat, nowMs);
      if (late !== null) return this.#onLost(seat, late, false);
    }
    this.#lookAtStep(nowMs);
  }

  #lateness(seat: Seat, nowMs: number): string | null {
    if (this.#seats.some(({ connection }) => connection === null)) return null;
    if (seat.state === "attached" && seat.sized === null && nowMs - this.#epochBeganMs > SIZING_MS_MAX) {
      return `it did not bind its program within ${SIZING_MS_MAX} ms`;
    }
    if (seat.state === "loading" && nowMs - seat.movedMs > this.#loadStallMs) {
      return `its load stood still for ${this.#loadStallMs} ms`;
    }
    return null;
  }

  #lookAtStep(nowMs: number): void {
    const beganMs = this.#stepBeganMs;
    if (beganMs === null) return;
    // Whoever is away is waited for; meanwhile nothing is heard of how the step gets on.
    if (this.#seats.some(({ state }) => state === "away")) return;
    if (this.#seats.some((seat) => nowMs - Math.max(seat.movedMs, beganMs) < this.#stallMs)) return;
    const seat = this.#seats.reduce((worst, other) => (isBehind(other, worst, beganMs) ? other : worst));
    this.#onLost(seat, `no progress for ${this.#stallMs} ms, last op ${seat.progress?.op || "unknown"}`, false);
  }
}

/** Ranks wait for each other in collectives, so that all counters stand still together: the lowest is at fault. */
function isBehind(a: Seat, b: Seat, stepBeganMs: number): boolean {
  const isSilent = (seat: Seat): boolean => seat.heardMs <= stepBeganMs;
  if (isSilent(a) !== isSilent(b)) return isSilent(a);
  const stepOf = (seat: Seat): number => seat.progress?.step_id ?? 0;
  if (stepOf(a) !== stepOf(b)) return stepOf(a) < stepOf(b);
  return (a.progress?.counter ?? 0) < (b.progress?.counter ?? 0);
}
