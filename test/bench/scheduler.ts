import { GREEDY_SAMPLING, type StepPlan, type StepResult } from "../../proto/step.js";
import { silentLogger } from "../../proto/log.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";

// What the coordinator spends on one step, schedule and apply together, in steady decode with the pool of a 120b replica:
// as many sequences as rows, full outputs, more waiting. Each that ends is replaced, so steps with admissions are among
// them. Run: node dist/test/bench/scheduler.js
const VOCAB = 201_088;
const NUM_STEPS = 4000;

/** By row, as the ranks would know it. */
const maxSeqLens: number[] = [];

for (const numRunning of [1, 64, 256]) {
  for (const numWaiting of [0, 10_000]) report(numRunning, numWaiting, measure(numRunning, numWaiting));
}

function measure(numRunning: number, numWaiting: number): Float64Array {
  const scheduler = openScheduler(numRunning);
  let numAdded = 0;
  const add = (): void => addSequence(scheduler, numAdded++);
  for (let i = 0; i < numRunning + numWaiting; i++) add();
  const timesUs = new Float64Array(NUM_STEPS);
  for (let i = -NUM_STEPS / 4; i < NUM_STEPS; i++) {
    const beginMs = performance.now();
    const plan = scheduler.schedule(i);
    const plannedMs = performance.now();
    if (plan === null) throw new Error("nothing to run");
    const result = answer(plan, i);
    const answeredMs = performance.now();
    const outputs = scheduler.apply(result, i);
    if (i >= 0) timesUs[i] = 1000 * (performance.now() - answeredMs + plannedMs - beginMs);
    for (const { finish } of outputs) if (finish !== undefined) add();
  }
  return timesUs.sort();
}

function openScheduler(maxSequences: number): Scheduler {
  const kvGroups = [
    { kind: "full", window: 0 },
    { kind: "sliding", window: 128 },
  ] as const;
  const sizes = { vocabSize: VOCAB, maxSeqLen: 4096, blockSize: 16, numBlocks: 30_000, kvGroups };
  const limits = { maxBatchedTokens: 8192, maxSequences, maxLogitRows: 512, maxWaiting: 20_000 };
  return new Scheduler({ ...sizes, ...limits }, silentLogger);
}

function addSequence(scheduler: Scheduler, seqId: number): void {
  const numPrompt = 64 + ((seqId * 37) % 200);
  const promptTokenIds = Int32Array.from({ length: numPrompt }, (_, i) => (seqId * 31 + i) % VOCAB);
  const sampling = { ...GREEDY_SAMPLING, maxSeqLen: numPrompt + 200 + ((seqId * 53) % 400) };
  const plain = { priority: 0, deadlineMs: null, wantsLogits: false };
  scheduler.add({ seqId, requestId: `r${seqId}`, promptTokenIds, sampling, ...plain }, 0);
}

function answer(plan: StepPlan, salt: number): StepResult {
  for (const { row, sampling } of plan.newRows) maxSeqLens[row] = sampling.maxSeqLen;
  const sampled = [...plan.seqRows.keys()].filter((index) => plan.outputs[index] === 1);
  const seqRows = Int32Array.from(sampled, (index) => plan.seqRows[index]!);
  const finishes = sampled.map((index) => (plan.seqLens[index]! + 1 === maxSeqLens[plan.seqRows[index]!] ? 2 : 0));
  return {
    epoch: plan.epoch,
    stepId: plan.stepId,
    seqRows,
    tokenIds: Int32Array.from(seqRows, (row) => Math.abs(row * 7919 + salt) % VOCAB),
    finishes: Int32Array.from(finishes),
    logprobs: new Float32Array(seqRows.length),
    numTopLogprobs: 0,
    topTokenIds: new Int32Array(0),
    topLogprobs: new Float32Array(0),
    logits: new Float32Array(0),
    engineUs: 0,
  };
}

function report(numRunning: number, numWaiting: number, timesUs: Float64Array): void {
  const at = (fraction: number): string => `${timesUs[Math.floor(fraction * timesUs.length)]!.toFixed(1)} us`;
  const name = `schedule + apply, ${numRunning} running, ${numWaiting} waiting`.padEnd(48);
  process.stdout.write(`${name} median ${at(0.5).padStart(9)}   p99 ${at(0.99).padStart(9)}\n`);
}
