import { z } from "zod";
import { v1 } from "../../../proto/messages.js";
import type { GenerateRequest } from "./inference.js";
import { readBody, tokenIds, unavailable } from "./request-body.js";
import { hintFields, metadata, priorityOf, serviceTier, streamOptions } from "./request-fields.js";
import { maxTokens, samplingFields, samplingOf, topLogprobs } from "./sampling-fields.js";

const MAX_PROMPTS = 128;
/** OpenAI's default, which clients count on. */
const DEFAULT_MAX_TOKENS = 16;

export type CompletionPrompt = string | number[];

const prompt = z
  .unknown()
  .refine(isPrompts, `expected a text, token ids, or an array of at most ${MAX_PROMPTS} of either; none of them empty`)
  .transform((value): CompletionPrompt[] => (isPrompt(value) ? [value] : (value as CompletionPrompt[])));

const fields = z.strictObject({
  ...samplingFields,
  ...hintFields,
  model: z.string().nullish(),
  prompt,
  max_tokens: maxTokens,
  logprobs: topLogprobs,
  echo: z.boolean().nullish(),
  best_of: z.int().nullish(),
  suffix: unavailable("the model completes at the end alone", [""]),
  stream: z.boolean().nullish(),
  stream_options: streamOptions,
  service_tier: serviceTier,
  metadata,
});

/** For whoever compares documents with what there is. */
export const completionParameters = Object.keys(fields.shape);

export type CompletionBody = z.infer<typeof fields>;

const schema = fields.superRefine((body, context) => {
  const problem = (path: string, text: string, isUnavailable: boolean) =>
    context.addIssue({ code: "custom", message: text, path: [path], params: { isUnavailable } });
  if (body.stream_options != null && body.stream !== true) problem("stream_options", "needs stream: true", false);
  if (body.best_of != null && body.best_of !== (body.n ?? 1)) {
    problem("best_of", "is not supported unless it equals n: all choices are returned", true);
  }
  if (body.echo === true && body.logprobs != null) {
    problem("echo", "is not supported with logprobs: those of a prompt are not computed", true);
  }
});

/** @throws MoesaicError as `readBody` */
export function readCompletionBody(body: unknown): CompletionBody {
  return readBody(schema, body);
}

/** One request for each prompt. */
export function completionRequests(body: CompletionBody, requestId: string): GenerateRequest[] {
  const limits = { maxTokens: body.max_tokens ?? DEFAULT_MAX_TOKENS, logprobs: body.logprobs ?? null };
  return body.prompt.map((text, index) =>
    v1.GenerateRequest.create({
      request_id: body.prompt.length === 1 ? requestId : `${requestId}-${index}`,
      model: body.model ?? "",
      ...(typeof text === "string" ? { prompt: text } : { token_ids: { ids: text } }),
      sampling: samplingOf(body, limits),
      priority: priorityOf(body.service_tier),
    }),
  );
}

function isPrompts(value: unknown): boolean {
  if (isPrompt(value)) return true;
  return Array.isArray(value) && value.length > 0 && value.length <= MAX_PROMPTS && value.every(isPrompt);
}

function isPrompt(value: unknown): value is CompletionPrompt {
  if (typeof value === "string") return value !== "";
  return Array.isArray(value) && value.length > 0 && tokenIds.safeParse(value).success;
}
