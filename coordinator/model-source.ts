import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { ClusterSpec } from "../plans/cluster-spec.js";
import { describeDummy, describeModel, type ModelDescription } from "../plans/model-description.js";
import { resolvePlan, type ResolvedPlan } from "../plans/resolved-plan.js";
import { parseShardingPlan, type ShardingPlan } from "../plans/sharding-plan.js";
import { MoesaicError } from "../proto/errors.js";
import { rankProfileOf } from "./cluster/local-ranks.js";
import { readJsonFile } from "./api/text/json-file.js";

/** A model to serve: its description, and the folder of its checkpoint or null for one of random weights. */
export interface ModelSource {
  description: ModelDescription;
  modelDir: string | null;
}

/** `dummy:gpt-oss-20b:4` names a shape instead of a folder. */
const DUMMY_PREFIX = "dummy:";
/** Largest config.json that is read, bytes; the published ones have under 2,000. */
const MAX_CONFIG_BYTES = 1024 * 1024;
const PRESETS_DIR = fileURLToPath(new URL("../../plans/presets/", import.meta.url));

/** @param baseDir folder that relative paths of the spec are relative to */
export async function openModelSource(
  { spec }: { spec: Pick<ClusterSpec["spec"], "model"> },
  baseDir: string,
): Promise<ModelSource> {
  if (spec.model.startsWith(DUMMY_PREFIX)) {
    return { description: describeDummy(spec.model.slice(DUMMY_PREFIX.length)), modelDir: null };
  }
  const modelDir = resolve(baseDir, spec.model);
  const place = resolve(modelDir, "config.json");
  const config = await readJsonFile(place, MAX_CONFIG_BYTES, z.unknown());
  if (config === null) {
    const message = "there is no such file; a model is a folder with config.json and model.safetensors";
    throw new MoesaicError("not_found", message, { place });
  }
  return { description: describeModel(config, place), modelDir };
}

/**
 * The spec's plan with every choice made, for the ranks of one replica: its part of all the workers' ranks.
 * @throws MoesaicError invalid_argument when the ranks cannot be shared out evenly
 */
export async function resolveSpecPlan(
  cluster: ClusterSpec,
  baseDir: string,
  model: ModelDescription,
): Promise<ResolvedPlan> {
  const { workers, replicas } = cluster.spec;
  const numRanks = workers.reduce((sum, worker) => sum + worker.ranks, 0);
  if (numRanks % replicas !== 0) {
    const message = `${replicas} replicas cannot share ${numRanks} ranks of the workers evenly; change one of the two`;
    throw new MoesaicError("invalid_argument", message, { place: cluster.placeOf(["spec", "replicas"]) });
  }
  return resolvePlan(await readPlan(cluster, baseDir), model, numRanks / replicas, rankProfileOf(cluster));
}

async function readPlan({ spec }: ClusterSpec, baseDir: string): Promise<"auto" | ShardingPlan> {
  const { plan } = spec;
  if (plan.kind === "auto") return "auto";
  if (plan.kind === "inline") return plan.plan;
  const path = plan.kind === "file" ? resolve(baseDir, plan.path) : resolve(PRESETS_DIR, `${plan.name}.yaml`);
  return parseShardingPlan(await readFile(path, "utf8"), path);
}
