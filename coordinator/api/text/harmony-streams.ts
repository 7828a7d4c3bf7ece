import type { HarmonyTokenIds } from "./harmony.js";
import type { Tokenizer } from "./tokenizer.js";

/** A small generator of numbers that are the same for the same seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `count` - 1. */
  below(count: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * count);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

/** Header words that models write, right and wrong ones. */
const HEADER_WORDS = [
  ...["assistant", "user", "tool", "analysis", "commentary", "final", "musing", "––commentary", "analysisWe", " json"],
  ...[
    " to=functions.f",
    "to=functions.web-browsing",
    " to=to=functions.f",
    " to=",
    " functions.",
    " to=browser.search",
  ],
  ...[" to=user", " to=assistant", " code", "json{", " response", " ", "\n", '{"x": 1', "漢", "😀", "\ufffd"],
];

/**
 * Token streams as a model could emit them, for tests: uniform noise, structure in random order, and completions that
 * were damaged. No ordinary token in them holds a `<`, so a `<|` in a text can only come from a control token.
 */
export class HarmonyStreams {
  readonly #dice: Dice;
  readonly #completions: readonly (readonly number[])[];
  readonly #controlIds: number[];
  readonly #words: number[][];
  readonly #numIds: number;
  readonly #isSafe: (tokenId: number) => boolean;

  /** @param completions well-formed ones, to damage */
  constructor(
    tokenizer: Tokenizer,
    harmony: HarmonyTokenIds,
    completions: readonly (readonly number[])[],
    seed: number,
  ) {
    this.#dice = new Dice(seed);
    this.#controlIds = Object.values(harmony).filter((tokenId) => tokenId !== undefined);
    this.#numIds = tokenizer.vocabSize + 8;
    this.#isSafe = (tokenId) => tokenizer.isSpecial(tokenId) || !tokenizer.tokenBytes(tokenId).includes(0x3c);
    this.#completions = completions.map((tokenIds) => tokenIds.filter(this.#isSafe));
    this.#words = HEADER_WORDS.map((word) => tokenizer.encodeOrdinary(word));
  }

  next(): number[] {
    const kind = this.#dice.below(4);
    if (kind === 0) return this.#many(40, () => this.#anyId());
    if (kind === 1) return this.#structure();
    return this.#damaged([...this.#dice.pick(this.#completions)]);
  }

  #structure(): number[] {
    return this.#many(24, () => 0).flatMap(() => {
      if (this.#dice.below(2) === 0) return [this.#dice.pick(this.#controlIds)];
      return this.#dice.below(4) === 0 ? [this.#anyId()] : this.#dice.pick(this.#words);
    });
  }

  #damaged(tokenIds: number[]): number[] {
    for (let times = this.#dice.below(6); times >= 0; times--) this.#damage(tokenIds);
    return tokenIds;
  }

  /** Drops, doubles, swaps, replaces or inserts one token, cuts the end off, or goes on with another completion. */
  #damage(tokenIds: number[]): void {
    const at = this.#dice.below(tokenIds.length + 1);
    const tokenId = this.#dice.below(2) === 0 ? this.#dice.pick(this.#controlIds) : this.#anyId();
    switch (this.#dice.below(7)) {
      case 0:
        return void tokenIds.splice(at, 1);
      case 1:
        return void tokenIds.splice(at, 0, ...tokenIds.slice(at, at + 1));
      case 2:
        return void tokenIds.splice(at, 2, ...tokenIds.slice(at, at + 2).reverse());
      case 3:
        return void tokenIds.splice(at, 1, tokenId);
      case 4:
        return void tokenIds.splice(at, 0, tokenId);
      case 5:
        return void tokenIds.splice(Math.max(at, 1));
      default:
        return void tokenIds.splice(at, 0, ...this.#dice.pick(this.#completions));
    }
  }

  /** Unknown ids beside the vocabulary's are among them, since a model may have more rows than its tokenizer ids. */
  #anyId(): number {
    for (;;) {
      const tokenId = this.#dice.below(this.#numIds);
      if (this.#isSafe(tokenId)) return tokenId;
    }
  }

  #many<T>(countMax: number, make: () => T): T[] {
    return Array.from({ length: this.#dice.below(countMax) }, make);
  }
}
