import { randomBytes } from "node:crypto";

import { lower } from "../../plans/lower.js";
import { describeDummy, type ModelDescription } from "../../plans/model-description.js";
import type { RankProgram } from "../../plans/rank-program.js";
import { resolvePlan } from "../../plans/resolved-plan.js";
import { planFromFlags, type ShardingPlan } from "../../plans/sharding-plan.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import type { ConnectOptions, DataPlaneHandle, EngineHandle } from "../../native/binding.js";
import { native, packagePath } from "../../native/index.js";

const HEAD_DIM = 16;

/** For tests: a model of two layers that four ranks can cut; the vocabulary divides by nothing. */
export const TINY_MODEL: ModelDescription = {
  ...describeDummy("gpt-oss-20b:2"),
  hiddenSize: 64,
  vocabSize: 131,
  headDim: HEAD_DIM,
  numHeads: 8,
  numKvHeads: 4,
  numExperts: 7,
  expertsPerToken: 3,
  intermediateSize: 128,
  layerKinds: ["sliding", "full"],
  slidingWindow: 8,
  rope: {
    invFreq: Array.from({ length: HEAD_DIM / 2 }, (_, i) => 10000 ** (-i / (HEAD_DIM / 2))),
    attentionScaling: 1,
  },
};

/** For tests: the programs of all ranks of a plan, with the limits of `tinyProgram`. */
export function tinyPrograms(plan: ShardingPlan, model = TINY_MODEL): RankProgram[] {
  const resolved = resolvePlan(plan, model, plan.worldSize);
  const limits = { maxBatchedTokens: 16, maxSequences: 4, maxSeqLen: 28, blockSize: 4, numBlocks: 64 };
  return Array.from({ length: plan.worldSize }, (_, rank) =>
    lower(model, resolved, rank, { limits, precision: "exact", dequantize: false }),
  );
}

/** For tests: all ranks of one plan, in this process. */
export class TinyWorld {
  private constructor(
    readonly engines: EngineHandle[],
    private readonly dataPlanes: DataPlaneHandle[],
    /** Settled when the followers are done, in order or not. */
    readonly followers: Promise<PromiseSettledResult<void>[]>,
  ) {}

  static async open(
    plan: ShardingPlan,
    transport: ConnectOptions["transport"],
    { deadlineMs = 5000, model = TINY_MODEL } = {},
  ): Promise<TinyWorld> {
    const engines = tinyPrograms(plan, model).map((program) =>
      native.openEngine(program, {
        packages: [packagePath("reference")],
        numThreads: 1,
        device: "cpu",
        deterministic: true,
      }),
    );
    const dataPlanes = engines.map(() => native.listenDataPlane("127.0.0.1:0"));
    const peers = dataPlanes.map((dataPlane, rank) => ({
      rank,
      hostId: "here",
      addresses: native.dataPlaneAddresses(dataPlane),
    }));
    const options = { epoch: 1, peers, key: new Uint8Array(randomBytes(32)), deadlineMs, transport };
    await Promise.all(engines.map((engine, rank) => native.connectEngine(engine, dataPlanes[rank]!, options)));
    await Promise.all(engines.map(async (engine) => native.loadDummyWeights(engine, 7, () => {})));
    const followers = Promise.allSettled(engines.slice(1).map(async (engine) => native.followLead(engine)));
    return new TinyWorld(engines, dataPlanes, followers);
  }

  get lead(): EngineHandle {
    return this.engines[0]!;
  }

  async step(plan: StepPlan): Promise<StepResult> {
    return native.step(this.lead, plan);
  }

  /** Ends the epoch in order, unless it is over, and frees all. */
  async close(): Promise<void> {
    await native.endEpoch(this.lead).catch(() => {});
    for (const engine of this.engines) native.closeEngine(engine);
    for (const dataPlane of this.dataPlanes) native.closeDataPlane(dataPlane);
    await this.followers;
  }
}

/** For tests: the whole model on one rank. */
export async function openTinyWhole(model = TINY_MODEL): Promise<EngineHandle> {
  const [program] = tinyPrograms(planFromFlags(1, 1), model);
  const engine = native.openEngine(program!, {
    packages: [packagePath("reference")],
    numThreads: 1,
    device: "cpu",
    deterministic: true,
  });
  await native.loadDummyWeights(engine, 7, () => {});
  return engine;
}
