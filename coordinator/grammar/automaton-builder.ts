import { MoesaicError } from "../../proto/errors.js";

/**
 * What an automaton reads: 0 to 255 are the bytes of ordinary tokens; from CONTROL_SYMBOLS on each control token is one
 * symbol, so that no text can spell one.
 */
export type Symbol = number;
export const CONTROL_SYMBOLS = 256;

/** Adds states behind `from` that read something, and returns the state in which it has been read. */
export type Piece = (automaton: AutomatonBuilder, from: number) => number;

/** A part of the automaton that is entered from several places, or from within itself; it reads at least one symbol. */
export interface Rule {
  start: number;
  end: number;
}

/** One state: where it goes by a symbol, by none, and through a rule. Flat lists, for speed. */
export interface AutomatonState {
  /** Triples of first symbol, last symbol, next state. */
  ranges: number[];
  jumps: number[];
  /** Pairs of a rule's start and the state to go on in. */
  calls: number[];
  /** The end of a rule: goes on where it was called. */
  isRuleEnd: boolean;
}

/** A nondeterministic automaton with calls: as many languages as a grammar without left recursion has. */
export interface Automaton {
  states: readonly AutomatonState[];
  start: number;
  end: number;
}

/** Larger ones are refused: what they cost is proportional to it. */
const STATES_MAX = 40_000;

/** @throws MoesaicError invalid_argument when it grows too large */
export class AutomatonBuilder {
  readonly #states: AutomatonState[] = [];
  readonly #rules = new Map<string, Rule>();

  /** The automaton that reads `piece` from beginning to end. @throws MoesaicError invalid_argument: too large, a rule that begins with itself */
  static build(piece: Piece): Automaton {
    const builder = new AutomatonBuilder();
    const start = builder.state();
    const end = piece(builder, start);
    builder.#refuseLeftRecursion();
    builder.#removeDeadEnds(end);
    return { states: builder.#states, start, end };
  }

  state(): number {
    if (this.#states.length === STATES_MAX) {
      const text = `the constraint needs more than ${STATES_MAX} states: use smaller repetitions, lengths or fewer alternatives`;
      throw new MoesaicError("invalid_argument", text);
    }
    return this.#states.push({ ranges: [], jumps: [], calls: [], isRuleEnd: false }) - 1;
  }

  edge(from: number, first: Symbol, last: Symbol, to: number): void {
    this.#states[from]!.ranges.push(first, last, to);
  }

  jump(from: number, to: number): void {
    this.#states[from]!.jumps.push(to);
  }

  /** Enters the rule of that name, made when it is new, and goes on in `to`. */
  call(from: number, name: string, piece: () => Piece, to: number): void {
    this.#states[from]!.calls.push(this.#rule(name, piece).start, to);
  }

  #rule(name: string, piece: () => Piece): Rule {
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const rule = { start: this.state(), end: -1 };
    // Known before it is filled: it may call itself.
    this.#rules.set(name, rule);
    rule.end = piece()(this, rule.start);
    this.#states[rule.end]!.isRuleEnd = true;
    return rule;
  }

  /**
   * Removes all ways from which no end can be reached, so that whatever has been read can be completed. A state is alive
   * when the end of its rule can be reached; what a dead state is reached by is found again until nothing changes.
   */
  #removeDeadEnds(end: number): void {
    const alive = new Set([end, ...[...this.#states.keys()].filter((state) => this.#states[state]!.isRuleEnd)]);
    const before = this.#predecessors();
    for (const state of alive) {
      for (const { from, other } of before[state]!) if (other === -1 || alive.has(other)) alive.add(from);
    }
    for (const state of this.#states) keepAlive(state, alive);
  }

  /** By state: from where it is reached; a call needs `other`, the second of its two states, too. */
  #predecessors(): { from: number; other: number }[][] {
    const before = this.#states.map((): { from: number; other: number }[] => []);
    for (const [from, { ranges, jumps, calls }] of this.#states.entries()) {
      for (let at = 0; at < ranges.length; at += 3) before[ranges[at + 2]!]!.push({ from, other: -1 });
      for (const to of jumps) before[to]!.push({ from, other: -1 });
      for (let at = 0; at < calls.length; at += 2) {
        before[calls[at]!]!.push({ from, other: calls[at + 1]! });
        before[calls[at + 1]!]!.push({ from, other: calls[at]! });
      }
    }
    return before;
  }

  /** A rule that can call itself before it has read anything would be entered without end. */
  #refuseLeftRecursion(): void {
    const done = new Set<number>();
    for (const [name, { start }] of this.#rules) {
      if (!this.#beginsWithItself(start, done)) continue;
      throw new MoesaicError("invalid_argument", "refers to itself before anything else", { place: name });
    }
  }

  /** Depth first, without recursion of our own: a chain of rules may be long. */
  #beginsWithItself(start: number, done: Set<number>): boolean {
    const open = new Set<number>();
    const stack = [{ rule: start, isExit: false }];
    while (stack.length > 0) {
      const { rule, isExit } = stack.pop()!;
      if (isExit) {
        open.delete(rule);
        done.add(rule);
        continue;
      }
      if (open.has(rule)) return true;
      if (done.has(rule)) continue;
      open.add(rule);
      stack.push({ rule, isExit: true });
      for (const called of this.#firstCalls(rule)) stack.push({ rule: called, isExit: false });
    }
    return false;
  }

  /** Starts of the rules that may be called from `start` before a symbol is read. */
  #firstCalls(start: number): Set<number> {
    const seen = new Set([start]);
    const called = new Set<number>();
    for (const state of seen) {
      const { jumps, calls } = this.#states[state]!;
      for (const to of jumps) seen.add(to);
      for (let at = 0; at < calls.length; at += 2) called.add(calls[at]!);
    }
    return called;
  }
}

function keepAlive(state: AutomatonState, alive: ReadonlySet<number>): void {
  const { ranges, calls } = state;
  state.jumps = state.jumps.filter((to) => alive.has(to));
  state.ranges = grouped(ranges, 3)
    .filter(([, , to]) => alive.has(to!))
    .flat();
  state.calls = grouped(calls, 2)
    .filter((both) => both.every((to) => alive.has(to)))
    .flat();
}

function grouped(list: readonly number[], size: number): number[][] {
  return Array.from({ length: list.length / size }, (_, index) => list.slice(index * size, (index + 1) * size));
}
