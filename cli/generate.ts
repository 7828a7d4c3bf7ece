import type { MoesaicClient } from "../client/client.js";
import { collectCompletion, type Completion } from "../client/completion.js";
import { MoesaicError } from "../proto/errors.js";
import { defineCommand, type ExitCode } from "./command.js";
import { CONSTRAINT_OPTIONS, constraintOf } from "./constraint-options.js";
import { completionJson, errorJson } from "./completion-json.js";
import { throwIfInterrupted, type CommandContext } from "./context.js";
import { LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { withCluster } from "./local-cluster.js";
import { ENDPOINT_OPTION, JSON_OPTION, wholeNumber } from "./options.js";
import { withPrefillBar } from "./prefill-bar.js";
import { INPUT_OPTIONS, readRequests } from "./request-input.js";
import type { RequestLine } from "./request-lines.js";
import { SAMPLING_OPTIONS, samplingOf } from "./sampling-options.js";
import { streamedText } from "./streamed-text.js";
import { terminalText } from "./terminal-text.js";

export const generateCommand = defineCommand({
  usage: "generate",
  describe: "run requests on a running cluster, or on a throw-away one",
  options: {
    ...ENDPOINT_OPTION,
    ...LAYOUT_OPTIONS,
    ...INPUT_OPTIONS,
    ...SAMPLING_OPTIONS,
    ...CONSTRAINT_OPTIONS,
    "max-concurrent": wholeNumber("max-concurrent", "most requests in flight (default: all)", 1, 2 ** 20),
    ...JSON_OPTION,
  },
  examples: [
    ["generate --model DIR --prompt 'Once upon a time' --max-tokens 40", "on a throw-away cluster"],
    ["generate --model DIR --prompt 'Is 7 prime? ' --choice yes --choice no", "one of two answers"],
    ["generate --endpoint 127.0.0.1:50051 --input requests.jsonl --json", "a result line per request, in input order"],
  ],
  parse: async (args) => ({
    target: targetOf(args, ["endpoint", "model"]),
    maxConcurrent: args["max-concurrent"] ?? Infinity,
    requests: await readRequests(args, samplingOf(args), constraintOf(args)),
  }),
  run: ({ target, requests, maxConcurrent }, context) =>
    withCluster(target, context, (client) => generateAll(client, requests, maxConcurrent, context)),
});

/** Results are written in input order, each as soon as those before it are. */
async function generateAll(
  client: MoesaicClient,
  requests: readonly RequestLine[],
  maxConcurrent: number,
  context: CommandContext,
): Promise<ExitCode> {
  const gate = new Gate(maxConcurrent);
  const only = requests.length === 1;
  const results = requests.map((line) => gate.run(() => runOne(client, line, only, context)));
  let exitCode: ExitCode = 0;
  for (const [index, pending] of results.entries()) {
    const result = await pending;
    throwIfInterrupted(context.signal);
    if (result instanceof MoesaicError || result.choices.some(({ error }) => error !== null)) exitCode = 1;
    await show(requests[index]!, result, only, context);
  }
  return exitCode;
}

async function runOne(
  client: MoesaicClient,
  { request }: RequestLine,
  only: boolean,
  { out, json, stderr, signal }: CommandContext,
): Promise<Completion | MoesaicError> {
  const isWatched = only && stderr.isTTY;
  const generated = client.generate({ ...request, prefillProgress: isWatched }, { signal });
  const events = isWatched ? withPrefillBar(generated, stderr) : generated;
  try {
    return await collectCompletion(
      only && !json
        ? streamedText(events, ({ text }) => out.write(out.isTerminal ? terminalText(text) : text))
        : events,
    );
  } catch (caught) {
    return MoesaicError.from(caught);
  }
}

async function show(
  { id }: RequestLine,
  result: Completion | MoesaicError,
  only: boolean,
  { out, json, stderr }: CommandContext,
): Promise<void> {
  if (json) return out.json(result instanceof MoesaicError ? errorJson(id, result) : completionJson(id, result));
  if (result instanceof MoesaicError) {
    stderr.write(`moesaic: request ${id}: ${result.describe()}\n`);
    return;
  }
  for (const { error } of result.choices)
    if (error !== null) stderr.write(`moesaic: request ${id}: ${error.describe()}\n`);
  const isStreamed = only && result.choices[0]!.text !== "";
  await out.line(isStreamed ? "" : plainResult(id, result));
}

/** A model without a tokenizer has ids for text. */
export function plainResult(id: string | number, { choices }: Completion): string {
  const texts = choices.map(({ text, tokenIds }) => (text === "" ? tokenIds.join(",") : text));
  return `[${id}] ${texts.join("\n")}`;
}

/** Lets at most `limit` run at a time. */
class Gate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(limit: number) {
    this.#free = limit;
  }

  async run<T>(start: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await start();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
