import { snakeCased } from "../client/camel-case.js";
import { MoesaicClient } from "../client/client.js";
import type { ClusterStatus, RankStatus, ReplicaStatus, SchedulerStatus } from "../client/cluster-status.js";
import { defineCommand } from "./command.js";
import type { CommandContext } from "./context.js";
import { DEFAULT_ENDPOINT, ENDPOINT_OPTION, flag, JSON_OPTION } from "./options.js";

/** A coordinator answers at once or is not well. */
const TIMEOUT_MS = 10_000;

export const statusCommand = defineCommand({
  usage: "status",
  describe: "show a running cluster: ranks, memory, KV blocks, requests",
  options: {
    endpoint: { ...ENDPOINT_OPTION.endpoint, default: DEFAULT_ENDPOINT },
    watch: flag("show it again after every change, until interrupted"),
    ...JSON_OPTION,
  },
  examples: [
    ["status", "once, for people"],
    ["status --watch --json", "a JSON line after every change"],
  ],
  parse: ({ endpoint, watch }) => ({ endpoint, watch }),
  async run({ endpoint, watch }, context) {
    const client = new MoesaicClient({ endpoint });
    try {
      if (watch) for await (const status of client.watchStatus({ signal: context.signal })) await show(status, context);
      else await show(await client.status({ timeoutMs: TIMEOUT_MS, signal: context.signal }), context);
      return 0;
    } finally {
      client.close();
    }
  },
});

function show(status: ClusterStatus, { out, json }: CommandContext): Promise<void> {
  return json ? out.json(snakeCased(status)) : out.line(describe(status));
}

function describe(status: ClusterStatus): string {
  const { name, model, version, state, reason, uptimeMs } = status;
  const why = reason === "" ? "" : ` (${reason})`;
  const head = `${name}: ${model}, ${state}${why}, up ${(uptimeMs / 1_000).toFixed(0)} s, moesaic ${version}`;
  return [head, ...status.replicas.flatMap(describeReplica)].join("\n");
}

function describeReplica({ replicaId, epoch, state, ranks, scheduler }: ReplicaStatus): string[] {
  const head = `  replica ${replicaId}: ${state}, epoch ${epoch}`;
  const lines = [head, ...ranks.map(describeRank)];
  return scheduler === null ? lines : [...lines, ...describeScheduler(scheduler)];
}

function describeRank(rank: RankStatus): string {
  const { arenas } = rank;
  const memory =
    arenas === null
      ? ""
      : `; weights ${mib(arenas.weights)}, KV ${mib(arenas.kv)}, workspace ${mib(arenas.workspace)}, process ${mib(rank.rssBytes)}`;
  const load = rank.state === "loading" ? `; ${mib(rank.loadBytesDone)} of ${mib(rank.loadBytesPlanned)} loaded` : "";
  return `    rank ${rank.rank}: ${rank.state} on ${rank.hostId || "no host"}, pid ${rank.pid}, ${rank.device}${load}${memory}`;
}

function describeScheduler(scheduler: SchedulerStatus): string[] {
  const { numRunning, numWaiting, numFreeBlocks, numBlocks, kvGroups } = scheduler;
  const groups = kvGroups.map(({ group, numUsedBlocks }) => `${group} ${numUsedBlocks}`).join(", ");
  return [
    `    requests: ${numRunning} running, ${numWaiting} waiting; ${scheduler.numPreemptions} preemptions`,
    `    KV blocks: ${numFreeBlocks} of ${numBlocks} free; used: ${groups}`,
    `    tokens: ${scheduler.numPromptTokens} prompt, ${scheduler.numOutputTokens} output in ${scheduler.numSteps} steps`,
  ];
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
