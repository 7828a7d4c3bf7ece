import { type Piece, type Symbol } from "./automaton-builder.js";

/** Reads nothing. */
export const nothing: Piece = (_, from) => from;

/** One symbol from `first` to `last`. */
export function symbol(first: Symbol, last: Symbol = first): Piece {
  return (automaton, from) => {
    const to = automaton.state();
    automaton.edge(from, first, last, to);
    return to;
  };
}

/** The UTF-8 bytes of a text. */
export function literal(text: string): Piece {
  return sequence(...Array.from(Buffer.from(text), (byte) => symbol(byte)));
}

export function sequence(...pieces: readonly Piece[]): Piece {
  return (automaton, from) => pieces.reduce((state, piece) => piece(automaton, state), from);
}

/** One of the pieces; reads nothing at all when there are none. */
export function anyOf(pieces: readonly Piece[]): Piece {
  return (automaton, from) => {
    const to = automaton.state();
    for (const piece of pieces) automaton.jump(piece(automaton, fork(automaton, from)), to);
    return to;
  };
}

export function optional(piece: Piece): Piece {
  return repeated(piece, 0, 1);
}

/** `min` to `max` times; `max` may be Infinity. */
export function repeated(piece: Piece, min: number, max: number): Piece {
  return (automaton, from) => {
    let state = from;
    // A state for each time, so that the size of the automaton bounds the repetitions of what reads nothing.
    const once = (): number => piece(automaton, fork(automaton, state));
    for (let times = 0; times < min; times++) state = once();
    if (max === Infinity) {
      const loop = fork(automaton, state);
      automaton.jump(piece(automaton, fork(automaton, loop)), loop);
      return fork(automaton, loop);
    }
    const to = automaton.state();
    for (let times = min; times < max; times++) {
      automaton.jump(state, to);
      state = once();
    }
    automaton.jump(state, to);
    return to;
  };
}

/** A rule by its name: what is read may contain itself, and is there once however often it is called. */
export function rule(name: string, piece: () => Piece): Piece {
  return (automaton, from) => {
    const to = automaton.state();
    automaton.call(from, name, piece, to);
    return to;
  };
}

/** A state of its own behind `from`, so that what a piece adds cannot be entered again from elsewhere. */
export function fork(automaton: Parameters<Piece>[0], from: number): number {
  const to = automaton.state();
  automaton.jump(from, to);
  return to;
}
