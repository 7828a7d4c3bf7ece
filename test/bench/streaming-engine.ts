import {
  FINISH_LENGTH,
  FINISH_NONE,
  grantedPlan,
  LAST_SAMPLED,
  OUTPUT_SAMPLE,
  type StepPlan,
  type StepResult,
} from "../../proto/step.js";
import type { ProgramDescription } from "../../native/binding.js";
import type { RankProgram } from "../../plans/rank-program.js";
import type { v1 } from "../../proto/messages.js";
import type {
  CollectiveCount,
  DataPlane,
  Engine,
  EngineFactory,
  EngineSetup,
  LoadObserver,
  LoadOutcome,
  World,
} from "../../worker/engine.js";
import { RunningHash } from "../../worker/fake-engine.js";

interface Row {
  hash: RunningHash;
  maxSeqLen: number;
  lastSampled: number;
}

/**
 * The tokens of `FakeEngine` at next to no cost: it follows each row's hash and trusts the plan. What the coordinator takes for a token
 * is what is left of a step then.
 */
class StreamingEngine implements Engine {
  readonly #vocabSize: number;
  readonly #rows = new Map<number, Row>();
  #numSteps = 0;
  #stepId = 0;

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
  }

  step(plan: StepPlan, onResult: (result: StepResult) => void = () => {}): Promise<StepResult | null> {
    const isVoid = plan.followsStepId !== 0 && plan.followsStepId !== this.#stepId;
    if (isVoid) return Promise.resolve(null);
    for (let next = plan; ; next = grantedPlan(next)) {
      const result = this.#run(next);
      onResult(result);
      if (!result.runsOn) return Promise.resolve(result);
    }
  }

  /** It runs all that it is granted before anybody could end it. */
  endGrants(): void {}

  #run(plan: StepPlan): StepResult {
    for (const row of plan.finishedRows) this.#rows.delete(row);
    for (const { row, sampling } of plan.newRows) {
      this.#rows.set(row, { hash: new RunningHash(sampling.seed), maxSeqLen: sampling.maxSeqLen, lastSampled: -1 });
    }
    this.#numSteps += 1;
    this.#stepId = plan.stepId;
    return this.#resultOf(plan);
  }

  #resultOf(plan: StepPlan): StepResult {
    const [rows, tokenIds, finishes]: [number[], number[], number[]] = [[], [], []];
    for (let index = 0; index < plan.seqRows.length; index++) {
      const rowId = plan.seqRows[index]!;
      const row = this.#rows.get(rowId)!;
      for (let at = plan.queryStarts[index]!; at < plan.queryStarts[index + 1]!; at++) {
        const tokenId = plan.tokenIds[at]!;
        row.hash.add(tokenId === LAST_SAMPLED ? row.lastSampled : tokenId);
      }
      if (plan.outputs[index] !== OUTPUT_SAMPLE) continue;
      row.lastSampled = row.hash.state % this.#vocabSize;
      rows.push(rowId);
      tokenIds.push(row.lastSampled);
      finishes.push(plan.seqLens[index]! + 1 >= row.maxSeqLen ? FINISH_LENGTH : FINISH_NONE);
    }
    return {
      epoch: plan.epoch,
      stepId: plan.stepId,
      seqRows: Int32Array.from(rows),
      tokenIds: Int32Array.from(tokenIds),
      finishes: Int32Array.from(finishes),
      logprobs: new Float32Array(rows.length).fill(NaN),
      numTopLogprobs: 0,
      topTokenIds: new Int32Array(0),
      topLogprobs: new Float32Array(0),
      logits: new Float32Array(0),
      engineUs: 0,
      runsOn: plan.numGrantedSteps > 0 && !finishes.includes(FINISH_LENGTH),
    };
  }

  progress(): { counter: number; stepId: number; op: string } {
    return { counter: this.#numSteps, stepId: this.#stepId, op: "streaming" };
  }

  followLead(): Promise<void> {
    return Promise.resolve();
  }

  endEpoch(): Promise<void> {
    return Promise.resolve();
  }

  collectives(): CollectiveCount[] {
    return [];
  }

  stepTimes(): [] {
    return [];
  }

  expertTokens(): [] {
    return [];
  }

  abort(): void {}

  close(): void {}
}

/** Of ranks that are alone. */
export class StreamingEngineFactory implements EngineFactory {
  device(): v1.Device.$Properties {
    return { kind: "cpu", name: "streaming", device_index: 0, num_cores: 1, memory_bytes: 2 ** 40, num_threads: 1 };
  }

  openDataPlane(host: string): DataPlane {
    return { addresses: [`${host}:1`], close: () => {} };
  }

  describe({ limits }: RankProgram): ProgramDescription {
    return {
      weightsBytes: 1,
      kvBytes: limits.numBlocks,
      kvBlockBytes: 1,
      workspaceBytes: 1,
      exchangeBytes: 0,
      weights: [],
      kernels: [],
      engineKernels: [],
    };
  }

  load(program: RankProgram, _setup: EngineSetup, _world: World | null, observer: LoadObserver): Promise<LoadOutcome> {
    const engine = new StreamingEngine(program.dims.globalVocabSize);
    observer.opened(engine);
    return Promise.resolve({ engine, bytesRead: 0, loadMs: 0 });
  }
}
