/**
 * The one declaration of the boundary between TypeScript and native code: same names and order as addon.cc. Absent is
 * `null`, never `undefined`. JSON-like records once at load, typed arrays on every step. A native failure is an Error
 * whose `name` is one of our error codes; `native/index.ts` turns it into a MoesaicError.
 */
import type { RankProgram } from "../plans/rank-program.js";
import type { StepPlan, StepResult } from "../proto/step.js";

export interface Binding {
  // ---- machine -----------------------------------------------------------------------------------------------------
  /** What kernels may use here. Cheap; never throws. */
  deviceProperties(): DeviceProperties;
  /** Read bandwidth in bytes/s of `numThreads` threads over `bytes` of memory touched before: the best of `repeats`. */
  measureReadBandwidth(numThreads: number, bytes: number, repeats: number): Promise<number>;

  // ---- kernels -----------------------------------------------------------------------------------------------------
  /** Loads a kernel package (a shared library) and describes it. @throws failed_precondition on another ABI version */
  openPackage(path: string): PackageInfo;

  // ---- engine ------------------------------------------------------------------------------------------------------
  /** Binds every op to a kernel and sizes the arenas; allocates nothing. @throws unimplemented when an op has no kernel */
  describeProgram(program: RankProgram, options: EngineOptions): ProgramDescription;
  /** As describeProgram, then allocates the three arenas and starts the engine thread. */
  openEngine(program: RankProgram, options: EngineOptions): EngineHandle;
  /**
   * Reads and packs every weight. `onProgress(bytesDone)` comes at most every 50 ms and once at the end.
   * @throws invalid_argument with the file when a read comes up short
   */
  loadWeights(engine: EngineHandle, plan: LoadPlan, onProgress: (bytesDone: number) => void): Promise<LoadReport>;
  /** As loadWeights with seeded random weights of the right shapes and about unit gain, made in place. */
  loadDummyWeights(engine: EngineHandle, seed: number, onProgress: (bytesDone: number) => void): Promise<LoadReport>;
  /** Runs one step on the engine thread. Steps run in the order of the calls. @throws invalid_argument: nothing was run */
  step(engine: EngineHandle, plan: StepPlan): Promise<StepResult>;
  /** Ticks once per op, from any thread: the stall detector reads it. */
  progress(engine: EngineHandle): EngineProgress;
  /** Waits for the running step, stops the thread, frees the arenas. Idempotent; later calls throw failed_precondition. */
  closeEngine(engine: EngineHandle): void;

  // ---- debugging: single ops against golden vectors ----------------------------------------------------------------
  /** Fills the first rows of a workspace buffer before a step. The array's length must be a whole number of rows. */
  writeBuffer(engine: EngineHandle, name: string, values: Float32Array | Int32Array | Uint8Array): void;
  /** Copies the first `rows` rows of a workspace buffer after a step. */
  readBuffer(engine: EngineHandle, name: string, rows: number): Float32Array | Int32Array | Uint8Array;
}

/** Opaque; freed by closeEngine or the garbage collector. */
export interface EngineHandle {
  readonly type: "engine";
}

export interface DeviceProperties {
  kind: "cpu";
  name: string;
  numCores: number;
  /** Instruction sets the kernels dispatch on, such as "avx2", "avx512". */
  features: string[];
  /** The smallest of physical memory, the cgroup's limit and the address-space limit. */
  memoryBytes: number;
}

export interface PackageInfo {
  name: string;
  version: string;
  path: string;
  kernels: KernelInfo[];
}

export interface KernelInfo {
  name: string;
  /** The op sequence it computes; more than one for a fused kernel. */
  ops: string[];
}

export interface EngineOptions {
  /** Package libraries in order of preference; the first that supports an op (sequence) gets it. */
  packages: string[];
  numThreads: number;
}

/** What an engine of this program takes and runs. */
export interface ProgramDescription {
  weightsBytes: number;
  kvBytes: number;
  /** Bytes of kvBytes that one KV block accounts for: kvBytes = numBlocks * kvBlockBytes. */
  kvBlockBytes: number;
  workspaceBytes: number;
  /** Packed bytes and row granule of each weight, in the program's order. */
  weights: { name: string; bytes: number; layoutId: string; rowGranule: number }[];
  /** The kernel of each op (fused kernels span several), in the program's order. */
  kernels: { package: string; kernel: string; ops: string[] }[];
}

export interface LoadPlan {
  /** Files by index; `bytes` is the size when the plan was made: another size at load is an error. */
  files: { path: string; bytes: number }[];
  reads: WeightRead[];
  /** Sum over the reads of bytes and scaleBytes. */
  bytesPlanned: number;
}

/** Whole rows of one source of one weight for one expert. Row ranges are relative to the weight, not to the source. */
export interface WeightRead {
  weightIndex: number;
  /** Local expert, 0 for weights without experts. */
  expert: number;
  /** Rows of the weight that this read fills; rowBegin is a multiple of the weight's row granule. */
  rowBegin: number;
  rowEnd: number;
  /** bf16 rows, or mxfp4 blocks; contiguous. */
  fileIndex: number;
  fileOffset: number;
  bytes: number;
  /** mxfp4 scales of the same rows; scaleFileIndex is -1 for other dtypes. */
  scaleFileIndex: number;
  scaleFileOffset: number;
  scaleBytes: number;
}

export interface LoadReport {
  bytesRead: number;
  bytesPacked: number;
  readMs: number;
  packMs: number;
  totalMs: number;
}

export interface EngineProgress {
  /** Ops finished since the engine was opened; also ticks per piece while weights load. */
  counter: number;
  stepId: number;
  /** Name of the op that runs or ran last. */
  op: string;
}
