import { Tokenizer as TokenizerLibrary } from "@huggingface/tokenizers";
import { MoesaicError } from "../../../proto/errors.js";
import { BYTE_CHARS, TokenByteTable, bytesOfEntry } from "./byte-level.js";
import { BytePairEncoder } from "./byte-pair-encoder.js";
import { type AddedToken, type TokenizerFiles, readTokenizerFiles } from "./tokenizer-files.js";

/**
 * Loads the tokenizer of a checkpoint folder.
 * @returns null when the folder has no tokenizer.json: such a model takes and gives raw token ids only
 * @throws MoesaicError invalid_argument (a broken file), unimplemented (not a byte-level BPE); place = the file
 */
export async function loadTokenizer(modelDir: string): Promise<Tokenizer | null> {
  const files = await readTokenizerFiles(modelDir);
  return files === null ? null : new Tokenizer(files);
}

/** A byte-level BPE tokenizer: text to token ids, token ids to bytes. Immutable. */
export class Tokenizer {
  /** One more than the largest token id in use; a model may have more rows than that. */
  readonly vocabSize: number;
  /** Ids that end a generation, from generation_config.json and config.json; may be empty. */
  readonly eosTokenIds: readonly number[];

  readonly #place: string;
  readonly #splitter: WordSplitter;
  readonly #encoder: BytePairEncoder;
  readonly #byteTable: TokenByteTable;
  readonly #added: ReadonlyMap<string, AddedToken>;
  readonly #addedPattern: RegExp | null;
  readonly #specialIds: ReadonlySet<number>;

  constructor(files: TokenizerFiles) {
    refuseMissingBytes(files);
    this.#place = files.place;
    this.#splitter = wordSplitter(files);
    this.#encoder = new BytePairEncoder(files.vocab, files.merges, { ignoreMerges: files.ignoreMerges });
    this.#byteTable = new TokenByteTable(entriesById(files));
    this.#added = new Map(files.addedTokens.map((token) => [token.content, token]));
    this.#addedPattern = alternation([...this.#added.keys()]);
    this.#specialIds = new Set(files.addedTokens.filter((token) => token.special).map((token) => token.tokenId));
    this.eosTokenIds = files.eosTokenIds;
    this.vocabSize = vocabSizeOf(files);
  }

  /**
   * Encodes text that came from outside: the spelling of a special token in it becomes ordinary tokens, so no text
   * can inject structure. O(n log n) in the longest word. Lone surrogates become U+FFFD.
   */
  encodeOrdinary(text: string): number[] {
    if (text === "") return [];
    try {
      return this.#encodeWords(text);
    } catch (cause) {
      // The pre-tokenizer's pattern comes from the checkpoint and may exhaust the stack on some texts.
      const message = `the tokenizer failed on a text of ${text.length} characters: ${MoesaicError.from(cause).message}`;
      throw new MoesaicError("invalid_argument", message, { cause, place: this.#place });
    }
  }

  #encodeWords(text: string): number[] {
    const { normalizer, pre_tokenizer: split } = this.#splitter;
    const normalized = normalizer === null ? text : normalizer(text);
    const tokenIds: number[] = [];
    for (const word of split === null ? [normalized] : split(normalized, { section_index: 0 })) {
      for (const tokenId of this.#encoder.encode(word)) tokenIds.push(tokenId);
    }
    return tokenIds;
  }

  /** Encodes text in which the spellings of added tokens mean those tokens. Never for text a client wrote. */
  encodeWithSpecials(text: string): number[] {
    const tokenIds: number[] = [];
    let start = 0;
    let trimStart = false;
    const piece = (end: number, trimEnd: boolean): void => {
      let between = text.slice(start, end);
      if (trimStart) between = between.trimStart();
      if (trimEnd) between = between.trimEnd();
      for (const tokenId of this.encodeOrdinary(between)) tokenIds.push(tokenId);
    };
    for (const match of this.#addedPattern === null ? [] : text.matchAll(this.#addedPattern)) {
      const added = this.#added.get(match[0]);
      if (added === undefined) continue;
      piece(match.index, added.lstrip);
      tokenIds.push(added.tokenId);
      start = match.index + match[0].length;
      trimStart = added.rstrip;
    }
    piece(text.length, false);
    return tokenIds;
  }

  /** The id of a special token by its spelling, such as `<|end|>`. */
  specialId(text: string): number | undefined {
    const added = this.#added.get(text);
    return added?.special === true ? added.tokenId : undefined;
  }

  isSpecial(tokenId: number): boolean {
    return this.#specialIds.has(tokenId);
  }

  /** Raw bytes of a token, often not whole characters; a special's spelling in UTF-8; empty for an id without entry. */
  tokenBytes(tokenId: number): Uint8Array {
    return this.#byteTable.get(tokenId);
  }

  /** The text of token ids; bytes that are not UTF-8 become U+FFFD. */
  decode(tokenIds: readonly number[], options: { skipSpecial: boolean }): string {
    const shown = options.skipSpecial ? tokenIds.filter((tokenId) => !this.isSpecial(tokenId)) : tokenIds;
    const bytes = Buffer.concat(shown.map((tokenId) => this.tokenBytes(tokenId)));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  }
}

/** What we use of the library; its own type declarations do not resolve under Node's module rules. */
interface WordSplitter {
  normalizer: ((text: string) => string) | null;
  pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
}

/**
 * The library knows the kinds of normalizers and pre-tokenizers. The merging is ours: with the vocabulary of gpt-oss
 * the library takes 17 s for a megabyte of text in one word, ours 2 s. So it gets no vocabulary and no added tokens.
 */
function wordSplitter(files: TokenizerFiles): WordSplitter {
  const json = {
    model: { type: "BPE", vocab: {}, merges: [] },
    normalizer: files.normalizer,
    pre_tokenizer: files.preTokenizer,
    post_processor: null,
    decoder: null,
    added_tokens: [],
  };
  try {
    return new TokenizerLibrary(json, {});
  } catch (cause) {
    throw new MoesaicError("invalid_argument", MoesaicError.from(cause).message, { cause, place: files.place });
  }
}

/** Without a token for every byte some texts would lose characters without a word. */
function refuseMissingBytes(files: TokenizerFiles): void {
  const missing = BYTE_CHARS.findIndex((char) => !files.vocab.has(char));
  if (missing === -1) return;
  const message = `model.vocab: expected a token for each of the 256 bytes, found none for byte ${missing}`;
  throw new MoesaicError("invalid_argument", message, { place: files.place });
}

function entriesById(files: TokenizerFiles): (Uint8Array | undefined)[] {
  const entries = Array.from<Uint8Array | undefined>({ length: vocabSizeOf(files) });
  for (const [entry, tokenId] of files.vocab) entries[tokenId] = bytesOfEntry(entry);
  for (const { content, tokenId } of files.addedTokens) entries[tokenId] = new TextEncoder().encode(content);
  return entries;
}

function vocabSizeOf(files: TokenizerFiles): number {
  let largest = -1;
  for (const tokenId of files.vocab.values()) largest = Math.max(largest, tokenId);
  for (const { tokenId } of files.addedTokens) largest = Math.max(largest, tokenId);
  return largest + 1;
}

/** Longest first, since a regular expression takes the first alternative that fits. */
function alternation(spellings: string[]): RegExp | null {
  if (spellings.length === 0) return null;
  const longestFirst = spellings.toSorted((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map(escapeForPattern).join("|"), "g");
}

function escapeForPattern(text: string): string {
  return text.replaceAll(/[$()*+.?[\\\]^{|}/-]/g, String.raw`\$&`);
}
