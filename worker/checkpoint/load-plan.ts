import type { LoadPlan, ProgramDescription, WeightRead } from "../../native/binding.js";
import type { RankProgram, WeightSource, WeightTensor } from "../../plans/rank-program.js";
import { assert, MoesaicError } from "../../proto/errors.js";
import type { Checkpoint, TensorInfo } from "./checkpoint.js";
import { tensorPlace, type SafetensorsDtype } from "./safetensors.js";

/** Most bytes of one read, scales included: enough for a disk's full speed, little enough to stage one per thread. */
export const MAX_READ_BYTES = 16 * 2 ** 20;

/**
 * Plans every read that fills a rank's weights, before the first byte is read: whole rows of the checkpoint's tensors
 * in pieces of at most `maxReadBytes`, in file order. Checks dtype and shape of each tensor on the way.
 * @param described the weights of the engine's ProgramDescription, for their row granules
 * @throws MoesaicError not_found (no such tensor), invalid_argument (another dtype or shape), unimplemented (a
 *   dequantised checkpoint, or a plan that cuts columns), failed_precondition or resource_exhausted (a kernel's granule
 *   does not fit the sources)
 */
export function planLoad(
  program: RankProgram,
  checkpoint: Checkpoint,
  described: ProgramDescription["weights"],
  maxReadBytes = MAX_READ_BYTES,
): LoadPlan {
  const reads = program.weights.flatMap((weight, weightIndex) => {
    const { name, rowGranule } = described[weightIndex] ?? { name: "", rowGranule: 0 };
    assert(name === weight.name, `the description has ${weight.name} at ${weightIndex}`);
    assert(rowGranule >= 1, `row granule of ${weight.name}`);
    const target = { weight, weightIndex, rowGranule, maxReadBytes };
    return weight.sources.flatMap((source) => readsOfSource(target, source, checkpoint));
  });
  return {
    files: checkpoint.files.map(({ path, bytes }) => ({ path, bytes })),
    reads: reads.toSorted((a, b) => a.fileIndex - b.fileIndex || a.fileOffset - b.fileOffset),
    bytesPlanned: reads.reduce((sum, read) => sum + read.bytes + read.scaleBytes, 0),
  };
}

interface Target {
  weight: WeightTensor;
  weightIndex: number;
  rowGranule: number;
  maxReadBytes: number;
}

/** Rows of a stored tensor as the file has them: row r of expert e is at `fileOffset + (e * rowsPerExpert + r) * rowBytes`. */
interface StoredRows {
  fileIndex: number;
  fileOffset: number;
  rowBytes: number;
}

function readsOfSource(target: Target, source: WeightSource, checkpoint: Checkpoint): WeightRead[] {
  const { weight, weightIndex } = target;
  const shape = logicalShape(weight, source);
  checkRanges(weight, source, shape);
  checkWholeRows(weight, source, shape);
  const { experts, rows } = shape;
  const { values, scales } = findStored(weight, source, checkpoint, experts * rows);
  const rowsPerRead = fittingRows(target, values.rowBytes + (scales?.rowBytes ?? 0));
  checkGranule(target, source);

  const reads: WeightRead[] = [];
  const [rowBegin, rowEnd] = source.rows;
  for (let expert = source.experts[0]; expert < source.experts[1]; expert++) {
    for (let row = rowBegin; row < rowEnd; row += rowsPerRead) {
      const numRows = Math.min(rowsPerRead, rowEnd - row);
      const weightRow = source.dstRow + row - rowBegin;
      const storedRow = expert * rows + row;
      reads.push({
        weightIndex,
        expert: expert - source.experts[0],
        rowBegin: weightRow,
        rowEnd: weightRow + numRows,
        fileIndex: values.fileIndex,
        fileOffset: values.fileOffset + storedRow * values.rowBytes,
        bytes: numRows * values.rowBytes,
        scaleFileIndex: scales?.fileIndex ?? -1,
        scaleFileOffset: scales === null ? 0 : scales.fileOffset + storedRow * scales.rowBytes,
        scaleBytes: scales === null ? 0 : numRows * scales.rowBytes,
      });
    }
  }
  return reads;
}

interface LogicalShape {
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
  return { experts, rows, cols };
}

/** The program is ours: a range outside its own shape is a mistake of the lowering. */
function checkRanges(weight: WeightTensor, source: WeightSource, shape: LogicalShape): void {
  const numRows = source.rows[1] - source.rows[0];
  assert(isWithin(source.experts, shape.experts), `${weight.name}: experts of ${source.tensor}`);
  assert(isWithin(source.rows, shape.rows), `${weight.name}: rows of ${source.tensor}`);
  assert(isWithin(source.cols, shape.cols), `${weight.name}: cols of ${source.tensor}`);
  assert(source.experts[1] - source.experts[0] === weight.numExperts, `${weight.name}: experts of ${source.tensor}`);
  assert(source.dstRow >= 0 && source.dstRow + numRows <= weight.rows, `${weight.name}: dstRow of ${source.tensor}`);
}

/** A read is whole rows, and the engine packs a row as it comes: there is nobody yet to cut columns out of it. */
function checkWholeRows(weight: WeightTensor, source: WeightSource, { cols }: LogicalShape): void {
  const [begin, end] = source.cols;
  if (begin === 0 && end === cols) return;
  throw new MoesaicError(
    "unimplemented",
    `wanted whole rows of ${source.tensor} for ${weight.name}, the plan cuts columns ${begin} to ${end} of ${cols}; ` +
      "use a plan that cuts by rows or by experts only",
  );
}

function isWithin([begin, end]: [number, number], size: number): boolean {
  return begin >= 0 && begin <= end && end <= size;
}

/** Finds the tensor or, of mxfp4, both tensors of a source, and checks that they are stored as the program expects. */
function findStored(
  weight: WeightTensor,
  source: WeightSource,
  checkpoint: Checkpoint,
  numRows: number,
): { values: StoredRows; scales: StoredRows | null } {
  if (weight.sourceDtype === "bf16") {
    const tensor = checkedTensor(checkpoint.tensor(source.tensor), "BF16", source.shape);
    return { values: storedRows(tensor, numRows), scales: null };
  }
  assert(source.scales !== null, `${weight.name}: mxfp4 without scales`);
  const lead = source.shape.slice(0, -1);
  const blocksPerRow = (source.shape.at(-1) ?? 0) / MXFP4_BLOCK;
  const blocks = mxfp4Tensor(checkpoint, source.tensor);
  checkedTensor(blocks, "U8", [...lead, blocksPerRow, MXFP4_BLOCK / 2]);
  const scales = checkedTensor(checkpoint.tensor(source.scales), "U8", [...lead, blocksPerRow]);
  return { values: storedRows(blocks, numRows), scales: storedRows(scales, numRows) };
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

function storedRows({ fileIndex, fileOffset, bytes }: TensorInfo, numRows: number): StoredRows {
  return { fileIndex, fileOffset, rowBytes: bytes / numRows };
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
