import { MoesaicError } from "../../proto/errors.js";
import type { Automaton, AutomatonState, Symbol } from "./automaton-builder.js";

/** No text that began so can be completed. */
export const DEAD = -1;
const UNKNOWN = -2;

/** Rules within each other: JSON values nested deeper than this cannot be written. */
const CALL_DEPTH_MAX = 96;
const STATES_MAX = 20_000;
/** Steps of the nondeterministic automaton that one question may cost. */
const STEPS_MAX = 4_000_000;

/** Where a call returns to, and the frame below; interned, so that equal stacks have equal indices. */
interface Frame {
  returnState: number;
  below: number;
  depth: number;
}

interface KnownState {
  /** Places where the automaton may be, rising: a state and a frame each, see `#place`. */
  places: Float64Array;
  next: Int32Array;
  isAccepting: boolean;
}

/**
 * A nondeterministic automaton run as a deterministic one. A state is the set of all places where the automaton may be;
 * states are numbered as they are met and never change, so whoever knows a number may ask again from there.
 */
export class LazyAutomaton {
  static readonly START = 0;
  readonly #automaton: Automaton;
  readonly #numStates: number;
  readonly #numSymbols: number;
  readonly #frames: Frame[] = [{ returnState: -1, below: -1, depth: 0 }];
  readonly #frameIds = new Map<number, number>();
  readonly #states: KnownState[] = [];
  readonly #stateIds = new Map<string, number>();
  #stepsLeft = STEPS_MAX;

  /** @param numSymbols one more than the largest symbol */
  constructor(automaton: Automaton, numSymbols: number) {
    this.#automaton = automaton;
    this.#numStates = automaton.states.length;
    this.#numSymbols = numSymbols;
    this.#intern(this.#closure([automaton.start]));
  }

  /** States so far: each takes about a kilobyte. */
  get numStates(): number {
    return this.#states.length;
  }

  /** A new question: what it costs is counted from here. */
  beginQuestion(): void {
    this.#stepsLeft = STEPS_MAX;
  }

  /** Whether what was read up to this state is complete. */
  isAccepting(state: number): boolean {
    return this.#states[state]!.isAccepting;
  }

  /**
   * The state after one more symbol, or DEAD.
   * @throws MoesaicError resource_exhausted: the grammar is so ambiguous that the question or its states cost too much
   */
  step(state: number, symbol: Symbol): number {
    const { next } = this.#states[state]!;
    const known = next[symbol]!;
    if (known !== UNKNOWN) return known;
    const moved = this.#moved(this.#states[state]!.places, symbol);
    const reached = moved.length === 0 ? moved : this.#closure(moved);
    const to = reached.length === 0 ? DEAD : this.#intern(reached);
    next[symbol] = to;
    return to;
  }

  #moved(places: Float64Array, symbol: Symbol): number[] {
    const moved: number[] = [];
    for (const place of places) {
      const state = place % this.#numStates;
      const { ranges } = this.#automaton.states[state]!;
      this.#spend(1 + ranges.length);
      for (let at = 0; at < ranges.length; at += 3) {
        if (symbol >= ranges[at]! && symbol <= ranges[at + 1]!) moved.push(place - state + ranges[at + 2]!);
      }
    }
    return moved;
  }

  /** All places that can be reached without reading, of which those that read, and the end, are kept. */
  #closure(begin: readonly number[]): number[] {
    const seen = new Set(begin);
    const kept: number[] = [];
    for (const place of seen) {
      const stateId = place % this.#numStates;
      const state = this.#automaton.states[stateId]!;
      this.#spend(1 + state.jumps.length + state.calls.length);
      this.#follow(state, (place - stateId) / this.#numStates, seen);
      if (state.ranges.length > 0 || place === this.#automaton.end) kept.push(place);
    }
    return kept;
  }

  #follow(state: AutomatonState, frame: number, seen: Set<number>): void {
    for (const to of state.jumps) seen.add(this.#place(to, frame));
    for (let at = 0; at < state.calls.length; at += 2) {
      const called = this.#frame(state.calls[at + 1]!, frame);
      if (called !== DEAD) seen.add(this.#place(state.calls[at]!, called));
    }
    if (!state.isRuleEnd || frame === 0) return;
    const { returnState, below } = this.#frames[frame]!;
    seen.add(this.#place(returnState, below));
  }

  /** One number for both; in frame 0 it is the state. */
  #place(state: number, frame: number): number {
    return frame * this.#numStates + state;
  }

  #frame(returnState: number, below: number): number {
    const key = this.#place(returnState, below);
    const known = this.#frameIds.get(key);
    if (known !== undefined) return known;
    const depth = this.#frames[below]!.depth + 1;
    if (depth > CALL_DEPTH_MAX) return DEAD;
    const id = this.#frames.push({ returnState, below, depth }) - 1;
    this.#frameIds.set(key, id);
    return id;
  }

  #intern(reached: number[]): number {
    const places = Float64Array.from(reached).sort();
    const key = Buffer.from(places.buffer).toString("latin1");
    const known = this.#stateIds.get(key);
    if (known !== undefined) return known;
    if (this.#states.length === STATES_MAX) throw tooMuch(`more than ${STATES_MAX} states`);
    const isAccepting = places.includes(this.#automaton.end);
    const next = new Int32Array(this.#numSymbols).fill(UNKNOWN);
    const id = this.#states.push({ places, next, isAccepting }) - 1;
    this.#stateIds.set(key, id);
    return id;
  }

  #spend(steps: number): void {
    this.#stepsLeft -= steps;
    if (this.#stepsLeft < 0) throw tooMuch("too many ways to read what there is");
  }
}

function tooMuch(what: string): MoesaicError {
  const text = `the constraint has ${what}: use fewer alternatives that begin alike, and fewer repetitions within each other`;
  return new MoesaicError("resource_exhausted", text);
}
