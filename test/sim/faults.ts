import { GREEDY_SAMPLING, type RowSampling } from "../../proto/step.js";
import { keyedBlockHash } from "../../coordinator/scheduler/block-hash.js";
import type { SchedulerConfig } from "../../coordinator/scheduler/scheduler-config.js";
import type { SequenceSpec } from "../../coordinator/scheduler/sequence.js";
import { FakeMasker } from "./fake-masker.js";
import type { Random } from "../../sim/random.js";

/** A small world: pools mostly so tight that sequences are preempted all the time, and sometimes cannot finish at all. */
export function randomConfig(random: Random): SchedulerConfig {
  const blockSize = random.pick([1, 2, 4, 8]);
  const windows = random.pick([[], [1], [3], [8], [17], [5, 12]]);
  const maxSequences = random.integer(1, 8);
  const maxSeqLen = random.integer(8, 60);
  const longest = (Math.ceil(maxSeqLen / blockSize) + 1) * (windows.length + 1);
  return {
    vocabSize: 41,
    maxSeqLen,
    blockSize,
    numBlocks: Math.max(windows.length + 2, Math.ceil(longest * random.pick([0.4, 0.6, 0.8, 1, 1.5, 4]))),
    kvGroups: [{ kind: "full", window: 0 }, ...windows.map((window) => ({ kind: "sliding" as const, window }))],
    maxBatchedTokens: random.pick([1, 3, 8, 16, 64]),
    maxSequences,
    maxLogitRows: random.integer(1, 12),
    maxWaiting: random.pick([1, 4, 30]),
    runAhead: random.pick([0, 1, 2, 5, 12]),
    admissionMargin: random.pick([0, 0.01, 0.2]),
    policy: random.pick(["fifo", "priority", "fair", "fair"]),
    tenantWeights: { heavy: 3, light: 0.5 },
    targetStepMs: random.pick([null, 0.5, 3]),
    targetTtftMs: random.pick([null, null, 40]),
    ...randomCache(random),
  };
}

/** Mostly there is a prefix cache, and often its hash is so bad that everything collides. */
function randomCache(random: Random): Pick<SchedulerConfig, "blockHash"> {
  if (random.chance(0.1)) return {};
  const hash = keyedBlockHash([random.integer(0, 1e9), random.integer(0, 1e9)]);
  const mask = random.pick([-1, 3, 0]);
  return { blockHash: (parentHash, tokenIds) => hash(parentHash, tokenIds) & mask };
}

/** How often each thing goes wrong in one world. */
export interface FaultRates {
  arrival: number;
  abort: number;
  reset: number;
  /** A result that comes again: at once, or while the next step is in flight. */
  repeat: number;
  /** A client reads slowly: it leaves, or finds its stop string, up to so many steps after it was sent the reason. */
  lateAbort: number;
}

/** Most steps that a slow client is behind. */
export const LATE_STEPS_MAX = 40;

export function randomRates(random: Random): FaultRates {
  const arrival = random.pick([0.02, 0.1, 0.3]);
  return {
    arrival,
    abort: random.pick([0, 0.01, 0.05]),
    reset: random.pick([0, 0.002, 0.02]),
    repeat: 0.02,
    lateAbort: 0.02,
  };
}

/** A random request; some are too long, or hold token ids that do not exist. */
export function randomSpec(random: Random, seqId: number, nowMs: number, config: SchedulerConfig): SequenceSpec {
  const numPrompt = random.chance(0.03) ? 0 : random.integer(1, Math.ceil(config.maxSeqLen * random.fraction() ** 2));
  const room = Math.max(1, config.maxSeqLen - numPrompt);
  const numOutputs = random.chance(0.5) ? room : random.integer(1, room);
  const vocabSize = random.chance(0.02) ? config.vocabSize + 1 : config.vocabSize;
  const spec: SequenceSpec = {
    seqId,
    requestId: `request ${seqId}`,
    promptTokenIds: randomPrompt(random, numPrompt, vocabSize),
    sampling: randomSampling(random, numPrompt + numOutputs, config),
    tenant: random.pick(["heavy", "light", "third", "third"]),
    priority: random.chance(0.8) ? 0 : random.integer(-1, 1),
    deadlineMs: random.chance(0.1) ? nowMs + random.integer(0, 200) : null,
    wantsLogits: random.chance(0.1),
    endsByText: random.chance(0.1),
  };
  return !spec.wantsLogits && random.chance(0.3) ? constrained(spec, random, config) : spec;
}

/** Masks decide about stop ids, and the fake engine's logits know nothing of them. */
function constrained(spec: SequenceSpec, random: Random, config: SchedulerConfig): SequenceSpec {
  const sampling = { ...spec.sampling, minSeqLen: 0, numTopLogprobs: -1 };
  return { ...spec, sampling, masker: new FakeMasker(config.vocabSize, random.integer(0, 2)) };
}

/** Often it begins as others do, for a part of its length. */
function randomPrompt(random: Random, numTokens: number, vocabSize: number): number[] {
  const numShared = random.chance(0.7) ? random.integer(Math.floor(numTokens / 2), numTokens) : 0;
  const familyId = random.integer(0, 1);
  return Array.from({ length: numTokens }, (_, position) =>
    position < numShared ? (familyId * 7 + position) % vocabSize : random.integer(0, vocabSize - 1),
  );
}

function randomSampling(random: Random, maxSeqLen: number, config: SchedulerConfig): RowSampling {
  const stopTokenIds = random.chance(0.3) ? [random.integer(0, config.vocabSize - 1)] : [];
  return {
    ...GREEDY_SAMPLING,
    temperature: 1,
    seed: random.integer(0, 3),
    maxSeqLen,
    minSeqLen: random.integer(0, maxSeqLen),
    stopTokenIds,
    numTopLogprobs: random.pick([-1, -1, 0, 3]),
  };
}
