import { MoesaicError } from "../proto/errors.js";
import { synthesize } from "../sim/synthetic-trace.js";
import { machineFigures, reportLines, type Figures } from "./bench-report.js";
import { defineCommand } from "./command.js";
import { DUMMY_OPTION, LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { loadLine, OBJECTIVE_OPTIONS, objectiveOf } from "./load-lines.js";
import { withCluster } from "./local-cluster.js";
import { ENDPOINT_OPTION, JSON_OPTION, text } from "./options.js";
import { replayTrace } from "./replayed-trace.js";
import { openTrace, TRACE_OPTIONS } from "./trace-options.js";
import { native } from "../native/index.js";

export const traceCommand = defineCommand({
  usage: "trace",
  describe: "requests at the times of a trace: latencies and goodput, what moesaic sim predicts",
  options: {
    ...LAYOUT_OPTIONS,
    ...DUMMY_OPTION,
    ...ENDPOINT_OPTION,
    ...TRACE_OPTIONS,
    ...OBJECTIVE_OPTIONS,
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [
    [
      "bench trace --model DIR --rate 2,4,8 --requests 100 --prompt-len 64 --output-len 64",
      "drawn requests at three rates",
    ],
    [
      "bench trace --endpoint 127.0.0.1:50051 --trace azure.csv --requests 500",
      "the first 500 requests of a published trace",
    ],
  ],
  parse: async (args) => {
    const target = targetOf(args, ["model", "dummy", "endpoint"]);
    const trace = await openTrace(args);
    if (trace.rates === null && !trace.hasTimes) {
      throw new MoesaicError("invalid_argument", "--rate: expected requests a second, or inf for all at once");
    }
    return { target, trace, objective: objectiveOf(args), csv: args.csv };
  },
  async run({ target, trace, objective, csv }, context) {
    const { signal } = context;
    const { model, lines } = await withCluster(target, context, async (client) => {
      const [served] = await client.listModels({ signal });
      const vocabSize = served?.vocabSize ?? 1;
      const measured: Figures[] = [];
      await replayTrace(client, WARM_UP, { vocabSize, seed: trace.seed + 1, signal });
      for (const [index, rate] of (trace.rates ?? [null]).entries()) {
        const requests = trace.at(rate);
        // Other prompts at each rate, so that none is known from before.
        const records = await replayTrace(client, requests, { vocabSize, seed: trace.seed + 2 + index, signal });
        measured.push(loadLine(requests, records, objective));
      }
      return { model: served?.name ?? "", lines: measured };
    });
    const head = {
      bench: "trace",
      ...machineFigures(native.deviceProperties().numCores),
      model,
      trace: trace.name,
      seed: trace.seed,
    };
    await reportLines({ head, lines, notes: NOTES, csv }, context);
    return 0;
  },
});

/** A program that has just begun is compiled while it runs. */
const WARM_UP = synthesize(
  {
    numRequests: 32,
    rate: Infinity,
    burstiness: 1,
    promptLen: { kind: "fixed", numTokens: 16 },
    outputLen: { kind: "fixed", numTokens: 32 },
  },
  0,
);

const NOTES =
  "rate: requests a second that were sent. ttft, itl: milliseconds to the first token and between two tokens. goodput: requests a second\n" +
  "whose first token and 99 of 100 gaps kept the promises.";
