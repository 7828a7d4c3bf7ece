import { MoesaicError } from "../../proto/errors.js";
import { DEAD } from "./lazy-automaton.js";
import { Grammar, type TokenSet } from "./grammar.js";
import type { Question, StateAnswer } from "./grammar-messages.js";
import { compileGrammar } from "./grammar-spec.js";
import { Vocabulary, type VocabularyTable } from "./vocabulary.js";

/** Token sets of one grammar, a number for each different one. More than this are refused: each has a bit per token. */
const SETS_MAX = 1024;
/** States of all grammars together; each takes about a kilobyte. */
const STATES_MAX = 200_000;

/** Answers questions about grammars, one after the other. Runs in a thread of its own, which has nothing else to do. */
export class GrammarDesk {
  readonly #vocabulary: Vocabulary;
  readonly #controlIds: readonly number[];
  readonly #grammars = new Map<number, KnownGrammar>();
  #lastGrammarId = 0;

  constructor(table: VocabularyTable) {
    this.#vocabulary = new Vocabulary(table);
    this.#controlIds = table.controlIds;
  }

  /** @throws MoesaicError invalid_argument: a constraint that cannot be read; resource_exhausted: one that costs too much */
  answer(question: Question): StateAnswer {
    if (question.kind === "advance") return this.#advance(question.grammarId, question.state, question.tokenId);
    const grammar = new Grammar(compileGrammar(question.spec, this.#controlIds), this.#vocabulary);
    const grammarId = ++this.#lastGrammarId;
    this.#grammars.set(grammarId, new KnownGrammar(grammar));
    try {
      return this.#describe(grammarId, Grammar.START);
    } catch (caught) {
      this.release(grammarId);
      throw caught;
    }
  }

  release(grammarId: number): void {
    this.#grammars.delete(grammarId);
  }

  #advance(grammarId: number, state: number, tokenId: number): StateAnswer {
    const reached = this.#known(grammarId).grammar.advance(state, tokenId);
    if (reached !== DEAD) return this.#describe(grammarId, reached);
    throw new MoesaicError("internal", `token ${tokenId} was sampled where the constraint does not allow it`);
  }

  #describe(grammarId: number, state: number): StateAnswer {
    this.#refuseTooMany();
    return { grammarId, state, ...this.#known(grammarId).describe(state) };
  }

  #known(grammarId: number): KnownGrammar {
    const known = this.#grammars.get(grammarId);
    if (known === undefined) throw new MoesaicError("internal", `grammar ${grammarId} is not known`);
    return known;
  }

  #refuseTooMany(): void {
    const numStates = [...this.#grammars.values()].reduce((sum, { grammar }) => sum + grammar.numStates, 0);
    if (numStates <= STATES_MAX) return;
    throw new MoesaicError(
      "resource_exhausted",
      `constraints of running requests have ${numStates} states, ${STATES_MAX} fit`,
    );
  }
}

type Description = Omit<StateAnswer, "grammarId" | "state">;

/** A grammar, and what was said about it already. */
class KnownGrammar {
  readonly grammar: Grammar;
  readonly #descriptions = new Map<number, Omit<Description, "newSets">>();
  readonly #setIds = new Map<string, number>();

  constructor(grammar: Grammar) {
    this.grammar = grammar;
  }

  describe(state: number): Description {
    const known = this.#descriptions.get(state);
    if (known !== undefined) return { ...known, newSets: [] };
    const { allowed, staying } = this.grammar.nextTokens(state);
    if (allowed.size === 0 && !this.grammar.isAccepting(state)) throw nothingFollows();
    const newSets: Description["newSets"] = [];
    const stayingSetId = staying.size === 0 ? -1 : this.#setId(staying, newSets);
    const description = { allowedSetId: this.#setId(allowed, newSets), stayingSetId };
    this.#descriptions.set(state, description);
    return { ...description, newSets };
  }

  #setId(set: TokenSet, newSets: Description["newSets"]): number {
    const key = Buffer.from(set.words.buffer).toString("latin1");
    const known = this.#setIds.get(key);
    if (known !== undefined) return known;
    const setId = this.#setIds.size;
    if (setId === SETS_MAX)
      throw new MoesaicError("resource_exhausted", `the constraint has more than ${SETS_MAX} token sets`);
    this.#setIds.set(key, setId);
    newSets.push({ setId, ...set });
    return setId;
  }
}

/** Only at the limit of nesting: everything else that leads nowhere was taken out of the automaton. */
function nothingFollows(): MoesaicError {
  return new MoesaicError("resource_exhausted", "the output is nested too deep for its constraint to go on");
}
