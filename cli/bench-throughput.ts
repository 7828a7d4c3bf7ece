import type { MoesaicClient } from "../client/client.js";
import { checkSame } from "./bench-latency.js";
import { machineFigures, report, type Figures } from "./bench-report.js";
import { defineCommand } from "./command.js";
import { deviceOf, precisionOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { decided, threadsOf } from "./explained-plan.js";
import { clusterOfFlags, DUMMY_OPTION, EVERY_PREFILL_COMPUTED, LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { withLocalCluster } from "./local-cluster.js";
import { JSON_OPTION, text, wholeNumber } from "./options.js";
import { benchPrompt, median, numSameFirst, quantile, timedRun } from "./timed-run.js";

export const throughputCommand = defineCommand({
  usage: "throughput",
  describe: "many sequences at once: tokens/s of all together",
  options: {
    ...LAYOUT_OPTIONS,
    ...DUMMY_OPTION,
    concurrency: { ...wholeNumber("concurrency", "streams at once", 1, 65_536), default: "32" },
    "prompt-len": { ...wholeNumber("prompt-len", "tokens of each prompt", 1, 2 ** 20), default: "64" },
    "output-len": { ...wholeNumber("output-len", "tokens of each output", 2, 2 ** 20), default: "64" },
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [["bench throughput --model DIR --concurrency 64", "64 streams of different prompts"]],
  parse: (args) => {
    targetOf(args, ["model", "dummy"]);
    const sizes = { promptLen: Number(args["prompt-len"]), outputLen: Number(args["output-len"]) };
    return {
      cluster: clusterOfFlags(args, EVERY_PREFILL_COMPUTED),
      concurrency: Number(args.concurrency),
      ...sizes,
      csv: args.csv,
    };
  },
  async run({ cluster, concurrency, promptLen, outputLen, csv }, context) {
    const sizes = { concurrency, promptLen, outputLen };
    const measured = await withLocalCluster(cluster, context, (client) =>
      measure(client, sizes, keepsBits(decided(cluster)), context.signal),
    );
    const head = {
      bench: "throughput",
      ...machineFigures(threadsOf(cluster), deviceOf(decided(cluster))),
      model: cluster.spec.servedModelName,
    };
    const { concurrency: streams } = sizes;
    await report({ ...head, streams, prompt_len: promptLen, output_len: outputLen, ...measured }, csv, context);
    return 0;
  },
});

interface Sizes {
  concurrency: number;
  promptLen: number;
  outputLen: number;
}

/**
 * All streams at once, after as many others, which warm up: a program that has just begun is compiled while it runs. One alone says
 * before what its tokens must be among the others.
 */
async function measure(
  client: MoesaicClient,
  { concurrency, promptLen, outputLen }: Sizes,
  isSame: boolean,
  signal: AbortSignal,
): Promise<Figures> {
  const [model] = await client.listModels({ signal });
  const prompts = Array.from({ length: concurrency }, (_, index) =>
    benchPrompt(promptLen, model?.vocabSize ?? 1, index + 1),
  );
  const alone = await timedRun(client, prompts[0]!, outputLen, signal);
  const others = prompts.map((_, index) => benchPrompt(promptLen, model?.vocabSize ?? 1, concurrency + index + 1));
  await Promise.all(others.map((prompt) => timedRun(client, prompt, outputLen, signal)));
  const startedMs = performance.now();
  const runs = await Promise.all(prompts.map((prompt) => timedRun(client, prompt, outputLen, signal)));
  const wallSeconds = (performance.now() - startedMs) / 1_000;
  const among = runs[0]!.tokenIds;
  if (isSame) checkSame(alone.tokenIds, among, "a request alone and among others");
  const gapsMs = runs.flatMap((run) => run.gapsMs);
  return {
    output_tokens_per_second: (concurrency * outputLen) / wallSeconds,
    total_tokens_per_second: (concurrency * (promptLen + outputLen)) / wallSeconds,
    ttft_ms_p50: median(runs.map((run) => run.ttftMs)),
    ttft_ms_p99: quantile(
      runs.map((run) => run.ttftMs),
      0.99,
    ),
    itl_ms_p50: median(gapsMs),
    itl_ms_p99: quantile(gapsMs, 0.99),
    // Of random weights, whose best logits lie close together: rounding that depends on the batch soon picks another.
    tokens_same_as_alone: numSameFirst(alone.tokenIds, among),
  };
}

/** Whether a request's tokens must not depend on the others. */
export function keepsBits(cluster: ClusterSpec): boolean {
  return precisionOf(cluster) === "exact" || cluster.spec.engine.deterministic === true;
}
