import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GREEDY_SAMPLING, OUTPUT_SAMPLE, type StepPlan, type StepResult } from "../../proto/step.js";
import { silentLogger } from "../../proto/log.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import { Random } from "../../sim/random.js";

const NUM_SEEDS = 15;
const NUM_STEPS = 3000;
const NUM_WAITING = 3;

// Two tenants that both wait all the time, in worlds of random sizes, weights and lengths, with pools that are too small.
describe("Fair sharing", () => {
  it("serves two backlogged tenants alike to within 2 x (credit + maxSequences x longest / weight), in any span", () => {
    for (let seed = 1; seed <= NUM_SEEDS; seed++) {
      const { bound, spread, served } = new BackloggedPair(new Random(seed)).run();
      assert.ok(spread <= bound, `seed ${seed}: ${spread} tokens over weight apart, bound ${bound}`);
      assert.ok(served > 4 * bound, `seed ${seed}: ${served} tokens over weight prove nothing of a bound of ${bound}`);
    }
  });
});

class BackloggedPair {
  readonly #random: Random;
  readonly #weights: Record<string, number>;
  readonly #limits: { maxSequences: number; maxSeqLen: number; maxBatchedTokens: number };
  readonly #scheduler: Scheduler;
  readonly #numWaiting: Record<string, number> = { a: 0, b: 0 };
  readonly #served: Record<string, number> = { a: 0, b: 0 };
  readonly #sequences = new Map<number, { tenant: string; maxSeqLen: number; numServed: number }>();
  readonly #rows = new Map<number, number>();
  #numAdded = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#weights = { a: random.pick([0.5, 1, 2]), b: random.pick([1, 3]) };
    const blockSize = 4;
    this.#limits = {
      maxSequences: random.integer(1, 4),
      maxSeqLen: random.integer(8, 24),
      maxBatchedTokens: random.pick([4, 8, 12]),
    };
    const { maxSequences, maxSeqLen } = this.#limits;
    const numBlocks = 2 + Math.ceil(maxSeqLen / blockSize) * random.pick([1, 2, maxSequences]);
    this.#scheduler = new Scheduler(
      {
        ...{ vocabSize: 10, blockSize, numBlocks, kvGroups: [{ kind: "full", window: 0 }], maxWaiting: 100 },
        ...{ ...this.#limits, maxLogitRows: 16, policy: "fair", tenantWeights: this.#weights },
        targetStepMs: random.pick([null, 20]),
      },
      silentLogger,
    );
  }

  /** @returns how far the tenants' services moved apart, and the least that either had, in tokens over weight */
  run(): { bound: number; spread: number; served: number } {
    let [least, most] = [Infinity, -Infinity];
    for (let nowMs = 0; nowMs < 10 * NUM_STEPS; nowMs += 10) {
      for (const tenant of ["a", "b"]) while (this.#numWaiting[tenant]! < NUM_WAITING) this.#add(tenant, nowMs);
      const plan = this.#scheduler.schedule(nowMs)!;
      const result = this.#answer(plan);
      this.#scheduler.apply(result, nowMs + 10);
      const difference = this.#served["a"]! - this.#served["b"]!;
      [least, most] = [Math.min(least, difference), Math.max(most, difference)];
    }
    const { maxSequences, maxSeqLen, maxBatchedTokens } = this.#limits;
    const ofRunning = (maxSequences * maxSeqLen) / Math.min(...Object.values(this.#weights));
    const bound = 2 * (4 * maxBatchedTokens + ofRunning);
    return { bound, spread: most - least, served: Math.min(this.#served["a"]!, this.#served["b"]!) };
  }

  #add(tenant: string, nowMs: number): void {
    const seqId = this.#numAdded++;
    const numPrompt = this.#random.integer(1, this.#limits.maxSeqLen - 1);
    const maxSeqLen = this.#random.integer(numPrompt + 1, this.#limits.maxSeqLen);
    const spec = { seqId, requestId: "", promptTokenIds: new Int32Array(numPrompt), tenant };
    const sampling = { ...GREEDY_SAMPLING, maxSeqLen };
    this.#scheduler.add({ ...spec, sampling, priority: 0, deadlineMs: null, wantsLogits: false }, nowMs);
    this.#sequences.set(seqId, { tenant, maxSeqLen, numServed: 0 });
    this.#numWaiting[tenant]!++;
  }

  /** The step's result; counts what it computes for the first time. */
  #answer(plan: StepPlan): StepResult {
    for (const { row, seqId } of plan.newRows) this.#rows.set(row, seqId);
    const finishes: number[] = [];
    for (const [index, row] of plan.seqRows.entries()) {
      const sequence = this.#sequences.get(this.#rows.get(row)!)!;
      this.#count(sequence, plan.seqLens[index]!);
      if (plan.outputs[index] !== OUTPUT_SAMPLE) continue;
      finishes.push(plan.seqLens[index]! + 1 === sequence.maxSeqLen ? 2 : 0);
    }
    const seqRows = plan.seqRows.filter((_, index) => plan.outputs[index] === OUTPUT_SAMPLE);
    const floats = { logprobs: new Float32Array(seqRows.length), topLogprobs: new Float32Array(0) };
    return {
      ...{ epoch: plan.epoch, stepId: plan.stepId, seqRows, tokenIds: new Int32Array(seqRows.length) },
      ...{
        finishes: Int32Array.from(finishes),
        numTopLogprobs: 0,
        topTokenIds: new Int32Array(0),
        engineUs: 0,
        runsOn: false,
      },
      ...{ ...floats, logits: new Float32Array(0) },
    };
  }

  #count(sequence: { tenant: string; numServed: number }, seqLen: number): void {
    const { tenant } = sequence;
    // The first token of all means that it was admitted.
    if (sequence.numServed === 0) this.#numWaiting[tenant]!--;
    this.#served[tenant]! += Math.max(0, seqLen - sequence.numServed) / this.#weights[tenant]!;
    sequence.numServed = Math.max(sequence.numServed, seqLen);
  }
}
