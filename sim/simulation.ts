import { Router } from "../coordinator/cluster/router.js";
import type { SequenceSpec } from "../coordinator/scheduler/sequence.js";
import { ManualClock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { silentLogger } from "../proto/log.js";
import { GREEDY_SAMPLING } from "../proto/step.js";
import type { RequestRecord } from "./request-record.js";
import type { SimulatedCluster } from "./simulated-cluster.js";
import { PARTS, type StepTotals } from "./simulated-ranks.js";
import { SimulatedReplica } from "./simulated-replica.js";
import { promptTokensOf, type Trace, type TraceRequest } from "./trace.js";

/** What came of a simulation. */
export interface SimulatedRun {
  /** In the order of the trace. */
  records: RequestRecord[];
  /** Of all replicas together. */
  totals: StepTotals;
  /** Part of the time between the first request and the last token in which steps ran, of all replicas. */
  busy: number;
  /** Most KV blocks in use at a time, a part of the pool of the replica that used most. */
  kvUse: number;
  numPreemptions: number;
}

/**
 * Runs a trace on a simulated cluster: the real router, engine loops and schedulers on a clock of their own, steps as long as the
 * cost model says. Nothing else takes time but a request's way to the scheduler. The same arguments give the same run.
 * @param seed of the prompts' token ids
 */
export async function simulate(
  trace: Trace,
  { cost, config, numReplicas }: SimulatedCluster,
  seed: number,
): Promise<SimulatedRun> {
  const clock = new ManualClock();
  const router = new Router(silentLogger);
  const replicas = Array.from({ length: numReplicas }, (_, id) => new SimulatedReplica(id, cost, config, clock));
  for (const replica of replicas) router.add(replica);
  const records = trace.map(({ atMs, numPromptTokens }): RequestRecord => {
    return { sentMs: atMs, numPromptTokens, tokensMs: [], isRefused: false };
  });
  const arrive = (index: number): void => {
    const request = trace[index];
    if (request === undefined) return;
    const heardMs = request.atMs + cost.profile.requestUs / 1_000;
    clock.setTimer(heardMs - clock.nowMs(), () => {
      submit(router, specOf(request, index, config, seed), records[index]!, clock);
      arrive(index + 1);
    });
  };
  await settled();
  arrive(0);
  while (clock.runNext()) await settled();
  for (const replica of replicas) replica.stop();
  return runOf(records, replicas);
}

function submit(router: Router, spec: SequenceSpec, record: RequestRecord, clock: ManualClock): void {
  try {
    router.submit(spec, ({ tokenId, finish }) => {
      if (tokenId !== undefined) record.tokensMs.push(clock.nowMs());
      if (finish === "error" || finish === "abort") record.isRefused = true;
    });
  } catch (caught) {
    // A queue that is full, or a request too long for the model: the trace's client would hear the same.
    if (MoesaicError.from(caught).code === "internal") throw caught;
    record.isRefused = true;
  }
}

function specOf(request: TraceRequest, index: number, config: SimulatedCluster["config"], seed: number): SequenceSpec {
  const { numPromptTokens, numOutputTokens } = request;
  return {
    seqId: index,
    requestId: String(index),
    promptTokenIds: promptTokensOf(request, index, config.vocabSize, seed),
    sampling: { ...GREEDY_SAMPLING, maxSeqLen: Math.min(config.maxSeqLen, numPromptTokens + numOutputTokens) },
    priority: 0,
    deadlineMs: null,
    wantsLogits: false,
  };
}

/** Everything that promises had to say has been said: only timers go on. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function runOf(records: RequestRecord[], replicas: readonly SimulatedReplica[]): SimulatedRun {
  const totals = replicas.map((replica) => replica.totals).reduce(sumOf);
  const endMs = records.reduce((most, { tokensMs }) => Math.max(most, tokensMs.at(-1) ?? 0), 0);
  const beginMs = records[0]?.sentMs ?? 0;
  return {
    records,
    totals,
    busy: endMs === beginMs ? 0 : totals.busyMs / (endMs - beginMs) / replicas.length,
    kvUse: Math.max(...replicas.map(({ kvUseMost }) => kvUseMost)),
    numPreemptions: replicas.reduce((sum, { numPreemptions }) => sum + numPreemptions, 0),
  };
}

function sumOf(a: StepTotals, b: StepTotals): StepTotals {
  const sum = { ...a };
  for (const key of ["numSteps", "numTokens", "numSampled", "busyMs", ...PARTS] as const) sum[key] += b[key];
  return sum;
}
