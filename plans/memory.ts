import { assert, MoesaicError } from "../proto/errors.js";
import { deviceOf, type ClusterSpec } from "./cluster-spec.js";
import { blocksOfSequence, kvGroupsOf } from "./kv-groups.js";
import type { ModelDescription } from "./model-description.js";
import type { ProgramLimits } from "./rank-program.js";

/** What the operator asked for; the names are those of the cluster spec. */
export interface LimitsRequest {
  maxModelLen: number | "auto";
  maxBatchedTokens: number | "auto";
  maxSequences: number;
  numBlocks: number | "auto";
  blockSize: number;
  memoryFraction: number;
  /** What the ranks run on. */
  device: "cpu" | "cuda";
}

/** What an engine of the provisional limits takes, by its own description, and what the device has. */
export interface DeviceBytes {
  memoryBytes: number;
  weightsBytes: number;
  workspaceBytes: number;
  kvBlockBytes: number;
}

/** A rank of a replica; ranks of one host take their arenas from the same memory. */
export interface RankBytes extends DeviceBytes {
  hostId: string;
}

/** A number that was chosen or changed, to be printed once. */
export interface Choice {
  name: "maxBatchedTokens" | "maxModelLen" | "numBlocks";
  value: number;
  why: string;
}

export interface ChosenLimits {
  limits: ProgramLimits;
  choices: Choice[];
}

/** The budgets of a cluster spec. */
export function limitsRequestOf(cluster: ClusterSpec): LimitsRequest {
  const { maxModelLen, engine, scheduler } = cluster.spec;
  const { numBlocks, blockSize, memoryFraction } = engine;
  const { maxBatchedTokens, maxSequences } = scheduler;
  const device = deviceOf(cluster);
  return { maxModelLen, maxBatchedTokens, maxSequences, numBlocks, blockSize, memoryFraction, device };
}

/** From here on a CPU's prefill is bound by arithmetic; a longer step only delays the sequences that decode. */
const CPU_BATCHED_TOKENS = 512;
/** Fills a GPU's matrix units; more takes workspace from the KV cache and delays the sequences that decode. */
const GPU_BATCHED_TOKENS = 2_048;
/** The null block, and one. */
const FEWEST_BLOCKS = 2;
/** What a CPU rank takes unasked: its memory belongs to others too, and more sequences than this are compute-bound. */
const CPU_KV_BYTES = 4 * 2 ** 30;

/**
 * Everything but the number of KV blocks, which needs the sizes that an engine of these limits describes.
 * `chooseLimits` completes them; it never raises one, so the sizes stay upper bounds.
 */
export function provisionalLimits(request: LimitsRequest, model: ModelDescription): ChosenLimits {
  const choices: Choice[] = [];
  const { maxSequences, blockSize } = request;
  const isCpu = request.device === "cpu";
  const chosenTokens = isCpu ? CPU_BATCHED_TOKENS : GPU_BATCHED_TOKENS;
  const maxBatchedTokens = request.maxBatchedTokens === "auto" ? chosenTokens : request.maxBatchedTokens;
  if (request.maxBatchedTokens === "auto") {
    const why = `on a ${isCpu ? "CPU" : "GPU"} larger steps prefill hardly faster and delay the sequences that decode`;
    choices.push({ name: "maxBatchedTokens", value: maxBatchedTokens, why });
  }
  const asked = request.maxModelLen === "auto" ? model.maxModelLen : request.maxModelLen;
  const maxSeqLen = Math.min(asked, model.maxModelLen);
  if (asked > maxSeqLen) {
    choices.push({ name: "maxModelLen", value: maxSeqLen, why: `asked were ${asked}, the model ends at ${maxSeqLen}` });
  }
  return { limits: { maxBatchedTokens, maxSequences, maxSeqLen, blockSize, numBlocks: FEWEST_BLOCKS }, choices };
}

/**
 * Completes provisional limits: KV blocks as given or as the memory allows, and with `maxModelLen: auto` no longer
 * sequences than the pool holds.
 * @param numRanks that `device` is the sum of
 * @throws MoesaicError resource_exhausted, with the arithmetic, when weights, workspace and the least KV do not fit
 */
export function chooseLimits(
  provisional: ChosenLimits,
  request: LimitsRequest,
  model: ModelDescription,
  device: DeviceBytes,
  numRanks = 1,
): ChosenLimits {
  const room = blocksThatFit(request, device);
  const auto =
    request.numBlocks === "auto" ? autoBlocks(provisional.limits, request, model, device, room, numRanks) : null;
  const numBlocks = auto?.value ?? Number(request.numBlocks);
  if (numBlocks > room) throw tooLittleMemory(`numBlocks ${numBlocks}`, numBlocks, request, device);
  const maxSeqLen = fittingSeqLen({ ...provisional.limits, numBlocks }, request, model);
  const choices = [...provisional.choices];
  if (auto !== null) choices.push(auto);
  if (maxSeqLen < provisional.limits.maxSeqLen) {
    const why = `the model allows ${model.maxModelLen}, the ${numBlocks - 1} KV blocks hold one sequence of this length`;
    choices.push({ name: "maxModelLen", value: maxSeqLen, why });
  }
  return { limits: { ...provisional.limits, maxSeqLen, numBlocks }, choices };
}

/**
 * As chooseLimits, for a replica of several ranks: all have the same KV blocks, as many as the host with least room has.
 * @param ranks in order of rank, at least one
 * @throws MoesaicError resource_exhausted as chooseLimits, with the host as its place
 */
export function chooseReplicaLimits(
  provisional: ChosenLimits,
  request: LimitsRequest,
  model: ModelDescription,
  ranks: readonly RankBytes[],
): ChosenLimits {
  const hosts = hostsOf(ranks).map((host) => ({
    host,
    chosen: atPlace(host.name, () => chooseLimits(provisional, request, model, host.device, host.ranks.length)),
  }));
  const [first, ...others] = hosts;
  assert(first !== undefined, "a replica has a rank");
  const least = others.reduce((a, b) => (b.chosen.limits.numBlocks < a.chosen.limits.numBlocks ? b : a), first);
  if (others.length === 0) return least.chosen;
  const named = (choice: Choice): Choice =>
    choice.name === "numBlocks" ? { ...choice, why: `${least.host.name}: ${choice.why}` } : choice;
  return { ...least.chosen, choices: least.chosen.choices.map(named) };
}

/** Ranks for whose arenas their host has no room. */
export interface Misfit {
  ranks: number[];
  /** resource_exhausted with the arithmetic, and the ranks and host as its place. */
  error: MoesaicError;
}

/** The first host without room for `numBlocks` KV blocks of its ranks; null when all fit. @param ranks in order of rank */
export function misfitOf(request: LimitsRequest, ranks: readonly RankBytes[], numBlocks: number): Misfit | null {
  for (const { name, device, ranks: own } of hostsOf(ranks)) {
    if (blocksThatFit(request, device) >= numBlocks) continue;
    const { code, message } = tooLittleMemory(`the replica's ${numBlocks} KV blocks`, numBlocks, request, device);
    return { ranks: own, error: new MoesaicError(code, message, { place: name }) };
  }
  return null;
}

interface Host {
  /** Its ranks as they are to stand in a sentence. */
  name: string;
  device: DeviceBytes;
  ranks: number[];
}

/** What the ranks of each host take together. */
function hostsOf(ranks: readonly RankBytes[]): Host[] {
  return [...new Set(ranks.map(({ hostId }) => hostId))].map((hostId) => {
    const own = ranks.flatMap((rank, index) => (rank.hostId === hostId ? [{ ...rank, index }] : []));
    const sum = (key: "weightsBytes" | "workspaceBytes" | "kvBlockBytes"): number =>
      own.reduce((total, rank) => total + rank[key], 0);
    const device = {
      memoryBytes: Math.min(...own.map(({ memoryBytes }) => memoryBytes)),
      weightsBytes: sum("weightsBytes"),
      workspaceBytes: sum("workspaceBytes"),
      kvBlockBytes: sum("kvBlockBytes"),
    };
    const indices = own.map(({ index }) => index);
    const name = `${indices.length === 1 ? "rank" : "ranks"} ${indices.join(", ")} of ${hostId}`;
    return { name, device, ranks: indices };
  });
}

function atPlace<T>(place: string, choose: () => T): T {
  try {
    return choose();
  } catch (caught) {
    const { code, message } = MoesaicError.from(caught);
    throw new MoesaicError(code, message, { place, cause: caught });
  }
}

/** KV blocks there is room for beside weights and workspace; may be negative. */
function blocksThatFit({ memoryFraction }: LimitsRequest, device: DeviceBytes): number {
  const freeBytes = device.memoryBytes * memoryFraction - device.weightsBytes - device.workspaceBytes;
  return Math.floor(freeBytes / device.kvBlockBytes);
}

/** The smallest of: what fits, what the sequences can use, and 4 GiB unless one sequence was asked to be longer. */
function autoBlocks(
  limits: ProgramLimits,
  request: LimitsRequest,
  model: ModelDescription,
  device: DeviceBytes,
  room: number,
  numRanks: number,
): Choice {
  const groups = kvGroupsOf(model);
  const ofLength = (numTokens: number): number => 1 + blocksOfSequence(groups, numTokens, limits);
  const longest = ofLength(limits.maxSeqLen);
  const useful = 1 + limits.maxSequences * (longest - 1);
  const needed =
    request.maxModelLen === "auto" ? ofLength(Math.min(limits.maxBatchedTokens, limits.maxSeqLen)) : longest;
  const unasked = request.device === "cpu" ? Math.floor((numRanks * CPU_KV_BYTES) / device.kvBlockBytes) : Infinity;
  const cap = Math.max(unasked, needed);
  if (needed > room) throw tooLittleMemory("the KV of one sequence", needed, request, device);
  const value = Math.min(room, useful, cap);
  const reasons = [
    {
      blocks: room,
      why: `what ${gib(device.memoryBytes)} x memoryFraction ${request.memoryFraction} leaves beside weights and workspace`,
    },
    { blocks: useful, why: `all that ${limits.maxSequences} sequences of ${limits.maxSeqLen} tokens can use` },
    { blocks: cap, why: `${gib((cap * device.kvBlockBytes) / numRanks)} of KV, the most a CPU rank takes unasked` },
  ];
  return { name: "numBlocks", value, why: reasons.find(({ blocks }) => blocks === value)?.why ?? "" };
}

/** The longest sequence that the pool holds alone, up to what was asked. */
function fittingSeqLen(limits: ProgramLimits, request: LimitsRequest, model: ModelDescription): number {
  const groups = kvGroupsOf(model);
  const fits = (numTokens: number): boolean => blocksOfSequence(groups, numTokens, limits) < limits.numBlocks;
  if (fits(limits.maxSeqLen)) return limits.maxSeqLen;
  const needed = 1 + blocksOfSequence(groups, request.maxModelLen === "auto" ? 1 : limits.maxSeqLen, limits);
  if (request.maxModelLen !== "auto" || !fits(1)) {
    const length = request.maxModelLen === "auto" ? "1 token" : `maxModelLen ${limits.maxSeqLen}`;
    const message =
      `KV blocks: one sequence of ${length} needs ${needed} (the null block included), numBlocks is ${limits.numBlocks}; ` +
      "raise numBlocks or lower maxModelLen";
    throw new MoesaicError("resource_exhausted", message);
  }
  return lastThat(fits, limits.maxSeqLen);
}

/** The largest number below `end` that holds, of a property that holds for 1 and stops holding once. */
function lastThat(holds: (count: number) => boolean, end: number): number {
  let [low, high] = [1, end];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

function tooLittleMemory(what: string, blocks: number, request: LimitsRequest, device: DeviceBytes): MoesaicError {
  const usable = device.memoryBytes * request.memoryFraction;
  const kvBytes = blocks * device.kvBlockBytes;
  const needed = device.weightsBytes + device.workspaceBytes + kvBytes;
  const message =
    `memory: weights ${gib(device.weightsBytes)} + workspace ${gib(device.workspaceBytes)} + ${what} ${gib(kvBytes)} ` +
    `= ${gib(needed)}, there are ${gib(device.memoryBytes)} x memoryFraction ${request.memoryFraction} = ${gib(usable)}; ` +
    "use a larger machine or a smaller model, or lower numBlocks, maxModelLen, maxBatchedTokens or maxSequences";
  return new MoesaicError("resource_exhausted", message);
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
