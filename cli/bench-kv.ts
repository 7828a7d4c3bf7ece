import { writeFile } from "node:fs/promises";
import type { MoesaicClient } from "../client/client.js";
import type { SchedulerStatus } from "../client/cluster-status.js";
import { openModelSource } from "../coordinator/model-source.js";
import { deviceOf, precisionOf } from "../plans/cluster-spec.js";
import { hitFraction } from "../plans/expected-experts.js";
import type { Explanation } from "../plans/explain.js";
import type { ModelDescription } from "../plans/model-description.js";
import { MoesaicError } from "../proto/errors.js";
import { checkSame, kvBytesRead } from "./bench-latency.js";
import { machineFigures, reportLines, type Figures } from "./bench-report.js";
import { keepsBits } from "./bench-throughput.js";
import { defineCommand } from "./command.js";
import type { CommandContext } from "./context.js";
import { decided, explainCluster, rankBandwidth, threadsOf } from "./explained-plan.js";
import {
  clusterOfFlags,
  DUMMY_OPTION,
  EVERY_PREFILL_COMPUTED,
  LAYOUT_OPTIONS,
  targetOf,
  type LayoutArguments,
} from "./layout-flags.js";
import { withLocalCluster } from "./local-cluster.js";
import { JSON_OPTION, text, wholeNumber, wholeNumbers } from "./options.js";
import { svgPlot } from "./svg-plot.js";
import { benchPrompt, median, sum, timedRun, type TimedRun } from "./timed-run.js";

/** Tokens that every stream decodes while no other prefills. */
const DECODED = 32;

export const kvCommand = defineCommand({
  usage: "kv",
  describe: "long contexts: prefill, time per token and KV blocks at each, beside what the memory's bandwidth allows",
  options: {
    ...LAYOUT_OPTIONS,
    ...DUMMY_OPTION,
    contexts: {
      ...wholeNumbers("contexts", "tokens of the prompts, of each measurement", 2, 2 ** 24),
      default: "1024,4096,16384",
    },
    streams: { ...wholeNumber("streams", "sequences of that length at once", 1, 1_024), default: "1" },
    plot: text("SVG file to draw the time per token over the context to"),
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [
    ["bench kv --model DIR --contexts 512,2048", "prompts of 512 and of 2048 tokens, 32 tokens decoded after each"],
    ["bench kv --dummy gpt-oss-20b --device cuda --plot kv.svg", "up to 16384 tokens, with a plot"],
  ],
  parse: (args) => {
    targetOf(args, ["model", "dummy"]);
    const contexts = [...new Set(args.contexts as readonly number[])].toSorted((a, b) => a - b);
    const sizes = { contexts, streams: Number(args.streams) };
    return { layout: layoutOf(args, sizes), ...sizes, plot: args.plot, csv: args.csv };
  },
  async run({ layout, contexts, streams, plot, csv }, context) {
    const cluster = clusterOfFlags(layout, EVERY_PREFILL_COMPUTED);
    const { json: explained } = await explainCluster(cluster, ".", []);
    checkFits(explained, { contexts, streams });
    const { description: model } = await openModelSource(cluster, ".");
    const before = await rankBandwidth(cluster);
    const measured = await withLocalCluster(cluster, context, async (client) => {
      const all: Measured[] = [];
      await timedRun(client, promptOf(contexts[0]!, 0, model), 2, context.signal);
      for (const length of contexts) all.push(await measure(client, length, streams, { model, explained }, context));
      return all;
    });
    for (const each of measured) checkWindow(each, streams, explained);
    const bandwidth = Math.max(before ?? 0, (await rankBandwidth(cluster)) ?? 0);
    const agrees = keepsBits(decided(cluster))
      ? await compareChunks(layout, explained, measured[0]!, model, context)
      : null;
    const head = {
      bench: "kv",
      ...machineFigures(threadsOf(cluster), deviceOf(decided(cluster))),
      model: explained.model,
      precision: precisionOf(decided(cluster)),
      ...poolFigures(explained),
      streams,
      bandwidth_gb_per_second: bandwidth / 1e9,
      other_chunks_agree: agrees,
    };
    const lines = measured.map((each) => contextFigures(each, streams, { explained, model, bandwidth }));
    await reportLines({ head, lines, notes: NOTES, csv }, context);
    if (plot !== undefined) await writeFile(plot, plotOf(explained.model, streams, lines));
    return 0;
  },
});

const NOTES =
  "prefill_s: from the requests to the last stream's first token. ms_per_token: the median from then on. bytes_per_step: weights\n" +
  "(experts as evenly spread routing hits them), keys and values, those of sliding layers within their window. used blocks: in the\n" +
  "middle of the decoded tokens. other_chunks_agree: the shortest prompt's tokens, prefilled in other chunks.";

interface Sizes {
  contexts: readonly number[];
  streams: number;
}

interface Measured {
  length: number;
  /** Tokens of each output. */
  outputLen: number;
  /** Milliseconds until every stream had its first token. */
  prefillMs: number;
  msPerToken: number;
  /** Used KV blocks by group. */
  usedBlocks: Readonly<Record<string, number>>;
  /** Of the first stream. */
  tokenIds: number[];
}

interface Known {
  explained: Explanation;
  model: ModelDescription;
}

/** As given, with room for the longest prompt where no length is: a CPU's pool follows from it. */
function layoutOf(args: LayoutArguments, { contexts, streams }: Sizes): LayoutArguments {
  const longest = Math.max(...contexts);
  // Steps hold a token at least; more than this no stream decodes while others prefill.
  const roomy = String(longest + DECODED + streams + (streams === 1 ? 0 : Math.ceil((streams * longest) / 256)));
  return { ...args, "max-model-len": args["max-model-len"] ?? roomy };
}

/** Also without preemption, which would be measured instead. @throws MoesaicError resource_exhausted before anything is loaded */
export function checkFits(
  { limits, kv_groups: groups }: Pick<Explanation, "limits" | "kv_groups">,
  { contexts, streams }: Sizes,
): void {
  const longest = Math.max(...contexts) + outputLenOf(Math.max(...contexts), streams, limits.max_batched_tokens);
  const ofLongest = Math.ceil(longest / limits.block_size);
  const blocks = sum(groups.map((group) => streams * Math.min(ofLongest, group.max_blocks_per_sequence)));
  const fits = longest <= limits.max_seq_len && streams <= limits.max_sequences && blocks < limits.num_blocks;
  if (fits) return;
  const message =
    `${streams} streams of up to ${longest} tokens in ${blocks} KV blocks: a sequence may have ${limits.max_seq_len} tokens, ` +
    `${limits.max_sequences} may run, there are ${limits.num_blocks - 1} blocks; lower --contexts or --streams, or raise ` +
    "--num-blocks or --max-model-len";
  throw new MoesaicError("resource_exhausted", message);
}

/** What a stream decodes while others prefill, and then the tokens that count. */
function outputLenOf(length: number, streams: number, maxBatchedTokens: number): number {
  if (streams === 1) return DECODED;
  return DECODED + streams + Math.ceil((streams * length) / Math.max(1, maxBatchedTokens - streams));
}

/** Different prompts at each length too: none is a beginning of another. */
function promptOf(length: number, stream: number, { vocabSize }: ModelDescription): number[] {
  return benchPrompt(length, vocabSize, 1 + stream + 1_024 * length);
}

async function measure(
  client: MoesaicClient,
  length: number,
  streams: number,
  { explained, model }: Known,
  { signal }: CommandContext,
): Promise<Measured> {
  const outputLen = outputLenOf(length, streams, explained.limits.max_batched_tokens);
  const middle = outputLen - DECODED / 2;
  const looked: Promise<Measured["usedBlocks"]>[] = [];
  const look = (count: number): void => {
    if (count >= middle && looked.length === 0) looked.push(client.status({ signal }).then(usedBlocksOf));
  };
  const runs = await Promise.all(
    Array.from({ length: streams }, (_, stream) => {
      const onToken = stream === 0 ? look : undefined;
      return timedRun(client, promptOf(length, stream, model), outputLen, signal, onToken);
    }),
  );
  const prefillMs = Math.max(...runs.map(({ ttftMs }) => ttftMs));
  const msPerToken = median(runs.flatMap((run) => gapsAfter(run, prefillMs)));
  const tokenIds = runs[0]!.tokenIds;
  return { length, outputLen, prefillMs, msPerToken, usedBlocks: await looked[0]!, tokenIds };
}

/** Gaps between tokens once every stream decodes. */
export function gapsAfter({ ttftMs, gapsMs }: Pick<TimedRun, "ttftMs" | "gapsMs">, beginMs: number): number[] {
  let atMs = ttftMs;
  return gapsMs.filter((gapMs) => {
    const isAfter = atMs >= beginMs;
    atMs += gapMs;
    return isAfter;
  });
}

function usedBlocksOf(status: { replicas: { scheduler?: SchedulerStatus | null }[] }): Measured["usedBlocks"] {
  const groups = status.replicas[0]?.scheduler?.kvGroups ?? [];
  return Object.fromEntries(groups.map(({ group, numUsedBlocks }) => [group, numUsedBlocks]));
}

/** Blocks behind a window are given back. @throws MoesaicError internal when a sliding group holds more than it may need */
export function checkWindow(
  { length, usedBlocks }: Pick<Measured, "length" | "usedBlocks">,
  streams: number,
  { kv_groups: groups }: Pick<Explanation, "kv_groups">,
): void {
  const sliding = groups.find(({ kind }) => kind === "sliding");
  const [used, bound] = [usedBlocks["sliding"] ?? 0, streams * (sliding?.max_blocks_per_sequence ?? 0)];
  if (used <= bound) return;
  throw new MoesaicError(
    "internal",
    `at ${length} tokens ${used} blocks of sliding layers are used, wanted at most ${bound}`,
  );
}

/** The shortest prompt in chunks of half the size, or less where it is shorter. @throws MoesaicError internal */
async function compareChunks(
  layout: LayoutArguments,
  { limits }: Explanation,
  { length, tokenIds }: Measured,
  model: ModelDescription,
  context: CommandContext,
): Promise<boolean> {
  const chunk = Math.max(1, Math.floor(Math.min(limits.max_batched_tokens, length) / 2));
  const cluster = clusterOfFlags({ ...layout, "max-batched-tokens": String(chunk) });
  const run = await withLocalCluster(cluster, context, (client) =>
    timedRun(client, promptOf(length, 0, model), DECODED, context.signal),
  );
  checkSame(run.tokenIds, tokenIds.slice(0, DECODED), "a prompt in other chunks and the measured one");
  return true;
}

/** What KV takes and how much of it there is room for. */
export function poolFigures({ limits, kv_groups: groups, kv_block_bytes: blockBytes }: PoolExplanation): Figures {
  const groupOf = (kind: string) => groups.find((group) => group.kind === kind);
  const slidingBlocks = groupOf("sliding")?.max_blocks_per_sequence ?? 0;
  return {
    kv_bytes_per_token_full: groupOf("full")?.bytes_per_token ?? 0,
    kv_bytes_per_token_sliding: groupOf("sliding")?.bytes_per_token ?? 0,
    kv_block_bytes: blockBytes,
    block_size: limits.block_size,
    num_blocks: limits.num_blocks - 1,
    // Of one sequence alone, whose sliding layers keep what their window needs.
    tokens_that_fit: Math.max(0, limits.num_blocks - 1 - slidingBlocks) * limits.block_size,
  };
}

type PoolExplanation = Pick<Explanation, "limits" | "kv_groups" | "kv_block_bytes">;

function contextFigures(
  { length, outputLen, prefillMs, msPerToken, usedBlocks }: Measured,
  streams: number,
  { explained, model, bandwidth }: Known & { bandwidth: number },
): Figures {
  const kvBytes = kvBytesRead(explained, length + outputLen - DECODED / 2);
  const bytes = weightsRead(explained, model, streams) + streams * kvBytes;
  const achieved = (1_000 * bytes) / msPerToken;
  return {
    context: length,
    prefill_s: prefillMs / 1_000,
    prefill_tokens_per_second: (1_000 * streams * length) / prefillMs,
    ms_per_token: msPerToken,
    tokens_per_second: (1_000 * streams) / msPerToken,
    bytes_per_step: Math.round(bytes),
    kv_bytes_per_step: Math.round(streams * kvBytes),
    gb_per_second: achieved / 1e9,
    bandwidth_percent: (100 * achieved) / bandwidth,
    used_blocks_full: usedBlocks["full"] ?? 0,
    used_blocks_sliding: usedBlocks["sliding"] ?? 0,
  };
}

/** As one token reads them, with as many experts as the streams are expected to hit. */
export function weightsRead(
  { decode, tensors }: Pick<Explanation, "decode" | "tensors">,
  { expertsPerToken, numExperts }: Pick<ModelDescription, "expertsPerToken" | "numExperts">,
  streams: number,
): number {
  const expertBytes = sum(tensors.filter((tensor) => tensor.class === "experts").map(({ bytes }) => bytes));
  const more = hitFraction(streams, expertsPerToken, numExperts) - hitFraction(1, expertsPerToken, numExperts);
  return decode.weights_bytes + expertBytes * more;
}

function plotOf(model: string, streams: number, lines: readonly Figures[]): string {
  const points = lines.map((line) => [Number(line["context"]), Number(line["ms_per_token"])] as const);
  const name = streams === 1 ? "one stream" : `${streams} streams`;
  return svgPlot({ title: model, x: "context, tokens", y: "ms per token", series: [{ name, points }] });
}
