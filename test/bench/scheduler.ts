import { FINISH_LENGTH, FINISH_NONE, GREEDY_SAMPLING, OUTPUT_SAMPLE } from "../../proto/step.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import { silentLogger } from "../../proto/log.js";
import { keyedBlockHash } from "../../coordinator/scheduler/block-hash.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import { NUM_TENANTS_MAX } from "../../coordinator/scheduler/waiting-queue.js";

// What the coordinator spends on one step, schedule and apply together, in steady decode with the pool of a 120b replica:
// as many sequences as rows, full outputs, more waiting, of one tenant or of as many as there may be. Each that ends is
// replaced, so steps with admissions are among them. Times are CPU times of this process, its garbage collector's threads
// included: on a machine with other work the clock measures that work. Run: node dist/test/bench/scheduler.js
const VOCAB = 201_088;
const NUM_STEPS = 8000;
/** `--no-prefix-cache` shows what the cache costs. */
const CACHE = process.argv.includes("--no-prefix-cache") ? {} : { blockHash: keyedBlockHash([1, 2]) };

/** By row, as the ranks would know it. */
const maxSeqLens: number[] = [];

for (const numRunning of [256, 1024]) {
  for (const numWaiting of [0, 100_000]) report(numRunning, numWaiting, 1);
  report(numRunning, 100_000, NUM_TENANTS_MAX);
}

/** Times of the steps, ascending. */
function measure(numRunning: number, numWaiting: number, numTenants: number): Float64Array {
  const scheduler = openScheduler(numRunning);
  let numAdded = 0;
  const add = (): void => addSequence(scheduler, numAdded++, numTenants);
  for (let i = 0; i < numRunning + numWaiting; i++) add();
  const timesUs = new Float64Array(NUM_STEPS);
  for (let i = -NUM_STEPS / 2; i < NUM_STEPS; i++) {
    const beginUs = cpuUs();
    const plan = scheduler.schedule(i);
    const plannedUs = cpuUs();
    if (plan === null) throw new Error("nothing to run");
    const result = answer(plan, i);
    const answeredUs = cpuUs();
    const outputs = scheduler.apply(result, i);
    if (i >= 0) timesUs[i] = cpuUs() - answeredUs + plannedUs - beginUs;
    for (const { finish } of outputs) if (finish !== undefined) add();
  }
  return timesUs.sort();
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function openScheduler(maxSequences: number): Scheduler {
  const kvGroups = [
    { kind: "full", window: 0 },
    { kind: "sliding", window: 128 },
  ] as const;
  const sizes = { vocabSize: VOCAB, maxSeqLen: 4096, blockSize: 16, numBlocks: 100_000, kvGroups };
  const limits = { maxBatchedTokens: 8192, maxSequences, maxLogitRows: 1024, maxWaiting: 200_000, targetStepMs: 50 };
  return new Scheduler({ ...sizes, ...limits, ...CACHE }, silentLogger);
}

function addSequence(scheduler: Scheduler, seqId: number, numTenants: number): void {
  const numPrompt = 64 + ((seqId * 37) % 200);
  const promptTokenIds = Int32Array.from({ length: numPrompt }, (_, i) => (seqId * 31 + i) % VOCAB);
  const sampling = { ...GREEDY_SAMPLING, maxSeqLen: numPrompt + 200 + ((seqId * 53) % 400) };
  const plain = { tenant: `tenant ${seqId % numTenants}`, priority: 0, deadlineMs: null, wantsLogits: false };
  scheduler.add({ seqId, requestId: `r${seqId}`, promptTokenIds, sampling, ...plain }, 0);
}

function answer(plan: StepPlan, salt: number): StepResult {
  for (const { row, sampling } of plan.newRows) maxSeqLens[row] = sampling.maxSeqLen;
  // Loops over typed arrays: what is made here and thrown away would be collected at the scheduler's expense.
  const numSampled = plan.outputs.reduce((sum, output) => sum + (output === OUTPUT_SAMPLE ? 1 : 0), 0);
  const seqRows = new Int32Array(numSampled);
  const tokenIds = new Int32Array(numSampled);
  const finishes = new Int32Array(numSampled);
  let at = 0;
  for (let index = 0; index < plan.seqRows.length; index++) {
    if (plan.outputs[index] !== OUTPUT_SAMPLE) continue;
    const row = plan.seqRows[index]!;
    seqRows[at] = row;
    tokenIds[at] = Math.abs(row * 7919 + salt) % VOCAB;
    finishes[at] = plan.seqLens[index]! + 1 === maxSeqLens[row] ? FINISH_LENGTH : FINISH_NONE;
    at++;
  }
  return {
    epoch: plan.epoch,
    stepId: plan.stepId,
    seqRows,
    tokenIds,
    finishes,
    logprobs: new Float32Array(numSampled),
    numTopLogprobs: 0,
    topTokenIds: new Int32Array(0),
    topLogprobs: new Float32Array(0),
    logits: new Float32Array(0),
    engineUs: 0,
    runsOn: false,
  };
}

function report(numRunning: number, numWaiting: number, numTenants: number): void {
  const timesUs = measure(numRunning, numWaiting, numTenants);
  const at = (fraction: number): string => `${timesUs[Math.floor(fraction * timesUs.length)]!.toFixed(0)} us`;
  const name = `schedule + apply, ${numRunning} running, ${numWaiting} waiting, ${numTenants} tenants`.padEnd(62);
  process.stdout.write(`${name} median ${at(0.5).padStart(9)}   p99 ${at(0.99).padStart(9)}\n`);
}
