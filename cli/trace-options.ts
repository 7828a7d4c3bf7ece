import { MoesaicError } from "../proto/errors.js";
import { parseLengths, type Lengths } from "../sim/lengths.js";
import { synthesize, type SyntheticTrace } from "../sim/synthetic-trace.js";
import { atRate, type Trace } from "../sim/trace.js";
import { parseTrace } from "../sim/trace-file.js";
import type { ArgumentsOf } from "./command.js";
import { positive, positives, text, wholeNumber } from "./options.js";
import { readTextFile } from "./text-file.js";

/** Which requests come when: of a file, or drawn at random. */
export const TRACE_OPTIONS = {
  trace: text("trace file: Azure LLM inference CSV, Mooncake JSON lines, or JSON lines of prompt_len and output_len"),
  rate: positives("rate", "mean requests a second, inf for all at once, or several"),
  requests: wholeNumber(
    "requests",
    "requests to draw, or the first of a file (default 512, or all of the file)",
    1,
    1_000_000,
  ),
  burstiness: {
    ...positive(
      "burstiness",
      "shape of the gamma distribution of the times between drawn requests: 1 is Poisson, less comes in bursts",
    ),
    default: "1",
  },
  "prompt-len": {
    ...lengths("prompt-len", "tokens of drawn prompts: 512, uniform:64:1024 or lognormal:512:0.8"),
    default: "512",
  },
  "output-len": { ...lengths("output-len", "tokens of drawn outputs"), default: "128" },
  seed: { ...wholeNumber("seed", "of everything that is drawn", 0, 2 ** 31 - 1), default: "1" },
} as const;

export type TraceArguments = ArgumentsOf<typeof TRACE_OPTIONS>;

/** A trace at any rate. */
export interface TraceSource {
  /** As it is to be called. */
  name: string;
  seed: number;
  /** The rates that were asked for; null: those of the trace itself, if it has times, else whoever uses it decides. */
  rates: readonly number[] | null;
  hasTimes: boolean;
  /** @param rate null: as the trace has it */
  at(rate: number | null): Trace;
}

const DEFAULT_REQUESTS = 512;

/** @throws MoesaicError as readTextFile and parseTrace */
export async function openTrace(args: TraceArguments): Promise<TraceSource> {
  const { trace: file, requests } = args;
  const seed = Number(args.seed);
  const rates = (args.rate as readonly number[] | undefined) ?? null;
  if (file === undefined) {
    const drawn: Omit<SyntheticTrace, "rate"> = {
      numRequests: requests ?? DEFAULT_REQUESTS,
      burstiness: Number(args.burstiness),
      promptLen: asLengths(args["prompt-len"]),
      outputLen: asLengths(args["output-len"]),
    };
    const at = (rate: number | null): Trace => synthesize({ ...drawn, rate: rate ?? Infinity }, seed);
    return { name: "drawn", seed, rates, hasTimes: false, at };
  }
  const { requests: all, hasTimes } = parseTrace(await readTextFile(file, "a trace"), file);
  const kept = all.slice(0, requests);
  const at = (rate: number | null): Trace => {
    if (rate === null) return kept;
    if (hasTimes || rate === Infinity) return atRate(kept, rate);
    // Lengths alone: their times are drawn.
    const times = synthesize({ ...TIMES, numRequests: kept.length, burstiness: Number(args.burstiness), rate }, seed);
    return kept.map((request, index) => ({ ...request, atMs: times[index]!.atMs }));
  };
  return { name: file, seed, rates, hasTimes, at };
}

const TIMES = { promptLen: { kind: "fixed", numTokens: 1 }, outputLen: { kind: "fixed", numTokens: 1 } } as const;

function lengths(name: string, describe: string) {
  const coerce = (given: string | readonly string[]): Lengths => {
    try {
      return parseLengths(String(given));
    } catch (caught) {
      const { code, message } = MoesaicError.from(caught);
      throw new MoesaicError(code, `--${name}: ${message}`);
    }
  };
  return { describe, type: "string", requiresArg: true, coerce } as const;
}

/** yargs hands defaults to `coerce` as well, and forgets its type. */
function asLengths(value: unknown): Lengths {
  return typeof value === "string" ? parseLengths(value) : (value as Lengths);
}
