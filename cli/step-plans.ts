import type { RankProgram } from "../plans/rank-program.js";
import { assert } from "../proto/errors.js";
import type { NewRow, StepPlan } from "../proto/step.js";

/** Tokens that one row computes in a step; they follow what it has. */
export interface RowStep {
  row: number;
  tokenIds: readonly number[];
  /** An OUTPUT_* value. */
  output: number;
}

/**
 * Plans of greedy steps for an engine without a scheduler, in the order in which they are to run. Every row has the KV blocks of
 * its longest sequence, in all groups; nothing is freed behind a window.
 */
export class StepPlans {
  readonly #program: Pick<RankProgram, "limits" | "kvGroups">;
  /** Tokens of each row that runs. */
  readonly #lengths = new Map<number, number>();
  #finished: number[] = [];
  #stepId = 0;

  constructor(program: Pick<RankProgram, "limits" | "kvGroups">) {
    this.#program = program;
  }

  /** Tokens that a row has after the steps so far. */
  lengthOf(row: number): number {
    return this.#lengths.get(row) ?? 0;
  }

  /** Rows that do not run begin with it. */
  step(rows: readonly RowStep[]): StepPlan {
    const newRows = rows.filter(({ row }) => !this.#lengths.has(row)).map(({ row }) => row);
    const begins = rows.map(({ row }) => this.lengthOf(row));
    const ends = rows.map(({ tokenIds }, index) => begins[index]! + tokenIds.length);
    assert(Math.max(...ends) <= this.#program.limits.maxSeqLen, "a row outgrows its blocks");
    rows.forEach(({ row }, index) => this.#lengths.set(row, ends[index]!));
    const finishedRows = Int32Array.from(this.#finished);
    this.#finished = [];
    return {
      epoch: 1,
      stepId: this.#stepId++,
      numGrantedSteps: 0,
      tokenPlacement: "replicated",
      tokenIds: Int32Array.from(rows.flatMap(({ tokenIds }) => [...tokenIds])),
      positions: Int32Array.from(rows.flatMap(({ tokenIds }, index) => tokenIds.map((_, at) => begins[index]! + at))),
      seqRows: Int32Array.from(rows.map(({ row }) => row)),
      queryStarts: Int32Array.from(startsOf(rows)),
      seqLens: Int32Array.from(ends),
      outputs: Int32Array.from(rows.map(({ output }) => output)),
      newRows: newRows.map((row) => newRow(row, this.#program.limits.maxSeqLen)),
      blockDeltas: this.#program.kvGroups.map((_, group) =>
        Int32Array.from(newRows.flatMap((row) => this.#blockRecord(row, group))),
      ),
      finishedRows,
    };
  }

  /** Ends rows with the next step; until then they cannot begin anew. */
  finish(rows: readonly number[]): void {
    for (const row of rows) if (this.#lengths.delete(row)) this.#finished.push(row);
  }

  #blockRecord(row: number, group: number): number[] {
    const numBlocks = blocksPerGroup(this.#program.limits);
    const first = 1 + (row * this.#program.kvGroups.length + group) * numBlocks;
    return [row, 0, numBlocks, ...Array.from({ length: numBlocks }, (_, index) => first + index)];
  }
}

/** KV blocks of so many rows, the null block included. */
export function blocksOfRows(
  numRows: number,
  limits: Pick<RankProgram["limits"], "maxSeqLen" | "blockSize">,
  kvGroups: RankProgram["kvGroups"],
): number {
  return 1 + numRows * kvGroups.length * blocksPerGroup(limits);
}

function blocksPerGroup({ maxSeqLen, blockSize }: Pick<RankProgram["limits"], "maxSeqLen" | "blockSize">): number {
  return Math.ceil(maxSeqLen / blockSize);
}

function startsOf(rows: readonly RowStep[]): number[] {
  const starts = [0];
  for (const { tokenIds } of rows) starts.push(starts.at(-1)! + tokenIds.length);
  return starts;
}

function newRow(row: number, maxSeqLen: number): NewRow {
  return {
    row,
    seqId: row + 1,
    numPromptTokens: 1,
    sampling: {
      temperature: 0,
      topK: 0,
      topP: 1,
      minP: 0,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      seed: 1,
      maxSeqLen,
      minSeqLen: 0,
      stopTokenIds: [],
      logitBias: [],
      numTopLogprobs: -1,
    },
  };
}
