import { z } from "zod";
import type { v1 } from "../../../proto/messages.js";
import { boundedArray } from "./request-body.js";

const MAX_STOPS = 16;
const MAX_STOP_TOKEN_IDS = 32;

const number = z.number().nullish();
const integer = z.int().nullish();

const stop = z
  .union([z.string(), boundedArray(z.string(), 0, MAX_STOPS)], {
    error: `expected a string or an array of at most ${MAX_STOPS} strings`,
  })
  .nullish();

/** Keys become numbers further on, and not every text does as one would think. */
const logitBias = z.record(z.string().regex(/^\d{1,10}$/, "expected a token id as the key"), z.number()).nullish();

/** What completions and chat completions share. Here types are checked; ranges are, for gRPC too, in `parseSamplingParams`. */
export const samplingFields = {
  temperature: number,
  top_p: number,
  presence_penalty: number,
  frequency_penalty: number,
  seed: integer,
  n: integer,
  stop,
  logit_bias: logitBias,
  // Beyond OpenAI's, under the names that other servers of open models use.
  top_k: integer,
  min_p: number,
  repetition_penalty: number,
  min_tokens: integer,
  stop_token_ids: boundedArray(z.int(), 0, MAX_STOP_TOKEN_IDS).nullish(),
  ignore_eos: z.boolean().nullish(),
};

const samplingSchema = z.object(samplingFields);
type SamplingBody = z.infer<typeof samplingSchema>;

/**
 * @param limits maxTokens: null for what is left of the model's length; logprobs: null for none
 */
export function samplingOf(
  body: SamplingBody,
  limits: { maxTokens: number | null; logprobs: number | null },
): v1.SamplingParams.$Properties {
  return {
    temperature: body.temperature ?? null,
    top_p: body.top_p ?? null,
    presence_penalty: body.presence_penalty ?? null,
    frequency_penalty: body.frequency_penalty ?? null,
    seed: body.seed ?? null,
    n: body.n ?? null,
    stop: typeof body.stop === "string" ? [body.stop] : (body.stop ?? []),
    logit_bias: body.logit_bias ?? {},
    top_k: body.top_k ?? null,
    min_p: body.min_p ?? null,
    repetition_penalty: body.repetition_penalty ?? null,
    min_tokens: body.min_tokens ?? null,
    stop_token_ids: body.stop_token_ids ?? [],
    ignore_eos: body.ignore_eos ?? false,
    max_tokens: limits.maxTokens,
    logprobs: limits.logprobs,
  };
}

/** Most alternatives of a token that a request may ask for. */
export const topLogprobs = z.int().min(0).max(20).nullish();

export const maxTokens = z.int().min(1).nullish();
