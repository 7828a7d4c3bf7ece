/** Bands end at multiples of it on every rank, whatever kernels the rank has: all granules divide it. */
export const SHARED_GRANULE = 64;

/** The ranks that take columns of the same rows, ascending, and how many columns each takes. */
export interface Sharers {
  ranks: readonly number[];
  columns: readonly number[];
}

/** Rows [begin, end) that one of the sharers reads for all of them. */
export interface Band {
  rank: number;
  begin: number;
  end: number;
}

/**
 * Deals the rows that ranks share out to them, so that over the model each reads as many bytes as it takes of them, but for
 * a granule or so: what one tensor's granules leave over is made up for in the next. All ranks that share rows must deal the
 * same ones in the same order; then all get the same bands.
 */
export class SharedBands {
  /** Bytes that each rank has yet to read, below 0 of those that are ahead, by the ranks that share. */
  readonly #owed = new Map<string, number[]>();

  /** One band at most for each sharer, in order and together all `numRows`. */
  deal({ ranks, columns }: Sharers, numRows: number, rowBytes: number): Band[] {
    const owed = this.#owedBy(ranks);
    const numColumns = columns.reduce((sum, count) => sum + count, 0);
    columns.forEach((count, index) => (owed[index]! += (numRows * rowBytes * count) / numColumns));
    const counts = granuleCounts(owed, Math.ceil(numRows / SHARED_GRANULE), SHARED_GRANULE * rowBytes);
    let begin = 0;
    const bands = ranks.map((rank, index): Band => {
      const end = Math.min(begin + counts[index]! * SHARED_GRANULE, numRows);
      const band = { rank, begin, end };
      owed[index]! -= (end - begin) * rowBytes;
      begin = end;
      return band;
    });
    return bands.filter((band) => band.end > band.begin);
  }

  #owedBy(ranks: readonly number[]): number[] {
    const key = ranks.join(" ");
    const owed = this.#owed.get(key) ?? ranks.map(() => 0);
    this.#owed.set(key, owed);
    return owed;
  }
}

/** Each granule goes to the rank that then owes most, the first of equals. */
function granuleCounts(owed: readonly number[], numGranules: number, granuleBytes: number): number[] {
  const [rest, counts] = [[...owed], owed.map(() => 0)];
  for (let granule = 0; granule < numGranules; granule++) {
    const next = rest.reduce((most, bytes, index) => (bytes > rest[most]! ? index : most), 0);
    counts[next]! += 1;
    rest[next]! -= granuleBytes;
  }
  return counts;
}
