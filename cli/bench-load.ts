import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { MoesaicClient } from "../client/client.js";
import type { RankStatus } from "../client/cluster-status.js";
import { readJsonFile } from "../coordinator/api/text/json-file.js";
import { openModelSource } from "../coordinator/model-source.js";
import { native } from "../native/index.js";
import { deviceOf, precisionOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { MoesaicError } from "../proto/errors.js";
import { openCheckpoint } from "../worker/checkpoint/checkpoint.js";
import { checkSame } from "./bench-latency.js";
import { machineFigures, report, type Figures } from "./bench-report.js";
import { defineCommand } from "./command.js";
import type { CommandContext } from "./context.js";
import { decided, rankBandwidth, threadsOf } from "./explained-plan.js";
import { clusterOfFlags, DUMMY_OPTION, LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { withLocalCluster } from "./local-cluster.js";
import { JSON_OPTION, text, wholeNumber } from "./options.js";
import { hostToDeviceBandwidth } from "./read-bandwidth.js";
import { benchPrompt, median, sum, timedRun } from "./timed-run.js";

const PROMPT_LEN = 16;
const OUTPUT_LEN = 8;
const MAX_GOLDEN_BYTES = 64 * 2 ** 20;
const GOLDEN_FILE = "golden_generations.json";

export const loadCommand = defineCommand({
  usage: "load",
  describe: "from a start to the first token: reading and packing weights beside what disk and memory allow",
  options: {
    ...LAYOUT_OPTIONS,
    ...DUMMY_OPTION,
    repeats: { ...wholeNumber("repeats", "starts; their median is told", 1, 100), default: "3" },
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [["bench load --model DIR", "three starts of a throw-away cluster of one rank"]],
  parse: (args) => {
    targetOf(args, ["model", "dummy"]);
    return { cluster: clusterOfFlags(args), repeats: Number(args.repeats), csv: args.csv };
  },
  async run({ cluster, repeats, csv }, context) {
    const { modelDir } = await openModelSource(cluster, ".");
    const golden = precisionOf(decided(cluster)) === "exact" ? await readGolden(modelDir) : null;
    const starts: Start[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) starts.push(await startOnce(cluster, golden, context));
    for (const start of starts) checkSame(starts[0]!.tokenIds, start.tokenIds, "a request after two loads");
    const figures = {
      bench: "load",
      ...machineFigures(threadsOf(cluster), deviceOf(decided(cluster))),
      model: cluster.spec.servedModelName,
      precision: precisionOf(decided(cluster)),
      repeats,
      ...loadFigures(starts, await ceilingsOf(cluster, modelDir)),
      loads_agree: true,
      agrees_with_golden: golden === null ? null : true,
    };
    await report(figures, csv, context);
    return 0;
  },
});

/** One start as a client of its cluster saw it; bytes of all ranks. */
export interface Start {
  /** Of the slowest rank: reading and packing alone. */
  loadMs: number;
  /** From nothing until every rank was ready. */
  readyMs: number;
  /** From nothing to the first token of the first request. */
  firstTokenMs: number;
  readBytes: number;
  weightsBytes: number;
  /** Of the rank that took most, arenas included; null where it cannot be known. */
  peakRssBytes: number | null;
  tokenIds: number[];
}

/** Bytes per second. */
export interface Ceilings {
  /** Of the checkpoint's files by plain large reads; null without a checkpoint. */
  files: number | null;
  /** Of the way into the arena: reads of the memory, or copies from the host to the GPU. */
  arena: number;
  arenaName: string;
}

async function startOnce(cluster: ClusterSpec, golden: Golden | null, context: CommandContext): Promise<Start> {
  const { signal } = context;
  const startedMs = performance.now();
  return withLocalCluster(cluster, context, async (client) => {
    const readyMs = performance.now() - startedMs;
    const [model] = await client.listModels({ signal });
    const prompt = benchPrompt(PROMPT_LEN, model?.vocabSize ?? 1, 1);
    const askedMs = performance.now() - startedMs;
    const { ttftMs, tokenIds } = await timedRun(client, prompt, OUTPUT_LEN, signal);
    if (golden !== null) await checkGolden(client, golden, signal);
    const { replicas } = await client.status({ signal });
    const ranks = replicas.flatMap((replica) => replica.ranks);
    return { readyMs, firstTokenMs: askedMs + ttftMs, tokenIds, ...(await rankFigures(ranks)) };
  });
}

async function rankFigures(ranks: readonly RankStatus[]) {
  const peaks = await Promise.all(ranks.map(({ pid }) => peakRssBytes(pid)));
  return {
    loadMs: Math.max(...ranks.map(({ loadMs }) => loadMs)),
    readBytes: sum(ranks.map(({ loadBytesRead }) => loadBytesRead)),
    weightsBytes: sum(ranks.map(({ arenas }) => arenas?.weights ?? 0)),
    peakRssBytes: peaks.every((peak) => peak !== null) ? Math.max(...peaks) : null,
  };
}

/** What a process of this machine had resident at most, by the kernel's own account. */
async function peakRssBytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return kib === undefined ? null : 1_024 * Number(kib);
}

async function ceilingsOf(cluster: ClusterSpec, modelDir: string | null): Promise<Ceilings> {
  const isGpu = deviceOf(decided(cluster)) === "cuda";
  const numRanks = sum(cluster.spec.workers.map(({ ranks }) => ranks));
  const arena = isGpu ? await hostToDeviceBandwidth() : numRanks * ((await rankBandwidth(cluster)) ?? 0);
  const files = modelDir === null ? null : await fileBandwidth(modelDir, threadsOf(cluster) * numRanks);
  return { files, arena, arenaName: isGpu ? "host to device copy" : "memory read" };
}

/** The better of two passes over the files, which by now are where the last load left them. */
async function fileBandwidth(modelDir: string, numThreads: number): Promise<number> {
  const checkpoint = await openCheckpoint(modelDir);
  try {
    const files = checkpoint.files.map(({ path, bytes }) => ({ path, bytes }));
    const first = await native.measureFileReads(files, numThreads);
    return Math.max(first, await native.measureFileReads(files, numThreads));
  } finally {
    await checkpoint.close();
  }
}

/** Medians of the starts, beside the first, which may have had to wait for a disk. */
export function loadFigures(starts: readonly Start[], { files, arena, arenaName }: Ceilings): Figures {
  const medianOf = (figure: (start: Start) => number): number => median(starts.map(figure));
  const [loadMs, readBytes, weightsBytes] = [medianOf((s) => s.loadMs), starts[0]!.readBytes, starts[0]!.weightsBytes];
  const perSecond = (bytes: number): number => (1_000 * bytes) / loadMs;
  const peaks = starts.map(({ peakRssBytes: peak }) => peak ?? Number.NaN);
  return {
    first_load_ms: starts[0]!.loadMs,
    load_ms: loadMs,
    ready_ms: medianOf((start) => start.readyMs),
    first_token_ms: medianOf((start) => start.firstTokenMs),
    read_bytes: files === null ? null : readBytes,
    read_gb_per_second: files === null ? null : perSecond(readBytes) / 1e9,
    file_gb_per_second: files === null ? null : files / 1e9,
    read_percent: files === null ? null : (100 * perSecond(readBytes)) / files,
    page_cache: files === null ? null : "warm after the first load",
    weights_bytes: weightsBytes,
    arena_gb_per_second: perSecond(weightsBytes) / 1e9,
    arena_ceiling: arenaName,
    arena_ceiling_gb_per_second: arena / 1e9,
    arena_percent: (100 * perSecond(weightsBytes)) / arena,
    peak_rss_bytes: peaks.some(Number.isNaN) ? null : Math.max(...peaks),
  };
}

/** A greedy generation that a checkpoint brings along. */
export interface Golden {
  promptTokenIds: number[];
  tokenIds: number[];
}

const GOLDEN_SHAPE = z.object({
  generations: z
    .array(z.object({ prompt_tokens: z.array(z.number().int()), generated_tokens: z.array(z.number().int()) }))
    .min(1),
});

async function readGolden(modelDir: string | null): Promise<Golden | null> {
  if (modelDir === null) return null;
  const file = await readJsonFile(join(modelDir, GOLDEN_FILE), MAX_GOLDEN_BYTES, GOLDEN_SHAPE);
  const first = file?.generations[0];
  return first === undefined ? null : { promptTokenIds: first.prompt_tokens, tokenIds: first.generated_tokens };
}

/** @throws MoesaicError internal: weights that were loaded wrong were loaded at no speed */
async function checkGolden(client: MoesaicClient, golden: Golden, signal: AbortSignal): Promise<void> {
  const sampling = { temperature: 0, maxTokens: golden.tokenIds.length };
  const { choices } = await client.complete({ tokenIds: golden.promptTokenIds, sampling }, { signal });
  const [choice] = choices;
  if (choice === undefined) throw new MoesaicError("internal", "the golden request gave nothing");
  checkSame(golden.tokenIds, choice.tokenIds, `the first of ${GOLDEN_FILE} and what the loaded weights give`);
}
