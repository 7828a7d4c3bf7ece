import { MoesaicError } from "../../proto/errors.js";
import { CompiledGrammar } from "./compiled-grammar.js";
import type { GrammarLink } from "./grammar-link.js";
import type { StateAnswer } from "./grammar-messages.js";
import type { GrammarSpec } from "./grammar-spec.js";

/** Compiled grammars that are kept for the next request with the same constraint. */
const KEPT_MAX = 32;

/**
 * Grammars by their constraints. The thread behind them is started by the first constraint; one that is lost takes its
 * grammars with it: their sequences end with an error, and the next constraint starts another.
 */
export class GrammarService {
  readonly #open: () => GrammarLink;
  #link: GrammarLink | null = null;
  /** By the constraint's text, the one used last at the end. */
  readonly #kept = new Map<string, CompiledGrammar>();

  /** @param open begins another thread */
  constructor(open: () => GrammarLink) {
    this.#open = open;
  }

  /**
   * The grammar of a constraint. Whoever gets it must `release` it once.
   * @throws MoesaicError invalid_argument with the place in the constraint; resource_exhausted: it costs too much
   */
  async compile(spec: GrammarSpec): Promise<CompiledGrammar> {
    const key = JSON.stringify(spec);
    const known = this.#kept.get(key);
    if (known?.isFresh === true) return this.#keep(key, known).retain();
    if (this.#link === null || this.#link.loss !== null) this.#link = this.#open();
    const link = this.#link;
    const answer = await new Promise<StateAnswer>((resolve, reject) => {
      const listener = (result: StateAnswer | MoesaicError): void =>
        result instanceof MoesaicError ? reject(result) : resolve(result);
      link.ask({ kind: "compile", spec }, listener);
    });
    return this.#keep(key, new CompiledGrammar(answer, link)).retain();
  }

  /** Puts it at the end, and lets go of what was not used for the longest time. */
  #keep(key: string, grammar: CompiledGrammar): CompiledGrammar {
    const before = this.#kept.get(key);
    this.#kept.delete(key);
    this.#kept.set(key, grammar);
    if (before !== grammar) {
      grammar.retain();
      before?.release();
    }
    for (const [oldest, old] of this.#kept) {
      if (this.#kept.size <= KEPT_MAX) break;
      this.#kept.delete(oldest);
      old.release();
    }
    return grammar;
  }
}
