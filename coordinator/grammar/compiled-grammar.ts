import { assert, MoesaicError } from "../../proto/errors.js";
import { MASK_BITS, MASK_IDS, type TokenMask } from "../../proto/step.js";
import type { TokenMasker } from "../scheduler/token-masker.js";
import { isIn, type TokenSet } from "./grammar.js";
import type { GrammarLink } from "./grammar-link.js";
import type { StateAnswer } from "./grammar-messages.js";
import { LazyAutomaton } from "./lazy-automaton.js";

/** Beyond these it is not used for new requests, so that it is forgotten with those that have it. */
const STATES_FRESH_MAX = 5_000;
const SETS_FRESH_MAX = 128;
/** Known tokens between states; what is forgotten is asked again. */
const STEPS_KEPT_MAX = 100_000;

/** Called when what was asked is known, or never will be. */
type KnownListener = (error: MoesaicError | null) => void;

interface KnownState {
  allowedSetId: number;
  stayingSetId: number;
}

/**
 * What is known here of a grammar in the thread: states, their masks, and the tokens between states. Most steps of an
 * output are known, or stay in their state; the thread is asked for the others.
 */
export class CompiledGrammar {
  readonly #id: number;
  readonly #link: GrammarLink;
  readonly #states = new Map<number, KnownState>();
  readonly #sets: TokenSet[] = [];
  readonly #masks: TokenMask[] = [];
  readonly #steps = new Map<number, number>();
  readonly #asked = new Map<number, KnownListener[]>();
  #numUsers = 0;

  constructor(answer: StateAnswer, link: GrammarLink) {
    this.#id = answer.grammarId;
    this.#link = link;
    this.#learn(answer);
  }

  /** Whether a new request may use it. */
  get isFresh(): boolean {
    return this.#link.loss === null && this.#states.size < STATES_FRESH_MAX && this.#sets.length < SETS_FRESH_MAX;
  }

  /** One more user, who will call `release`. */
  retain(): this {
    this.#numUsers += 1;
    return this;
  }

  release(): void {
    this.#numUsers -= 1;
    assert(this.#numUsers >= 0, "a grammar was released more often than retained");
    if (this.#numUsers === 0) this.#link.release(this.#id);
  }

  /** For one sequence. */
  masker(): TokenMasker {
    return new GrammarMasker(this);
  }

  /** The state after one more token; null while it is not known: `listener` hears when it is. */
  stateAfter(state: number, tokenId: number, listener: KnownListener): number | null {
    const { stayingSetId } = this.#state(state);
    if (stayingSetId >= 0 && isIn(this.#sets[stayingSetId]!, tokenId)) return state;
    const step = stepKey(state, tokenId);
    const known = this.#steps.get(step);
    if (known !== undefined) return known;
    const listeners = this.#asked.get(step);
    if (listeners !== undefined) listeners.push(listener);
    else this.#ask(state, tokenId, listener);
    return null;
  }

  maskOf(state: number): TokenMask {
    return this.#masks[this.#state(state).allowedSetId]!;
  }

  #ask(state: number, tokenId: number, listener: KnownListener): void {
    const step = stepKey(state, tokenId);
    const listeners = [listener];
    this.#asked.set(step, listeners);
    this.#link.ask({ kind: "advance", grammarId: this.#id, state, tokenId }, (result) => {
      this.#asked.delete(step);
      const error = result instanceof MoesaicError ? result : null;
      if (!(result instanceof MoesaicError)) this.#note(step, result);
      for (const each of listeners) each(error);
    });
  }

  #note(step: number, answer: StateAnswer): void {
    this.#learn(answer);
    if (this.#steps.size >= STEPS_KEPT_MAX) this.#steps.clear();
    this.#steps.set(step, answer.state);
  }

  #learn({ state, allowedSetId, stayingSetId, newSets }: StateAnswer): void {
    for (const { setId, words, size } of newSets) {
      assert(setId === this.#sets.length, "token sets come in order");
      this.#sets.push({ words, size });
      this.#masks.push(maskOfSet({ words, size }));
    }
    this.#states.set(state, { allowedSetId, stayingSetId });
  }

  #state(state: number): KnownState {
    const known = this.#states.get(state);
    assert(known !== undefined, `state ${state} of grammar ${this.#id} was never told`);
    return known;
  }
}

/** Follows one output through a grammar. */
class GrammarMasker implements TokenMasker {
  onKnown = (): void => {};
  readonly #grammar: CompiledGrammar;
  /** The state after each number of output tokens. */
  readonly #states = [LazyAutomaton.START];
  #error: MoesaicError | null = null;
  #isWaiting = false;

  constructor(grammar: CompiledGrammar) {
    this.#grammar = grammar;
  }

  maskAfter(outputTokenIds: readonly number[]): TokenMask | null {
    if (this.#error !== null) throw this.#error;
    if (this.#isWaiting) return null;
    while (this.#states.length <= outputTokenIds.length) {
      const tokenId = outputTokenIds[this.#states.length - 1]!;
      const state = this.#grammar.stateAfter(this.#states.at(-1)!, tokenId, (error) => this.#hear(error));
      if (state === null) {
        this.#isWaiting = true;
        return null;
      }
      this.#states.push(state);
    }
    return this.#grammar.maskOf(this.#states[outputTokenIds.length]!);
  }

  #hear(error: MoesaicError | null): void {
    this.#isWaiting = false;
    this.#error = error;
    this.onKnown();
  }
}

/** Ids where they are fewer than the words of bits. */
function maskOfSet({ words, size }: TokenSet): TokenMask {
  if (size >= words.length) return { form: MASK_BITS, words };
  const tokenIds = new Int32Array(size);
  let count = 0;
  for (const [index, word] of words.entries()) {
    for (let left = word; left !== 0; left &= left - 1)
      tokenIds[count++] = index * 32 + (31 - Math.clz32(left & -left));
  }
  return { form: MASK_IDS, words: tokenIds };
}

/** Token ids are below 2^20 and states few: exact in a double. */
function stepKey(state: number, tokenId: number): number {
  return state * 2 ** 20 + tokenId;
}
