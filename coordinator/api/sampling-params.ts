import { MoesaicError } from "../../proto/errors.js";
import type { v1 } from "../../proto/messages.js";
import { MAX_TOP_LOGPROBS, type RowSampling } from "../../proto/step.js";

/** A request's sampling, checked and with every default filled in; one row per choice is made of it. */
export interface RequestSampling {
  /** Everything of a row but what depends on the prompt's length and the choice. */
  row: Omit<RowSampling, "maxSeqLen" | "minSeqLen" | "seed">;
  seed: number;
  numChoices: number;
  maxTokens: number | null;
  minTokens: number;
  stopStrings: string[];
  /** Whether the client wants logprobs in its events. */
  wantsLogprobs: boolean;
}

export interface SamplingLimits {
  vocabSize: number;
  /** Stop tokens of the model, unless the request ignores them. */
  modelStopTokenIds: readonly number[];
}

const MAX_STOP_STRINGS = 16;
const MAX_STOP_STRING_LENGTH = 256;
const MAX_STOP_TOKEN_IDS = 32;
const MAX_LOGIT_BIASES = 1024;
const MAX_CHOICES = 16;

/**
 * @param randomSeed used when the request gives none
 * @throws MoesaicError invalid_argument naming every bad field, all at once
 */
export function parseSamplingParams(
  params: v1.SamplingParams.$Properties,
  limits: SamplingLimits,
  randomSeed: number,
): RequestSampling {
  const problems = new Problems();
  const numTopLogprobs = problems.integer(
    "logprobs",
    params.logprobs ?? -1,
    params.logprobs == null ? -1 : 0,
    MAX_TOP_LOGPROBS,
  );
  const sampling: RequestSampling = {
    row: {
      temperature: problems.number("temperature", params.temperature ?? 1, 0, 2),
      topK: problems.integer("top_k", params.top_k ?? 0, 0, limits.vocabSize),
      topP: problems.positive("top_p", params.top_p ?? 1, 1),
      minP: problems.number("min_p", params.min_p ?? 0, 0, 1),
      presencePenalty: problems.number("presence_penalty", params.presence_penalty ?? 0, -2, 2),
      frequencyPenalty: problems.number("frequency_penalty", params.frequency_penalty ?? 0, -2, 2),
      repetitionPenalty: problems.positive("repetition_penalty", params.repetition_penalty ?? 1, 10),
      stopTokenIds: parseStopTokenIds(params, limits, problems),
      logitBias: parseLogitBias(params.logit_bias ?? {}, limits, problems),
      numTopLogprobs,
    },
    seed: problems.integer("seed", params.seed ?? randomSeed, 0, Number.MAX_SAFE_INTEGER),
    numChoices: problems.integer("n", params.n ?? 1, 1, MAX_CHOICES),
    maxTokens: params.max_tokens == null ? null : problems.integer("max_tokens", params.max_tokens, 1, 2 ** 31 - 1),
    minTokens: problems.integer("min_tokens", params.min_tokens ?? 0, 0, params.max_tokens ?? 2 ** 31 - 1),
    stopStrings: parseStopStrings(params.stop ?? [], problems),
    wantsLogprobs: numTopLogprobs >= 0,
  };
  problems.throwIfAny();
  return sampling;
}

/**
 * The row of one choice. Choices differ by their seed alone, so each is reproducible from the request's seed.
 * @param maxModelLen most tokens of a sequence
 */
export function rowSampling(
  sampling: RequestSampling,
  choice: number,
  numPromptTokens: number,
  maxModelLen: number,
): RowSampling {
  const room = maxModelLen - numPromptTokens;
  const maxTokens = Math.min(sampling.maxTokens ?? room, room);
  return {
    ...sampling.row,
    seed: choice === 0 ? sampling.seed : (sampling.seed + choice * 1_000_003) % Number.MAX_SAFE_INTEGER,
    maxSeqLen: numPromptTokens + maxTokens,
    minSeqLen: numPromptTokens + sampling.minTokens,
  };
}

function parseStopTokenIds(
  params: v1.SamplingParams.$Properties,
  limits: SamplingLimits,
  problems: Problems,
): number[] {
  const own = params.stop_token_ids ?? [];
  if (own.length > MAX_STOP_TOKEN_IDS)
    problems.add("stop_token_ids", `at most ${MAX_STOP_TOKEN_IDS} ids`, `${own.length}`);
  const checked = own.map((id, index) => problems.integer(`stop_token_ids[${index}]`, id, 0, limits.vocabSize - 1));
  return [...new Set([...checked, ...(params.ignore_eos ? [] : limits.modelStopTokenIds)])];
}

function parseLogitBias(
  biases: Record<string, number>,
  limits: SamplingLimits,
  problems: Problems,
): RowSampling["logitBias"] {
  const entries = Object.entries(biases);
  if (entries.length > MAX_LOGIT_BIASES)
    problems.add("logit_bias", `at most ${MAX_LOGIT_BIASES} entries`, `${entries.length}`);
  return entries.map(([key, bias]) => ({
    tokenId: problems.integer(`logit_bias[${key}]`, Number(key), 0, limits.vocabSize - 1),
    bias: problems.number(`logit_bias[${key}]`, bias, -100, 100),
  }));
}

function parseStopStrings(stops: string[], problems: Problems): string[] {
  if (stops.length > MAX_STOP_STRINGS) problems.add("stop", `at most ${MAX_STOP_STRINGS} strings`, `${stops.length}`);
  for (const [index, stop] of stops.entries()) {
    if (stop.length >= 1 && stop.length <= MAX_STOP_STRING_LENGTH) continue;
    problems.add(`stop[${index}]`, `1 to ${MAX_STOP_STRING_LENGTH} characters`, `${stop.length}`);
  }
  return stops;
}

/** Collects what is wrong so that a client hears of all of it in one answer. */
class Problems {
  readonly #lines: string[] = [];

  add(field: string, wanted: string, got: string): void {
    this.#lines.push(`${field}: expected ${wanted}, got ${got}`);
  }

  number(field: string, value: number, min: number, max: number): number {
    if (!(value >= min && value <= max)) this.add(field, `a number from ${min} to ${max}`, String(value));
    return value;
  }

  positive(field: string, value: number, max: number): number {
    if (!(value > 0 && value <= max)) this.add(field, `a number over 0, at most ${max}`, String(value));
    return value;
  }

  integer(field: string, value: number, min: number, max: number): number {
    if (!(Number.isSafeInteger(value) && value >= min && value <= max)) {
      this.add(field, `an integer from ${min} to ${max}`, String(value));
    }
    return value;
  }

  throwIfAny(): void {
    if (this.#lines.length > 0)
      throw new MoesaicError("invalid_argument", this.#lines.join("; "), { place: "sampling" });
  }
}
