import type { RankProgram } from "../../plans/rank-program.js";
import { GREEDY_SAMPLING, OUTPUT_NONE, type NewRow, type RowSampling, type StepPlan } from "../../proto/step.js";
import type { EngineHandle } from "../binding.js";
import { native, packagePath } from "../index.js";
import { tinyProgram } from "./tiny-program.js";

/** For tests: part of a row's tokens in one step of the tiny program. */
export interface TinySequence {
  row: number;
  /** Position of the first token. */
  begin: number;
  tokenIds: number[];
  /** An OUTPUT_* value; OUTPUT_NONE when absent. */
  output?: number;
  /** Present: the row begins here, with these parameters over greedy ones, and gets all its blocks. */
  begins?: Partial<RowSampling>;
}

const BLOCKS_PER_ROW = 7;

/** A step plan with these sequences; each row and KV group has blocks of its own. */
export function tinyStep(sequences: TinySequence[], more: Partial<StepPlan> = {}): StepPlan {
  const counts = sequences.map(({ tokenIds }) => tokenIds.length);
  const newRows = sequences.flatMap(({ row, begins }) => (begins === undefined ? [] : [newRow(row, begins)]));
  return {
    epoch: 1,
    stepId: 1,
    numGrantedSteps: 0,
    followsStepId: 0,
    tokenPlacement: "replicated",
    tokenIds: Int32Array.from(sequences.flatMap(({ tokenIds }) => tokenIds)),
    positions: Int32Array.from(sequences.flatMap(({ begin, tokenIds }) => tokenIds.map((_, i) => begin + i))),
    seqRows: Int32Array.from(sequences.map(({ row }) => row)),
    queryStarts: Int32Array.from([0, ...counts.map((_, i) => counts.slice(0, i + 1).reduce((sum, n) => sum + n, 0))]),
    seqLens: Int32Array.from(sequences.map(({ begin, tokenIds }) => begin + tokenIds.length)),
    outputs: Int32Array.from(sequences.map(({ output }) => output ?? OUTPUT_NONE)),
    newRows,
    blockDeltas: [0, 1].map((group) => Int32Array.from(newRows.flatMap(({ row }) => blockRecord(row, group)))),
    finishedRows: Int32Array.of(),
    masks: Int32Array.of(),
    ...more,
  };
}

function newRow(row: number, sampling: Partial<RowSampling>): NewRow {
  return {
    row,
    seqId: row + 100,
    numPromptTokens: 1,
    sampling: { ...GREEDY_SAMPLING, seed: 1, maxSeqLen: 28, ...sampling },
  };
}

function blockRecord(row: number, group: number): number[] {
  const firstBlockId = 1 + (row * 2 + group) * BLOCKS_PER_ROW;
  return [row, 0, BLOCKS_PER_ROW, ...Array.from({ length: BLOCKS_PER_ROW }, (_, i) => firstBlockId + i)];
}

/** An engine of the tiny program (or a variant of it) with seeded weights. */
export async function openTinyEngine(program: RankProgram = tinyProgram()): Promise<EngineHandle> {
  const engine = native.openEngine(program, {
    packages: [packagePath("reference")],
    numThreads: 2,
    device: "cpu",
    deterministic: true,
  });
  await native.loadDummyWeights(engine, 7, () => {});
  return engine;
}
