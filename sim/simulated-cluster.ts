import type { SchedulerConfig } from "../coordinator/scheduler/scheduler-config.js";
import { schedulerConfigOf, type SchedulerSettings } from "../coordinator/served-replica.js";
import { blockBytes } from "../plans/kv-groups.js";
import type { Placement } from "../plans/collectives.js";
import { costOf, placementsOf, predictStep, USUAL_SEQ_LEN, type PlanCost } from "../plans/cost.js";
import { lower } from "../plans/lower.js";
import type { MachineProfile } from "../plans/machine-profile.js";
import {
  chooseReplicaLimits,
  provisionalLimits,
  type Choice,
  type LimitsRequest,
  type RankBytes,
} from "../plans/memory.js";
import type { ModelDescription } from "../plans/model-description.js";
import type { Precision, ProgramLimits } from "../plans/rank-program.js";
import type { ResolvedPlan } from "../plans/resolved-plan.js";

/** Machines that are to be simulated: all of one kind. */
export interface SimulatedMachines {
  profile: MachineProfile;
  /** Of each device; of a CPU of each host. */
  memoryBytes: number;
  precision: Precision;
  dequantize: boolean;
  /** Each rank has memory of its own: it is a device. Else the ranks of a replica share a host's. */
  hasOwnMemory: boolean;
}

/** What an operator decides. */
export interface SimulatedSettings extends Pick<SchedulerSettings, "scheduler" | "runAhead"> {
  request: LimitsRequest;
}

/** A cluster of equal replicas, decided as a coordinator would decide it. */
export interface SimulatedCluster {
  numReplicas: number;
  cost: PlanCost;
  config: SchedulerConfig;
  choices: readonly Choice[];
}

/**
 * What a coordinator would choose for these machines. Workspace is what the program's buffers take, so kernels' own wishes are left out.
 * @throws MoesaicError resource_exhausted with the arithmetic when a replica does not fit
 */
export function clusterOn(
  model: ModelDescription,
  plan: ResolvedPlan,
  numReplicas: number,
  machines: SimulatedMachines,
  { request, ...settings }: SimulatedSettings,
): SimulatedCluster {
  const { dequantize, precision, profile } = machines;
  const cost = costOf(model, plan, profile, { dequantize, precision, seqLen: USUAL_SEQ_LEN });
  const provisional = provisionalLimits(request, model);
  const ranks = cost.ranks.map((_, rank) => rankBytes(cost, rank, provisional.limits, machines));
  const chosen = chooseReplicaLimits(provisional, request, model, ranks);
  const placement = {
    placements: placementsOf(plan),
    predictMs: (one: Placement, numTokens: number) => predictStep(cost, one, numTokens).totalMs,
  };
  const config = schedulerConfigOf({ description: model, placement, ...settings }, chosen);
  return {
    numReplicas,
    cost,
    config,
    choices: chosen.choices,
  };
}

function rankBytes(
  { model, plan, ranks }: PlanCost,
  rank: number,
  limits: ProgramLimits,
  { memoryBytes, precision, dequantize, hasOwnMemory }: SimulatedMachines,
): RankBytes {
  const { weightsBytes, kvBytesPerLayer } = ranks[rank]!;
  const { buffers, kvGroups } = lower(model, plan, rank, { limits, precision, dequantize });
  const mostRows = { tokens: limits.maxBatchedTokens, logits: Math.min(limits.maxSequences, limits.maxBatchedTokens) };
  const rowsOf = (rows: string): number => (rows === "logits" ? mostRows.logits : mostRows.tokens);
  return {
    hostId: hasOwnMemory ? `device ${rank}` : "one host",
    memoryBytes,
    weightsBytes,
    workspaceBytes: buffers.reduce((sum, { rows, cols }) => sum + rowsOf(rows) * cols * 4, 0),
    kvBlockBytes: blockBytes(kvGroups, limits.blockSize, kvBytesPerLayer),
  };
}
