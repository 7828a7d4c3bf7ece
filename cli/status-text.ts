import type {
  ClusterStatus,
  PlacementStatus,
  RankStatus,
  ReplicaStatus,
  SchedulerStatus,
} from "../client/cluster-status.js";

/** A running cluster for people: a line for each replica, rank and spare, and what they do below it. */
export function describeStatus(status: ClusterStatus): string {
  const { name, model, version, state, reason, uptimeMs, bus } = status;
  const head = `${name}: ${model}, ${state}${because(reason)}, up ${(uptimeMs / 1_000).toFixed(0)} s, moesaic ${version}`;
  const lines = [
    head,
    ...(bus === null ? [] : [`  bus: ${bus.name}${bus.state === "" ? "" : `, ${bus.state}`}`]),
    ...status.replicas.flatMap(describeReplica),
    ...status.spares.map(describeSpare),
  ];
  return lines.join("\n");
}

function describeReplica(replica: ReplicaStatus): string[] {
  const { replicaId, epoch, state, reason, ranks, scheduler, placements } = replica;
  return [
    `  replica ${replicaId}: ${state}, epoch ${epoch}${because(reason)}`,
    ...ranks.flatMap(describeRank),
    ...(scheduler === null ? [] : describeScheduler(scheduler)),
    ...placements.map(describePlacement),
  ];
}

function describeRank(rank: RankStatus): string[] {
  const { arenas, collectives, hostId, transport } = rank;
  const head = `    rank ${rank.rank}: ${rank.state}`;
  if (hostId === "") return [`${head}, nobody is attached`];
  const memory =
    arenas === null || rank.state !== "ready"
      ? ""
      : `; weights ${size(arenas.weights)}, KV ${size(arenas.kv)}, workspace ${size(arenas.workspace)}, process ${size(rank.rssBytes)}`;
  const load =
    rank.state === "loading"
      ? `; ${size(rank.loadBytesDone)} of ${size(rank.loadBytesPlanned)} loaded (${rank.loadPercent.toFixed(0)} %)`
      : "";
  const sent = collectives.filter(({ calls }) => calls > 0);
  const counts = sent.map(({ name, calls, bytes }) => `${name} ${size(bytes)} in ${calls}`).join(", ");
  return [
    `${head} on ${hostId}, pid ${rank.pid}, ${rank.device}${load}${memory}`,
    ...(sent.length === 0 ? [] : [`      sent${transport === "" ? "" : ` over ${transport}`}: ${counts} calls`]),
  ];
}

function describeSpare({ hostId, pid, device, rssBytes }: RankStatus): string {
  return `  spare on ${hostId || "no host"}, pid ${pid}, ${device}, process ${size(rssBytes)}`;
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

function describePlacement({ numTokensMax, placement, replicatedMs, shardedMs }: PlacementStatus): string {
  const tried = [
    ["replicated", replicatedMs],
    ["sharded", shardedMs],
  ] as const;
  const times = tried.filter(([, ms]) => ms > 0).map(([name, ms]) => `${name} ${ms.toFixed(2)} ms`);
  const why = times.length === 0 ? "as predicted, not measured yet" : `measured: ${times.join(", ")}`;
  return `    steps of up to ${numTokensMax} ${numTokensMax === 1 ? "token" : "tokens"}: ${placement} (${why})`;
}

function because(reason: string): string {
  return reason === "" ? "" : ` (${reason})`;
}

function size(bytes: number): string {
  return bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
