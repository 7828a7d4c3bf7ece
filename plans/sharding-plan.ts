import { z } from "zod";

import { isMapping, isWholeNumber } from "./plain-value.js";
import { throwProblems } from "./problems.js";
import type { ShardStyle } from "./shard-rules.js";
import { autoOrWholeNumber, checkYaml, oneOf, valueAt, wanted, wholeNumber, type Issue } from "./yaml-schema.js";
import { parseYaml, type YamlPath, type YamlSource } from "./yaml-source.js";

/** Where each tensor and each token goes, as it was written; what was left out is auto. */
export interface ShardingPlan {
  kind: "ShardingPlan";
  /** Ranks of a replica. */
  worldSize: number;
  /** Heads over `tp` ranks, replicated over the rest of `ranks`; ranks that are not named run experts only. */
  attention: { tp: number | "auto"; ranks: number[] | "auto" };
  /** `ep` groups of ranks that hold different experts, each expert cut over the `tp` ranks of its group. */
  experts: {
    ep: number | "auto";
    tp: number | "auto";
    /** Expert ids by rank. */
    assign: "auto" | Record<string, number[]>;
  };
  /** Whether every rank holds every hidden state of a step, or each its own tokens'. */
  tokens: "auto" | "replicated" | "sharded";
  /** Relative capacity of each rank; uneven cuts follow it. */
  weights: "auto" | number[];
  /** Styles by pattern of module names; a later line overrides an earlier one. */
  shard: Record<string, ShardStyle>;
  /** `FILE:line:column` of a path, for errors found later. */
  placeOf(path: YamlPath): string;
}

/** Plans that come with Moesaic: `presets/NAME.yaml` beside this file, read by whoever may read files. */
export const PRESET_NAMES = [
  "gpt-oss-20b-1rank",
  "gpt-oss-20b-2ranks",
  "gpt-oss-20b-4ranks",
  "gpt-oss-20b-8ranks",
  "gpt-oss-120b-1rank",
  "gpt-oss-120b-2ranks",
  "gpt-oss-120b-4ranks",
  "gpt-oss-120b-8ranks",
] as const;

/**
 * Reads a plan file.
 * @throws MoesaicError invalid_argument with every problem and its place
 */
export function parseShardingPlan(yaml: string, fileName: string): ShardingPlan {
  const { plan, problems } = readPlanMapping(parseYaml(yaml, fileName), []);
  throwProblems(problems, fileName);
  return plan;
}

/** What other problems of a plan may follow from. */
const PLAN_PARTS = [
  "worldSize",
  "attention.tp",
  "attention.ranks",
  "experts.ep",
  "experts.tp",
  "experts.assign",
  "tokens",
  "weights",
  "shard",
] as const;
export type PlanPart = (typeof PLAN_PARTS)[number];

export interface PlanReading {
  /** What could be read, auto for the rest. */
  plan: ShardingPlan;
  /** `FILE:line:column: path: …` of all that could not. */
  problems: string[];
  /** The parts that the problems are about. */
  unread: ReadonlySet<PlanPart>;
}

/** The plan inside another document, such as a cluster spec's `spec.plan`, as far as it can be read. */
export function readPlanMapping(source: YamlSource, path: YamlPath): PlanReading {
  const { value, problems, issues } = checkYaml(source, path, planSchema);
  const written = valueAt(source.value, path);
  const readable = value ?? planSchema.parse({ worldSize: 1, ...without(written, issues) });
  const unread = new Set(
    PLAN_PARTS.filter((part) => issues.some((issue) => concerns(issue, part.split("."), written))),
  );
  return { plan: { ...readable, placeOf: (inner) => source.placeOf([...path, ...inner]) }, problems, unread };
}

/** A plan without what is wrong with it. */
function without(written: unknown, issues: readonly Issue[]): Record<string, unknown> {
  const left = isMapping(written) ? structuredClone(written) : {};
  for (const { path } of issues) {
    const parent = valueAt(left, path.slice(0, -1));
    if (isMapping(parent)) delete parent[String(path.at(-1))];
  }
  return left;
}

/** Whether a part is inside what is wrong or around it, or may be what a key that does not exist was to say. */
function concerns({ path, isUnknownKey }: Issue, part: readonly string[], written: unknown): boolean {
  const mapping = isUnknownKey ? path.slice(0, -1) : path;
  const isNear = mapping.every((key, index) => index >= part.length || part[index] === key);
  return isNear && (!isUnknownKey || valueAt(written, part) === undefined);
}

/** Everything left open: what suits a model on some ranks is chosen by cost. */
export function autoPlan(numRanks: number): ShardingPlan {
  return {
    kind: "ShardingPlan",
    worldSize: numRanks,
    attention: { tp: "auto", ranks: "auto" },
    experts: { ep: "auto", tp: "auto", assign: "auto" },
    tokens: "auto",
    weights: "auto",
    shard: {},
    placeOf: () => "plan auto",
  };
}

/**
 * What `--tp T --ep E` is short for: T x E ranks, experts over E groups, each expert and the heads cut T ways. Problems
 * name the flags.
 */
export function planFromFlags(tp: number, ep: number, tokens: ShardingPlan["tokens"] = "auto"): ShardingPlan {
  const flags: Readonly<Record<string, string>> = {
    tokens: "--tokens-placement",
    "experts.ep": "--ep",
    "experts.tp": "--tp",
    "attention.tp": "--tp",
  };
  return {
    ...autoPlan(tp * ep),
    attention: { tp, ranks: "auto" },
    experts: { ep, tp, assign: "auto" },
    tokens,
    placeOf: (path) => flags[path.join(".")] ?? `--tp ${tp} --ep ${ep}`,
  };
}

// ---- schema --------------------------------------------------------------------------------------------------------

const MAX_RANKS = 1_024;
const MAX_EXPERTS = 65_536;

function isListOf(value: unknown, max: number, length: number): boolean {
  return Array.isArray(value) && value.length <= length && value.every((item) => isWholeNumber(item, 0, max));
}

function isAssignment(value: unknown): boolean {
  if (value === "auto") return true;
  return (
    isMapping(value) &&
    Object.entries(value).every(([rank, ids]) => /^\d{1,4}$/.test(rank) && isListOf(ids, MAX_EXPERTS, MAX_EXPERTS))
  );
}

function isWeights(value: unknown): boolean {
  if (value === "auto") return true;
  const isCapacity = (item: unknown): boolean => typeof item === "number" && item > 0 && item < 1e30;
  return Array.isArray(value) && value.length >= 1 && value.length <= MAX_RANKS && value.every(isCapacity);
}

const STYLE_NAMES = ["colwise", "rowwise", "local_colwise", "replicate"];

function isStyle(value: unknown): boolean {
  if (typeof value === "string") return STYLE_NAMES.includes(value);
  if (!isMapping(value) || value["by"] !== "expert") return false;
  return (
    Object.keys(value).every((key) => key === "by" || key === "then") &&
    ["intermediate", "none"].includes(value["then"] as string)
  );
}

const planSchema = z.strictObject({
  kind: oneOf("ShardingPlan").default("ShardingPlan"),
  worldSize: wholeNumber(1, MAX_RANKS),
  attention: z
    .strictObject({
      tp: autoOrWholeNumber(1, MAX_RANKS).default("auto"),
      ranks: wanted<number[] | "auto">(
        "auto or a list of ranks",
        (value) => value === "auto" || (isListOf(value, MAX_RANKS - 1, MAX_RANKS) && (value as unknown[]).length > 0),
      ).default("auto"),
    })
    .prefault({}),
  experts: z
    .strictObject({
      ep: autoOrWholeNumber(1, MAX_RANKS).default("auto"),
      tp: autoOrWholeNumber(1, MAX_RANKS).default("auto"),
      assign: wanted<"auto" | Record<string, number[]>>("auto or expert ids by rank", isAssignment).default("auto"),
    })
    .prefault({}),
  tokens: oneOf("auto", "replicated", "sharded").default("auto"),
  weights: wanted<"auto" | number[]>("auto or one number above 0 for each rank", isWeights).default("auto"),
  shard: z
    .record(
      z.string(),
      wanted<ShardStyle>(`${STYLE_NAMES.join(", ")} or { by: expert, then: intermediate | none }`, isStyle),
    )
    .default({}),
});
