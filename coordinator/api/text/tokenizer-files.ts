import { join } from "node:path";
import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import { readJsonFile } from "./json-file.js";

/** A vocabulary as the tokenizer needs it, checked: ids are unique and bounded, merges lead to entries. */
export interface TokenizerFiles {
  /** Path of tokenizer.json, for messages. */
  place: string;
  /** Entries of the BPE model without the special tokens: entry -> token id. */
  vocab: Map<string, number>;
  merges: [string, string][];
  addedTokens: AddedToken[];
  /** Passed on as they are; the tokenizer library knows their kinds. */
  preTokenizer: unknown;
  normalizer: unknown;
  ignoreMerges: boolean;
  /** generation_config.json's list and config.json's, each id once. */
  eosTokenIds: number[];
}

export interface AddedToken {
  tokenId: number;
  content: string;
  /** Control tokens are special; added words of the language are not. */
  special: boolean;
  /** Whether white space to the left (right) belongs to the token. */
  lstrip: boolean;
  rstrip: boolean;
}

/** o200k_harmony's file is 28 MB with its merges as pairs. */
const TOKENIZER_BYTES_MAX = 64 * 1024 * 1024;
const SMALL_FILE_BYTES_MAX = 16 * 1024 * 1024;
/** The largest vocabularies in use have a quarter of a million entries. */
const TOKEN_ID_MAX = 4_194_303;
const ADDED_TOKENS_MAX = 16_384;

/**
 * Reads tokenizer.json, special_tokens_map.json, generation_config.json and config.json of a checkpoint.
 * @returns null when the checkpoint has no tokenizer.json
 * @throws MoesaicError invalid_argument (a broken file), unimplemented (not a byte-level BPE); place = the file
 */
export async function readTokenizerFiles(modelDir: string): Promise<TokenizerFiles | null> {
  const place = join(modelDir, "tokenizer.json");
  const json = await readJsonFile(place, TOKENIZER_BYTES_MAX, TOKENIZER);
  if (json === null) return null;
  refuseOtherKinds(json, place);
  const named = await namedSpecials(modelDir);
  const addedTokens = json.added_tokens.map((token) => addedToken(token, named));
  const specials = new Set(addedTokens.filter((token) => token.special).map((token) => token.content));
  const vocab = vocabOf(json.model.vocab, specials, place);
  refuseClashes(vocab, addedTokens, place);
  return {
    place,
    vocab,
    merges: mergesOf(json.model.merges, vocab, specials, place),
    addedTokens,
    preTokenizer: json.pre_tokenizer ?? null,
    normalizer: json.normalizer ?? null,
    ignoreMerges: json.model.ignore_merges ?? false,
    eosTokenIds: await readEosTokenIds(modelDir),
  };
}

const ADDED_TOKEN = z.object({
  id: z.int().min(0).max(TOKEN_ID_MAX),
  content: z.string().min(1),
  special: z.boolean().optional(),
  lstrip: z.boolean().optional(),
  rstrip: z.boolean().optional(),
});
const KIND = z.looseObject({ type: z.string() }).nullish();
const PRE_TOKENIZER = z
  .looseObject({ type: z.string(), pretokenizers: z.array(z.looseObject({ type: z.string() })).optional() })
  .nullish();
const TOKENIZER = z.object({
  added_tokens: z.array(ADDED_TOKEN).max(ADDED_TOKENS_MAX).default([]),
  normalizer: KIND,
  pre_tokenizer: PRE_TOKENIZER,
  decoder: KIND,
  // vocab and merges have one entry per token: they are checked by plain loops below, which are 20 times faster.
  model: z.object({
    type: z.string().optional(),
    vocab: z.unknown().optional(),
    merges: z.unknown().optional(),
    ignore_merges: z.boolean().nullish(),
    end_of_word_suffix: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
  }),
});
const EOS = z.object({
  eos_token_id: z
    .union([z.int().min(0).max(TOKEN_ID_MAX), z.array(z.int().min(0).max(TOKEN_ID_MAX)).max(64)])
    .nullish(),
});
const NAMED_TOKEN = z.union([z.string(), z.object({ content: z.string() })]);
const SPECIALS_MAP = z.record(z.string(), z.union([NAMED_TOKEN, z.array(NAMED_TOKEN)]));

function refuseOtherKinds(json: z.infer<typeof TOKENIZER>, place: string): void {
  const model = json.model.type ?? "BPE";
  if (model !== "BPE")
    throw new MoesaicError("unimplemented", `model ${model}: only byte-level BPE is known`, { place });
  if (json.model.end_of_word_suffix || json.model.continuing_subword_prefix) {
    const message = "model: end_of_word_suffix and continuing_subword_prefix are not known, only plain byte-level BPE";
    throw new MoesaicError("unimplemented", message, { place });
  }
  const decoder = json.decoder?.type ?? "none";
  if (decoder !== "ByteLevel") {
    throw new MoesaicError("unimplemented", `decoder ${decoder}: only ByteLevel is known`, { place });
  }
  if (!kindsOf(json.pre_tokenizer).includes("ByteLevel")) {
    throw new MoesaicError("unimplemented", "pre_tokenizer: expected ByteLevel, alone or in a sequence", { place });
  }
}

function kindsOf(preTokenizer: z.infer<typeof PRE_TOKENIZER>): string[] {
  if (!preTokenizer) return [];
  return [preTokenizer.type, ...(preTokenizer.pretokenizers ?? []).map((part) => part.type)];
}

/** Tokens that special_tokens_map.json names are special even where tokenizer.json does not say so. */
async function namedSpecials(modelDir: string): Promise<Set<string>> {
  const map = await readJsonFile(join(modelDir, "special_tokens_map.json"), SMALL_FILE_BYTES_MAX, SPECIALS_MAP);
  const tokens = Object.values(map ?? {}).flat();
  return new Set(tokens.map((token) => (typeof token === "string" ? token : token.content)));
}

function addedToken(token: z.infer<typeof ADDED_TOKEN>, named: Set<string>): AddedToken {
  return {
    tokenId: token.id,
    content: token.content,
    special: (token.special ?? false) || named.has(token.content),
    lstrip: token.lstrip ?? false,
    rstrip: token.rstrip ?? false,
  };
}

/** Leaves the specials out, so that no text, however it is cut, can become one of them. */
function vocabOf(json: unknown, specials: Set<string>, place: string): Map<string, number> {
  if (!isRecord(json)) throw new MoesaicError("invalid_argument", "model.vocab: expected an object", { place });
  const vocab = new Map<string, number>();
  for (const [entry, tokenId] of Object.entries(json)) {
    if (typeof tokenId !== "number" || !Number.isInteger(tokenId) || tokenId < 0 || tokenId > TOKEN_ID_MAX) {
      const message = `model.vocab: expected a token id from 0 to ${TOKEN_ID_MAX} for ${quote(entry)}`;
      throw new MoesaicError("invalid_argument", message, { place });
    }
    if (!specials.has(entry)) vocab.set(entry, tokenId);
  }
  return vocab;
}

function refuseClashes(vocab: Map<string, number>, addedTokens: AddedToken[], place: string): void {
  const owners = new Map<number, string>();
  const claims = [...vocab, ...addedTokens.map((token) => [token.content, token.tokenId] as const)];
  for (const [entry, tokenId] of claims) {
    const owner = owners.get(tokenId);
    if (owner !== undefined && owner !== entry) {
      const message = `token id ${tokenId} is given to both ${quote(owner)} and ${quote(entry)}`;
      throw new MoesaicError("invalid_argument", message, { place });
    }
    owners.set(tokenId, entry);
  }
}

function mergesOf(json: unknown, vocab: Map<string, number>, specials: Set<string>, place: string): [string, string][] {
  if (!Array.isArray(json)) throw new MoesaicError("invalid_argument", "model.merges: expected an array", { place });
  if (json.length > TOKEN_ID_MAX) {
    throw new MoesaicError("invalid_argument", `model.merges: expected at most ${TOKEN_ID_MAX}`, { place });
  }
  const merges: [string, string][] = [];
  for (const [rank, merge] of json.entries()) {
    const [left, right] = mergeParts(merge, rank, place);
    if (specials.has(left + right)) continue;
    if (!vocab.has(left + right)) {
      const message = `model.merges[${rank}]: ${quote(left + right)} is not in the vocabulary`;
      throw new MoesaicError("invalid_argument", message, { place });
    }
    merges.push([left, right]);
  }
  return merges;
}

/** Files of before 2024 write a merge as "a b", later ones as ["a", "b"]. */
function mergeParts(merge: unknown, rank: number, place: string): [string, string] {
  const parts: unknown[] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
  const [left, right] = parts;
  if (parts.length === 2 && typeof left === "string" && typeof right === "string") return [left, right];
  throw new MoesaicError("invalid_argument", `model.merges[${rank}]: expected a pair of entries`, { place });
}

async function readEosTokenIds(modelDir: string): Promise<number[]> {
  const generation = await readJsonFile(join(modelDir, "generation_config.json"), SMALL_FILE_BYTES_MAX, EOS);
  const config = await readJsonFile(join(modelDir, "config.json"), SMALL_FILE_BYTES_MAX, EOS);
  const lists = [generation?.eos_token_id, config?.eos_token_id];
  return [...new Set(lists.flatMap((ids) => ids ?? []))];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function quote(entry: string): string {
  return JSON.stringify(entry.slice(0, 40));
}
