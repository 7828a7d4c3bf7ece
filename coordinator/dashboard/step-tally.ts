import type { StepObserver } from "../engine-loop.js";
import type { SchedulerStats } from "../scheduler/scheduler-stats.js";
import type { ReplicaSample } from "./cluster-view.js";

type StepFacts = Parameters<StepObserver["stepFinished"]>[0];

const NOTHING = { numSteps: 0, numTokens: 0, numSequences: 0, numSampled: 0, stepMs: 0, engineMs: 0 };

/** Counts the steps of one replica between two samples. */
export class StepTally {
  #sums = { ...NOTHING };

  add({ step, result, durationMs }: StepFacts): void {
    const sums = this.#sums;
    sums.numSteps += 1;
    sums.numTokens += step.size.numTokens;
    sums.numSequences += step.parts.length;
    sums.numSampled += result.tokenIds.length;
    sums.stepMs += durationMs;
    sums.engineMs += result.engineUs / 1_000;
  }

  /** What was counted in the last `seconds`, and counts anew. */
  take(replicaId: number, stats: SchedulerStats, seconds: number): ReplicaSample {
    const { numSteps, numTokens, numSequences, numSampled, stepMs, engineMs } = this.#sums;
    this.#sums = { ...NOTHING };
    const ofStep = (sum: number): number => (numSteps === 0 ? 0 : sum / numSteps);
    const { numBlocksUsed, numBlocksFree, numBlocksTotal } = stats;
    return {
      replicaId,
      numRunning: stats.numRunning,
      numWaiting: stats.numWaiting,
      outputRate: numSampled / seconds,
      prefillRate: Math.max(0, numTokens - numSampled) / seconds,
      stepRate: numSteps / seconds,
      meanSequences: ofStep(numSequences),
      meanTokens: ofStep(numTokens),
      meanStepMs: ofStep(stepMs),
      meanEngineMs: ofStep(engineMs),
      blocks: { ...numBlocksUsed, free: numBlocksFree, total: numBlocksTotal },
    };
  }
}
