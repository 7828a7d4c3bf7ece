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
 * Plans of greedy steps for an engine without a scheduler, in the order in which they are to run. Rows have the KV blocks of their
 * tokens in every group; nothing is freed behind a window.
 */
export class StepPlans {
  readonly #program: Pick<RankProgram, "limits" | "kvGroups">;
  /** Tokens of each row that runs. */
  readonly #lengths = new Map<number, number>();
  /** Of each row that runs, by group. */
  readonly #blocks = new Map<number, number[][]>();
  /** The last is taken next. */
  readonly #free: number[];
  #finished: number[] = [];
  #stepId = 0;

  constructor(program: Pick<RankProgram, "limits" | "kvGroups">) {
    this.#program = program;
    this.#free = Array.from({ length: program.limits.numBlocks - 1 }, (_, index) => index + 1).reverse();
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
    assert(Math.max(...ends) <= this.#program.limits.maxSeqLen, "a row outgrows its table");
    rows.forEach(({ row }, index) => this.#lengths.set(row, ends[index]!));
    const finishedRows = Int32Array.from(this.#finished);
    this.#finished = [];
    return {
      epoch: 1,
      stepId: this.#stepId++,
      numGrantedSteps: 0,
      followsStepId: 0,
      tokenPlacement: "replicated",
      tokenIds: Int32Array.from(rows.flatMap(({ tokenIds }) => [...tokenIds])),
      positions: Int32Array.from(rows.flatMap(({ tokenIds }, index) => tokenIds.map((_, at) => begins[index]! + at))),
      seqRows: Int32Array.from(rows.map(({ row }) => row)),
      queryStarts: Int32Array.from(startsOf(rows)),
      seqLens: Int32Array.from(ends),
      outputs: Int32Array.from(rows.map(({ output }) => output)),
      newRows: newRows.map((row) => newRow(row, this.#program.limits.maxSeqLen)),
      blockDeltas: this.#program.kvGroups.map((_, group) =>
        Int32Array.from(rows.flatMap(({ row }, index) => this.#blockRecord(row, group, ends[index]!))),
      ),
      finishedRows,
      masks: Int32Array.of(),
    };
  }

  /** Ends rows with the next step, in which they may begin anew. */
  finish(rows: readonly number[]): void {
    for (const row of rows) {
      if (!this.#lengths.delete(row)) continue;
      this.#finished.push(row);
      this.#free.push(...this.#blocks.get(row)!.flat());
      this.#blocks.delete(row);
    }
  }

  /** What the row needs beyond what it has; nothing where that is nothing. */
  #blockRecord(row: number, group: number, length: number): number[] {
    const blocks = this.#blocks.get(row) ?? this.#program.kvGroups.map(() => []);
    this.#blocks.set(row, blocks);
    const own = blocks[group]!;
    const more = Math.ceil(length / this.#program.limits.blockSize) - own.length;
    if (more <= 0) return [];
    assert(more <= this.#free.length, "there are too few KV blocks");
    const taken = this.#free.splice(-more).reverse();
    const record = [row, own.length, more, ...taken];
    own.push(...taken);
    return record;
  }
}

/** KV blocks of rows of these lengths, the null block included. */
export function blocksOfRows(
  lengths: readonly number[],
  blockSize: number,
  kvGroups: readonly RankProgram["kvGroups"][number][],
): number {
  return 1 + kvGroups.length * lengths.reduce((sum, length) => sum + Math.ceil(length / blockSize), 0);
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
