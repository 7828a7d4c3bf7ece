import { withStepEngine, type StepEngine } from "../../cli/step-engine.js";
import { EngineLoop, type StepExecutor } from "../../coordinator/engine-loop.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import { native } from "../../native/index.js";
import { parseClusterSpec } from "../../plans/cluster-spec.js";
import { systemClock } from "../../proto/clock.js";
import { silentLogger } from "../../proto/log.js";
import { GREEDY_SAMPLING, type StepPlan, type StepResult } from "../../proto/step.js";
import { DEMO_MODEL } from "../paths.js";

// What a device goes on with while the coordinator stands still: the demo model on one thread, engine loop and engine in one
// process, the JavaScript thread asleep for some milliseconds ten times a second. The steps that were run in a pause, at the
// median and at most, beside those that there was time for. Run: node dist/test/bench/run-ahead.js
const DEPTHS = [0, 1, 8, 16, 64];
const PAUSE_MS = 10;
const INTERVAL_MS = 100;
const NUM_TOKENS = 2_000;

for (const depth of DEPTHS) {
  const { stepsInPauses, stepMs } = await measure(depth);
  const sorted = stepsInPauses.toSorted((a, b) => a - b);
  const counts = `median ${sorted[Math.floor(sorted.length / 2)]}, most ${sorted.at(-1)}`;
  const text = `depth ${String(depth).padStart(2)}: ${counts} of ${(PAUSE_MS / stepMs).toFixed(0)} steps of ${stepMs.toFixed(2)} ms`;
  process.stdout.write(`${text} in a pause of ${PAUSE_MS} ms, ${sorted.length} pauses\n`);
}

interface Measured {
  stepsInPauses: number[];
  /** Median inside the engine. */
  stepMs: number;
}

function measure(runAhead: number): Promise<Measured> {
  const spec = { model: DEMO_MODEL, workers: [{ device: "cpu", threads: 1 }] };
  const document = { apiVersion: "moesaic.dev/v1", kind: "Cluster", metadata: { name: "bench" }, spec };
  const cluster = parseClusterSpec(JSON.stringify(document), "bench");
  const sizes = { rowLengths: [NUM_TOKENS + 8], maxBatchedTokens: 64, numLogitsRows: 1 };
  return withStepEngine(cluster, sizes, (engine) => decode(engine, runAhead));
}

async function decode(engine: StepEngine, runAhead: number): Promise<Measured> {
  const stepUs: number[] = [];
  const stepsInPauses: number[] = [];
  const executor = executorOf(engine, (result) => stepUs.push(result.engineUs));
  const { limits, kvGroups } = engine.program;
  const config = { vocabSize: engine.vocabSize, ...limits, kvGroups, maxLogitRows: 1, maxWaiting: 1, runAhead };
  const scheduler = new Scheduler(config, silentLogger);
  const loop = new EngineLoop(scheduler, executor, { stepFinished: () => {} }, systemClock, silentLogger);
  const timer = setInterval(() => stepsInPauses.push(stepsDuring(engine, PAUSE_MS)), INTERVAL_MS);
  void loop.run();
  await new Promise<void>((resolve) => {
    const sampling = { ...GREEDY_SAMPLING, maxSeqLen: NUM_TOKENS + 3 };
    const spec = { seqId: 1, requestId: "r", promptTokenIds: [1, 2, 3], sampling, priority: 0, deadlineMs: null };
    loop.submit({ ...spec, wantsLogits: false }, ({ finish }) => finish !== undefined && resolve());
  });
  clearInterval(timer);
  loop.stop();
  return { stepsInPauses, stepMs: stepUs.toSorted((a, b) => a - b)[Math.floor(stepUs.length / 2)]! / 1_000 };
}

function executorOf({ handle }: StepEngine, heard: (result: StepResult) => void): StepExecutor {
  let lastStepId = 0;
  return {
    whenReady: () => Promise.resolve(1),
    endGrants: () => native.endGrants(handle, lastStepId),
    step: (plan: StepPlan, onResult: (result: StepResult) => void) => {
      lastStepId = plan.stepId + plan.numGrantedSteps;
      return native.step(handle, plan, (result) => {
        heard(result);
        onResult(result);
      });
    },
  };
}

/** Steps that the engine began while nothing ran on this thread. */
function stepsDuring({ handle }: StepEngine, ms: number): number {
  const before = native.progress(handle).stepId;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  return native.progress(handle).stepId - before;
}
