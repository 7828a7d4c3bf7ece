import { assert } from "../../proto/errors.js";

/** The ranks' persistent rows, and which of them ended since the last plan. */
export class RowPool {
  readonly numRows: number;
  #freeRows: number[] = [];
  #endedRows: number[] = [];

  constructor(numRows: number) {
    this.numRows = numRows;
    this.reset();
  }

  get numFree(): number {
    return this.#freeRows.length;
  }

  take(): number {
    const row = this.#freeRows.pop();
    assert(row !== undefined, "no row is free");
    return row;
  }

  /**
   * The row may be taken again at once: the ranks forget ended rows before they begin new ones.
   * @param isKnown the ranks have been told of the row
   */
  release(row: number, isKnown: boolean): void {
    assert(row >= 0 && row < this.numRows, `row ${row} is not of this pool`);
    this.#freeRows.push(row);
    if (isKnown) this.#endedRows.push(row);
  }

  /** Rows that ended since the last call, for StepPlan.finishedRows. */
  takeEnded(): Int32Array {
    const rows = Int32Array.from(this.#endedRows);
    this.#endedRows = [];
    return rows;
  }

  /** A new world: every row is free and nothing is left to be forgotten. */
  reset(): void {
    this.#freeRows = Array.from({ length: this.numRows }, (_, index) => this.numRows - 1 - index);
    this.#endedRows = [];
  }

  /** Asserts that the free rows and `usedRows` are all rows, each once. */
  check(usedRows: readonly number[]): void {
    const rows = new Set([...this.#freeRows, ...usedRows]);
    const numRows = this.#freeRows.length + usedRows.length;
    assert(rows.size === numRows, "a row is used twice, or used and free");
    assert(numRows === this.numRows, `${numRows} rows, ${this.numRows} wanted`);
  }
}
