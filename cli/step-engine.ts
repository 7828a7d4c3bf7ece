import { openModelSource, resolveSpecPlan, type ModelSource } from "../coordinator/model-source.js";
import type { EngineHandle, ProgramDescription } from "../native/binding.js";
import { native } from "../native/index.js";
import { precisionOf, type ClusterSpec } from "../plans/cluster-spec.js";
import { kvGroupsOf } from "../plans/kv-groups.js";
import { lower } from "../plans/lower.js";
import type { ProgramLimits, RankProgram } from "../plans/rank-program.js";
import { openCheckpoint } from "../worker/checkpoint/checkpoint.js";
import { planLoad } from "../worker/checkpoint/load-plan.js";
import { decided, engineOptionsOf } from "./explained-plan.js";
import { DUMMY_SEED } from "./local-cluster.js";
import { blocksOfRows } from "./step-plans.js";

/** An engine in this process, as a rank of one has it, with its weights loaded. */
export interface StepEngine {
  handle: EngineHandle;
  program: RankProgram;
  description: ProgramDescription;
  vocabSize: number;
}

export interface StepSizes {
  /** Most tokens of each row. */
  rowLengths: readonly number[];
  maxBatchedTokens: number;
  /** Most rows whose logits are wanted in one step. */
  numLogitsRows: number;
}

/** Lends an engine of the cluster's only rank out and closes it. @throws MoesaicError as loadWeights and openEngine */
export async function withStepEngine<T>(
  written: ClusterSpec,
  sizes: StepSizes,
  use: (engine: StepEngine) => Promise<T>,
): Promise<T> {
  const cluster = decided(written);
  const source = await openModelSource(cluster, ".");
  const program = await programOf(cluster, source, sizes);
  const options = engineOptionsOf(cluster);
  const description = native.describeProgram(program, options);
  const handle = native.openEngine(program, options);
  try {
    await load(handle, program, description, source);
    return await use({ handle, program, description, vocabSize: source.description.vocabSize });
  } finally {
    native.closeEngine(handle);
  }
}

async function programOf(cluster: ClusterSpec, source: ModelSource, sizes: StepSizes): Promise<RankProgram> {
  const { description: model } = source;
  const { rowLengths, maxBatchedTokens } = sizes;
  const { blockSize, dequantize } = cluster.spec.engine;
  const limits: ProgramLimits = {
    maxBatchedTokens,
    maxSequences: Math.max(rowLengths.length, sizes.numLogitsRows),
    maxSeqLen: Math.max(...rowLengths) + 1,
    blockSize,
    numBlocks: blocksOfRows(rowLengths, blockSize, kvGroupsOf(model)),
  };
  const plan = await resolveSpecPlan(cluster, ".", model);
  return lower(model, plan, 0, { limits, precision: precisionOf(cluster), dequantize });
}

async function load(
  handle: EngineHandle,
  program: RankProgram,
  { weights }: ProgramDescription,
  { modelDir }: ModelSource,
): Promise<void> {
  if (modelDir === null) {
    await native.loadDummyWeights(handle, DUMMY_SEED, () => {});
    return;
  }
  const checkpoint = await openCheckpoint(modelDir);
  try {
    await native.loadWeights(handle, planLoad(program, checkpoint, weights), () => {});
    await checkpoint.checkUnchanged();
  } finally {
    await checkpoint.close();
  }
}
