import { createHash } from "node:crypto";
import type { EngineChoice } from "../../plans/engine-choices.js";
import type { Misfit, RankBytes } from "../../plans/memory.js";
import type { RankProgram } from "../../plans/rank-program.js";
import type { v1 } from "../../proto/messages.js";
import type { SeatRequirement } from "./seat.js";

export interface ReplicaConfig {
  replicaId: number;
  worldSize: number;
  /** By rank; absent: anybody. */
  requirements?: readonly SeatRequirement[];
  /** The rank's program; its limits.numBlocks is decided once the ranks have said what they take. */
  programOf(rank: number): RankProgram;
  modelDir: string;
  /** Random weights from this seed instead of the checkpoint's. */
  dummySeed: number | null;
  kernelPackages: string[];
  deterministic: boolean;
  /** What was decided about the engines, for the ranks' logs. */
  engineChoices: readonly EngineChoice[];
  /** KV blocks that fit every rank. @throws MoesaicError resource_exhausted */
  chooseNumBlocks(ranks: SizedRank[]): number;
  /** Ranks that have no room for the KV blocks chosen before; null when all have. */
  misfitOf(ranks: SizedRank[], numBlocks: number): Misfit | null;
  leaseMs: number;
  stallMs: number;
  peerDeadlineMs: number;
  /** Of the coordinator's lease at this moment; 0: there is no fencing. */
  fencingToken(): number;
}

/** What a rank's program takes, and on which host. */
export interface SizedRank {
  hostId: string;
  sized: v1.Sized.$Properties;
}

/** What the choice of KV blocks looks at. */
export function rankBytesOf({ hostId, sized }: SizedRank): RankBytes {
  return {
    hostId,
    memoryBytes: sized.memory_bytes ?? 0,
    weightsBytes: sized.weights_bytes ?? 0,
    workspaceBytes: sized.workspace_bytes ?? 0,
    kvBlockBytes: sized.kv_block_bytes ?? 0,
  };
}

/** The part of an Assignment that decides what the rank loads and runs. */
export function engineOf(config: ReplicaConfig, rank: number): v1.Assignment.$Properties {
  return {
    replica_id: config.replicaId,
    rank,
    world_size: config.worldSize,
    program_json: JSON.stringify(config.programOf(rank)),
    model_dir: config.modelDir,
    ...(config.dummySeed === null ? {} : { dummy_seed: config.dummySeed }),
    kernel_packages: config.kernelPackages,
    deterministic: config.deterministic,
  };
}

/** Equal for equal engines. */
export function digestOf(config: ReplicaConfig, rank: number): string {
  return createHash("sha256")
    .update(JSON.stringify(engineOf(config, rank)))
    .digest("hex");
}
