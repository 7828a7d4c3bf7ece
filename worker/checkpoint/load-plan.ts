import type { LoadPlan, ProgramDescription, SharedRead, WeightRead } from "../../native/binding.js";
import type { RankProgram, WeightSource, WeightTensor } from "../../plans/rank-program.js";
import { assert, MoesaicError } from "../../proto/errors.js";
import type { Checkpoint, TensorInfo } from "./checkpoint.js";
import { tensorPlace, type SafetensorsDtype } from "./safetensors.js";
import { SHARED_GRANULE, SharedBands, type Sharers } from "./shared-bands.js";

/** Most bytes of one read, scales included: enough for a disk's full speed, little enough to stage one per thread. */
export const MAX_READ_BYTES = 16 * 2 ** 20;

/** Most bytes of the rows of one shared read: they are in memory on every rank at once. */
export const MAX_SHARED_BYTES = 4 * 2 ** 20;

/** What a disk reads at least: slices that are finer cost as much as whole rows. */
const DISK_BLOCK_BYTES = 4096;

/**
 * Plans every read that fills a rank's weights, before the first byte is read: rows of the checkpoint's tensors, or slices
 * of rows, in pieces of at most `maxReadBytes`, in file order. Where a tensor is cut along its columns so finely that a
 * slice may be less than a disk block, whole rows are read once a host and shared: all ranks of the host that hold columns
 * of it derive the same reads and the same readers from their own programs, so that each reads about what its shard has.
 * Checks dtype and shape of each tensor on the way.
 * @param described the weights of the engine's ProgramDescription, for their row granules
 * @param hostRanks ranks on this host, ascending, own one included
 * @throws MoesaicError not_found (no such tensor), invalid_argument (another dtype or shape), unimplemented (a
 *   dequantised checkpoint), failed_precondition or resource_exhausted (a kernel's granule does not fit the sources)
 */
export function planLoad(
  program: RankProgram,
  checkpoint: Checkpoint,
  described: ProgramDescription["weights"],
  hostRanks: readonly number[] = [program.rank],
  maxReadBytes = MAX_READ_BYTES,
): LoadPlan {
  assert(hostRanks.includes(program.rank), `rank ${program.rank} is not on its own host`);
  const bands = new SharedBands();
  const planned = program.weights.flatMap((weight, weightIndex) => {
    const { name, rowGranule } = described[weightIndex] ?? { name: "", rowGranule: 0 };
    assert(name === weight.name, `the description has ${weight.name} at ${weightIndex}`);
    assert(rowGranule >= 1, `row granule of ${weight.name}`);
    const target = { program, hostRanks, weight, weightIndex, rowGranule, maxReadBytes, bands };
    return weight.sources.flatMap((source) => readsOfSource(target, source, checkpoint));
  });
  const ordered = planned.toSorted((a, b) => a.fileIndex - b.fileIndex || a.fileOffset - b.fileOffset);
  const sharedReads = ordered.filter(isShared);
  const reads = ordered.filter((read) => !isShared(read));
  const fromDisk = [...reads, ...sharedReads.filter(({ rootRank }) => rootRank === program.rank)];
  return {
    files: checkpoint.files.map(({ path, bytes }) => ({ path, bytes })),
    reads,
    sharedReads,
    bytesPlanned: fromDisk.reduce((sum, read) => sum + read.bytes + read.scaleBytes, 0),
  };
}

function isShared(read: WeightRead | SharedRead): read is SharedRead {
  return "ranks" in read;
}

interface Target {
  program: RankProgram;
  hostRanks: readonly number[];
  weight: WeightTensor;
  weightIndex: number;
  rowGranule: number;
  maxReadBytes: number;
  /** Of the whole plan: what one tensor leaves over is evened out by the next. */
  bands: SharedBands;
}

/**
 * Rows of a stored tensor as the file has them: row r of expert e is at `fileOffset + (e * rowsPerExpert + r) * rowBytes`,
 * and the source takes bytes [colBegin, colEnd) of it.
 */
interface StoredRows {
  fileIndex: number;
  fileOffset: number;
  rowBytes: number;
  colBegin: number;
  colEnd: number;
}

function readsOfSource(target: Target, source: WeightSource, checkpoint: Checkpoint): (WeightRead | SharedRead)[] {
  const { weight } = target;
  const shape = logicalShape(weight, source);
  checkRanges(weight, source, shape);
  const stored = findStored(weight, source, checkpoint, shape);
  checkGranule(target, source);
  return source.experts.flatMap((globalExpert, expert) => {
    const sharers = sharersOf(target, globalExpert, shape, stored.values);
    if (sharers !== null) return sharedReads(target, source, { expert, globalExpert, shape, stored, sharers });
    return ownReads(target, source, { expert, globalExpert, shape, stored });
  });
}

interface ExpertRows {
  /** Local, and in the model; both 0 without experts. */
  expert: number;
  globalExpert: number;
  shape: LogicalShape;
  stored: { values: StoredRows; scales: StoredRows | null };
}

function ownReads(target: Target, source: WeightSource, rows: ExpertRows): WeightRead[] {
  const { values, scales } = rows.stored;
  const rowsPerRead = fittingRows(target, sliceBytes(values) + (scales === null ? 0 : sliceBytes(scales)));
  const [rowBegin, rowEnd] = source.rows;
  return steps(rowBegin, rowEnd, rowsPerRead).map(([begin, end]) => ({
    ...readOf(target, source, rows, [begin, end]),
    bytes: (end - begin) * sliceBytes(values),
    scaleBytes: scales === null ? 0 : (end - begin) * sliceBytes(scales),
  }));
}

/** Each rank reads a band of the rows for all. The more columns it takes, the longer is its band. */
function sharedReads(target: Target, source: WeightSource, rows: ExpertRows & { sharers: Sharers }): SharedRead[] {
  const { sharers, shape, stored } = rows;
  const { values, scales } = stored;
  const rowBytes = values.rowBytes + (scales?.rowBytes ?? 0);
  const numGranules = Math.max(Math.floor(MAX_SHARED_BYTES / (SHARED_GRANULE * rowBytes)), 1);
  checkShared(target, source, shape);
  return target.bands.deal(sharers, shape.rows, rowBytes).flatMap(({ rank, begin: bandBegin, end: bandEnd }) =>
    steps(bandBegin, bandEnd, numGranules * SHARED_GRANULE).map(([begin, end]) => ({
      ...readOf(target, source, rows, [begin, end]),
      bytes: (end - begin) * values.rowBytes,
      scaleBytes: scales === null ? 0 : (end - begin) * scales.rowBytes,
      ranks: [...sharers.ranks],
      rootRank: rank,
    })),
  );
}

/** Where rows [begin, end) of the tensor are and where they go; `bytes` is left to the caller. */
function readOf(
  { weightIndex }: Target,
  source: WeightSource,
  { expert, globalExpert, shape, stored }: ExpertRows,
  [begin, end]: [number, number],
): WeightRead {
  const { values, scales } = stored;
  const weightRow = source.dstRow + begin - source.rows[0];
  const storedRow = globalExpert * shape.rows + begin;
  return {
    weightIndex,
    expert,
    rowBegin: weightRow,
    rowEnd: weightRow + end - begin,
    fileIndex: values.fileIndex,
    fileOffset: values.fileOffset + storedRow * values.rowBytes,
    rowStride: values.rowBytes,
    colBegin: values.colBegin,
    colEnd: values.colEnd,
    bytes: 0,
    scaleFileIndex: scales?.fileIndex ?? -1,
    scaleFileOffset: scales === null ? 0 : scales.fileOffset + storedRow * scales.rowBytes,
    scaleRowStride: scales?.rowBytes ?? 0,
    scaleColBegin: scales?.colBegin ?? 0,
    scaleColEnd: scales?.colEnd ?? 0,
    scaleBytes: 0,
  };
}

/**
 * The ranks of the host that take columns of the same rows; null where the rank reads its own bytes alone. The answer must
 * be the same on all of them though their slices differ, so it follows from the most ranks that may have cut the row: those
 * that hold the expert, or, for what has no experts, all that run attention.
 */
function sharersOf(target: Target, expert: number, shape: LogicalShape, values: StoredRows): Sharers | null {
  const { program, hostRanks } = target;
  if (sliceBytes(values) === values.rowBytes) return null;
  const holders = shape.hasExperts ? (program.dims.expertRanks[expert] ?? []) : program.tokenOwners;
  const columnsByRank = shape.hasExperts ? program.dims.rankIntermediateSizes : program.dims.rankHeads;
  const ranks = holders.filter((rank) => hostRanks.includes(rank));
  const columns = ranks.map((rank) => columnsByRank[rank] ?? 0);
  assert(
    (columns[ranks.indexOf(program.rank)] ?? 0) > 0,
    `rank ${program.rank} holds columns of ${target.weight.name} that are not its own`,
  );
  return values.rowBytes / holders.length < DISK_BLOCK_BYTES ? { ranks, columns } : null;
}

/** The program is ours: what is cut along columns is not cut along rows as well, and is alone in its weight. */
function checkShared({ weight, rowGranule }: Target, source: WeightSource, shape: LogicalShape): void {
  const isWhole = source.rows[0] === 0 && source.rows[1] === shape.rows && source.dstRow === 0;
  assert(isWhole, `${weight.name}: some rows of the columns of ${source.tensor}`);
  if (SHARED_GRANULE % rowGranule === 0) return;
  throw new MoesaicError(
    "failed_precondition",
    `wanted ${weight.name} packed in granules that divide ${SHARED_GRANULE} rows, as ranks share its rows, the kernel has ` +
      `${rowGranule}; use another kernel package`,
  );
}

function sliceBytes({ colBegin, colEnd }: StoredRows): number {
  return colEnd - colBegin;
}

/** [begin, end) in steps of `size`. */
function steps(begin: number, end: number, size: number): [number, number][] {
  return Array.from({ length: Math.ceil((end - begin) / size) }, (_, index) => {
    const first = begin + index * size;
    return [first, Math.min(first + size, end)];
  });
}

interface LogicalShape {
  hasExperts: boolean;
  experts: number;
  rows: number;
  cols: number;
}

/** The source's shape with the axes that it leaves out: no experts is one expert, and a vector has one column. */
function logicalShape(weight: WeightTensor, source: WeightSource): LogicalShape {
  const shape = weight.role === "vector" ? [...source.shape, 1] : [...source.shape];
  const [cols, rows, experts = 1] = shape.toReversed();
  assert(cols !== undefined && rows !== undefined && shape.length <= 3, `${weight.name}: rank of ${source.tensor}`);
  assert(experts > 0 && rows > 0 && cols > 0, `${weight.name}: empty axis of ${source.tensor}`);
  return { hasExperts: shape.length === 3, experts, rows, cols };
}

/** The program is ours: a range outside its own shape is a mistake of the lowering. */
function checkRanges(weight: WeightTensor, source: WeightSource, shape: LogicalShape): void {
  const numRows = source.rows[1] - source.rows[0];
  const isExpert = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < shape.experts;
  assert(source.experts.every(isExpert), `${weight.name}: experts of ${source.tensor}`);
  assert(source.experts.length === weight.numExperts, `${weight.name}: experts of ${source.tensor}`);
  assert(isWithin(source.rows, shape.rows), `${weight.name}: rows of ${source.tensor}`);
  assert(isWithin(source.cols, shape.cols), `${weight.name}: cols of ${source.tensor}`);
  assert(source.cols[1] - source.cols[0] === weight.cols, `${weight.name}: cols of ${source.tensor}`);
  assert(source.dstRow >= 0 && source.dstRow + numRows <= weight.rows, `${weight.name}: dstRow of ${source.tensor}`);
}

function isWithin([begin, end]: [number, number], size: number): boolean {
  return begin >= 0 && begin <= end && end <= size;
}

/** Finds the tensor or, of mxfp4, both tensors of a source, and checks that they are stored as the program expects. */
function findStored(
  weight: WeightTensor,
  source: WeightSource,
  checkpoint: Checkpoint,
  shape: LogicalShape,
): { values: StoredRows; scales: StoredRows | null } {
  if (weight.sourceDtype === "bf16") {
    const tensor = checkedTensor(checkpoint.tensor(source.tensor), "BF16", source.shape);
    return { values: storedRows(tensor, source, shape), scales: null };
  }
  assert(source.scales !== null, `${weight.name}: mxfp4 without scales`);
  const isWholeBlocks = source.cols.every((col) => col % MXFP4_BLOCK === 0);
  assert(isWholeBlocks, `${weight.name}: cols of ${source.tensor} cut an MXFP4 block`);
  const lead = source.shape.slice(0, -1);
  const blocksPerRow = shape.cols / MXFP4_BLOCK;
  const blocks = mxfp4Tensor(checkpoint, source.tensor);
  checkedTensor(blocks, "U8", [...lead, blocksPerRow, MXFP4_BLOCK / 2]);
  const scales = checkedTensor(checkpoint.tensor(source.scales), "U8", [...lead, blocksPerRow]);
  return { values: storedRows(blocks, source, shape), scales: storedRows(scales, source, shape) };
}

/** Elements that share one scale; two to a byte. */
const MXFP4_BLOCK = 32;

function mxfp4Tensor(checkpoint: Checkpoint, name: string): TensorInfo {
  const dequantised = checkpoint.tensors.get(name.replace(/_blocks$/, ""));
  if (dequantised === undefined || checkpoint.tensors.has(name)) return checkpoint.tensor(name);
  throw new MoesaicError(
    "unimplemented",
    `wanted MXFP4 experts (${name} and its scales), there are experts dequantised to ${describe(dequantised)}; ` +
      "use the MXFP4 checkpoint this one was made from",
    { place: tensorPlace(dequantised.file, dequantised.name) },
  );
}

function checkedTensor(tensor: TensorInfo, dtype: SafetensorsDtype, shape: readonly number[]): TensorInfo {
  if (describe(tensor) === describe({ dtype, shape })) return tensor;
  throw new MoesaicError(
    "invalid_argument",
    `wanted ${describe({ dtype, shape })}, there is ${describe(tensor)}; check that config.json belongs to these weights`,
    { place: tensorPlace(tensor.file, tensor.name) },
  );
}

function describe({ dtype, shape }: Pick<TensorInfo, "dtype" | "shape">): string {
  return `${dtype} [${shape.join(", ")}]`;
}

function storedRows(
  { fileIndex, fileOffset, bytes }: TensorInfo,
  { cols: [colBegin, colEnd] }: WeightSource,
  { experts, rows, cols }: LogicalShape,
): StoredRows {
  const rowBytes = bytes / (experts * rows);
  const byteOf = (col: number): number => (col * rowBytes) / cols;
  return { fileIndex, fileOffset, rowBytes, colBegin: byteOf(colBegin), colEnd: byteOf(colEnd) };
}

/** Rows of one read: as many whole granules as fit. */
function fittingRows({ weight, rowGranule, maxReadBytes }: Target, rowBytes: number): number {
  const numGranules = Math.floor(maxReadBytes / (rowGranule * rowBytes));
  if (numGranules >= 1) return numGranules * rowGranule;
  throw new MoesaicError(
    "resource_exhausted",
    `wanted ${rowGranule} rows of ${weight.name} in a read of ${maxReadBytes} bytes, a row has ${rowBytes}; ` +
      "use a kernel package that packs fewer rows at once",
  );
}

/** A kernel packs a granule of rows at once, so all of it has to come in one read. */
function checkGranule({ weight, rowGranule }: Target, source: WeightSource): void {
  const end = source.dstRow + source.rows[1] - source.rows[0];
  const endsWhole = end % rowGranule === 0 || end === weight.rows;
  if (source.dstRow % rowGranule === 0 && endsWhole) return;
  throw new MoesaicError(
    "failed_precondition",
    `wanted ${source.tensor} to fill whole granules of ${rowGranule} rows of ${weight.name}, it fills rows ` +
      `${source.dstRow} to ${end}; use a kernel package with a smaller granule or another plan`,
  );
}
