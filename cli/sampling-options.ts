import type { SamplingParams } from "../client/generate-request.js";
import type { ArgumentsOf } from "./command.js";
import { decimal, flag, text, wholeNumber } from "./options.js";

const MAX_INT32 = 2 ** 31 - 1;

/** Sampling of every request that does not say it itself; the server checks ranges and has the defaults. */
export const SAMPLING_OPTIONS = {
  "max-tokens": wholeNumber(
    "max-tokens",
    "most tokens to generate (default: what is left of the model's length)",
    1,
    MAX_INT32,
  ),
  temperature: decimal("temperature", "0 is greedy (default 1)"),
  "top-p": decimal("top-p", "nucleus, over 0 to 1 (default 1: off)"),
  "top-k": wholeNumber("top-k", "best tokens to sample from (default 0: off)", 0, MAX_INT32),
  "min-p": decimal("min-p", "least probability relative to the best, 0 to 1 (default 0: off)"),
  seed: wholeNumber("seed", "makes sampling repeatable (default: random)", 0, Number.MAX_SAFE_INTEGER),
  stop: text("text that ends a generation"),
  "ignore-eos": flag("do not end at the model's own stop tokens"),
} as const;

export function samplingOf(args: ArgumentsOf<typeof SAMPLING_OPTIONS>): SamplingParams {
  const params = {
    maxTokens: args["max-tokens"],
    temperature: args.temperature,
    topP: args["top-p"],
    topK: args["top-k"],
    minP: args["min-p"],
    seed: args.seed,
    stop: args.stop === undefined ? undefined : [args.stop],
    ignoreEos: args["ignore-eos"] || undefined,
  };
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined)) as SamplingParams;
}
