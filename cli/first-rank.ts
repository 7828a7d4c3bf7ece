import { openModelSource, resolveSpecPlan } from "../coordinator/model-source.js";
import { precisionOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { lower } from "../plans/lower.js";
import { limitsRequestOf, provisionalLimits } from "../plans/memory.js";
import type { RankProgram } from "../plans/rank-program.js";

/**
 * The program of a decided cluster's first rank, with KV blocks that no memory has decided yet: enough to bind its kernels.
 * @throws MoesaicError when the model or the plan cannot be used
 */
export async function firstRankProgram(cluster: ClusterSpec, baseDir: string): Promise<RankProgram> {
  const { description: model } = await openModelSource(cluster, baseDir);
  const plan = await resolveSpecPlan(cluster, baseDir, model);
  const { limits } = provisionalLimits(limitsRequestOf(cluster), model);
  return lower(model, plan, 0, { limits, precision: precisionOf(cluster), dequantize: cluster.spec.engine.dequantize });
}
