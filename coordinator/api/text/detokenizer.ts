import type { Tokenizer } from "./tokenizer.js";

/**
 * Turns a growing run of token ids into text. A token may end inside a character, so bytes are held back until they
 * are a whole character or certainly not one; each returned string is valid Unicode, and all of them together are
 * what `decode` makes of all the ids at once, however they were split.
 */
export class IncrementalDetokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecial: boolean;
  // A byte order mark is text here: the model wrote it.
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** @param options skipSpecial: leave special tokens out rather than spell them */
  constructor(tokenizer: Tokenizer, options: { skipSpecial: boolean }) {
    this.#tokenizer = tokenizer;
    this.#skipSpecial = options.skipSpecial;
  }

  /** The text that these ids complete; may be empty. Bytes that can no longer become a character are U+FFFD. */
  push(tokenIds: readonly number[]): string {
    let text = "";
    for (const tokenId of tokenIds) {
      if (this.#skipSpecial && this.#tokenizer.isSpecial(tokenId)) continue;
      text += this.#decoder.decode(this.#tokenizer.tokenBytes(tokenId), { stream: true });
    }
    return text;
  }

  /** The end of the run: U+FFFD when a character was left unfinished, else empty. Afterwards a new run may begin. */
  flush(): string {
    return this.#decoder.decode();
  }
}
