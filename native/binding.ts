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
  /** GPUs that the CUDA driver shows this process, the first of which an engine uses. Cheap after the first call; never throws. */
  cudaDevices(): CudaDevices;
  /** Read bandwidth in bytes/s of `numThreads` threads over `bytes` of memory touched before: the best of `repeats`. */
  measureReadBandwidth(numThreads: number, bytes: number, repeats: number): Promise<number>;
  /**
   * Bytes read and written per second when the first GPU copies `bytes` of its memory: the best of `repeats`.
   * @throws failed_precondition without a GPU
   */
  measureGpuCopy(bytes: number, repeats: number): Promise<number>;
  /** Bytes per second from pinned host memory to the first GPU: the best of `repeats`. @throws as measureGpuCopy */
  measureHostToDevice(bytes: number, repeats: number): Promise<number>;
  /**
   * Bytes per second that `numThreads` threads read of all the files together, in large pieces and file order.
   * @throws as loadWeights when a file is not there or has another size
   */
  measureFileReads(files: LoadPlan["files"], numThreads: number): Promise<number>;
  /** Microseconds that one thread takes to copy `bytes` from memory to memory, of each of `calls`. */
  measureCopy(bytes: number, calls: number): Promise<Float64Array>;
  /** Microseconds that `bytes` take through one plain tcp connection of the loopback interface, of each of `calls`. */
  measureSocket(bytes: number, calls: number): Promise<Float64Array>;
  /**
   * Joins the ranks of `options` as `rank`, does the runs, which must be the same on all of them, and leaves.
   * @throws internal when a collective gave a wrong result; unavailable naming the peer that did not come
   */
  measureCollectives(
    dataPlane: DataPlaneHandle,
    rank: number,
    options: ConnectOptions,
    runs: readonly CollectiveRun[],
  ): Promise<CollectiveTimes[]>;

  // ---- kernels -----------------------------------------------------------------------------------------------------
  /** Loads a kernel package (a shared library) and describes it. @throws failed_precondition on another ABI version */
  openPackage(path: string): PackageInfo;

  // ---- engine ------------------------------------------------------------------------------------------------------
  /** Binds every op to a kernel and sizes the arenas; allocates nothing. @throws unimplemented when an op has no kernel */
  describeProgram(program: RankProgram, options: EngineOptions): ProgramDescription;
  /** What each kernel of the packages could do for the program, whichever would get its ops; in order of preference. */
  surveyKernels(program: RankProgram, options: EngineOptions): SurveyedKernel[];
  /** As describeProgram, then allocates the three arenas and starts the engine thread. */
  openEngine(program: RankProgram, options: EngineOptions): EngineHandle;

  // ---- several ranks -----------------------------------------------------------------------------------------------
  /** Listens for the other ranks. `bind` is "host:port"; port 0 picks one. @throws unavailable when it cannot */
  listenDataPlane(bind: string): DataPlaneHandle;
  /** "host:port" for every address a peer may try, best first. */
  dataPlaneAddresses(dataPlane: DataPlaneHandle): string[];
  /** Stops listening once no engine is connected over it. Idempotent. */
  closeDataPlane(dataPlane: DataPlaneHandle): void;
  /**
   * After openEngine, before the weights are loaded: joins the ranks of the epoch; waits until all have connected.
   * @throws unavailable naming the peer that did not come within `deadlineMs`; failed_precondition when programs differ
   */
  connectEngine(engine: EngineHandle, dataPlane: DataPlaneHandle, options: ConnectOptions): Promise<void>;

  // ---- weights and steps -------------------------------------------------------------------------------------------
  /**
   * Reads and packs every weight. `onProgress(bytesDone)` comes at most every 50 ms and once at the end.
   * @throws invalid_argument with the file when a read comes up short
   */
  loadWeights(engine: EngineHandle, plan: LoadPlan, onProgress: (bytesDone: number) => void): Promise<LoadReport>;
  /** As loadWeights with seeded random weights of the right shapes and about unit gain, made in place. */
  loadDummyWeights(engine: EngineHandle, seed: number, onProgress: (bytesDone: number) => void): Promise<LoadReport>;
  /** Runs one step on the engine thread. Steps run in the order of the calls. @throws invalid_argument: nothing was run */
  step(engine: EngineHandle, plan: StepPlan): Promise<StepResult>;
  /**
   * Runs a plan's step and those that it grants, each with its result to `onResult`. Resolves with the last of them, or null when
   * the plan was void. @throws as step; what ran before that has its results
   */
  step(engine: EngineHandle, plan: StepPlan, onResult: (result: StepResult) => void): Promise<StepResult | null>;
  /** Begins no granted step up to this id any more. May be called at any time. */
  endGrants(engine: EngineHandle, stepId: number): void;
  /**
   * As step, of a rank that is alone, with the time of each kernel by itself: on the CPU from one to the next, on a GPU between
   * events on its stream, which is held back so that no gaps of the host's count. Captured steps are not used.
   */
  profileStep(engine: EngineHandle, plan: StepPlan): Promise<ProfiledStep>;
  /**
   * Not on rank 0: runs the plans that rank 0 broadcasts. Resolves when the lead ends the epoch (endEpoch).
   * @throws unavailable or cancelled with the rank and the op when a peer is lost, fails or aborts
   */
  followLead(engine: EngineHandle): Promise<void>;
  /** On rank 0: tells the followers that no more plans come. */
  endEpoch(engine: EngineHandle): Promise<void>;
  /** In any state: running and later collectives fail at once, here and soon on the peers. */
  abortEngine(engine: EngineHandle, reason: string): void;
  /**
   * Calls and bytes sent to other ranks since connectEngine: by collective of the transport (all_reduce, all_gather, …), and
   * among these by what the bytes are (exchange_slots, dispatch, dispatch_ids, collect). Empty before connectEngine.
   */
  collectiveStats(engine: EngineHandle): CollectiveStats[];
  /** Ticks at least once per op, and within long ones, from any thread: the stall detector reads it. */
  progress(engine: EngineHandle): EngineProgress;
  /** Steps with larger ids that have ended, oldest first; of more than 512 the newest. */
  stepTimes(engine: EngineHandle, afterStepId: number): StepTime[];
  /**
   * Pairs of token and chosen expert that this rank has computed since openEngine: by layer with experts, one number for each of
   * the model's experts. Empty on a device whose memory the host does not share.
   */
  expertTokens(engine: EngineHandle): Float64Array;
  /** Waits for the running step, stops the thread, frees the arenas. Idempotent; later calls throw failed_precondition. */
  closeEngine(engine: EngineHandle): void;

  // ---- debugging: single ops against golden vectors ----------------------------------------------------------------
  /** Fills the first rows of a workspace buffer before a step. The array's length must be a whole number of rows. */
  writeBuffer(engine: EngineHandle, name: string, values: Float32Array | Int32Array | Uint8Array): void;
  /** Copies the first `rows` rows of a workspace buffer after a step. */
  readBuffer(engine: EngineHandle, name: string, rows: number): Float32Array | Int32Array | Uint8Array;
}

/** What a step took on this rank, microseconds. */
export interface StepTime {
  stepId: number;
  /** Before the call of stepTimes. */
  endedUsAgo: number;
  engineUs: number;
  /** The part of engineUs inside collectives, waiting for the other ranks included. */
  collectiveUs: number;
}

/** Opaque; freed by closeEngine or the garbage collector. */
export interface EngineHandle {
  readonly type: "engine";
}

/** Opaque; freed by closeDataPlane or the garbage collector. */
export interface DataPlaneHandle {
  readonly type: "dataPlane";
}

export interface ConnectOptions {
  /** Peers of another epoch are refused. */
  epoch: number;
  /** Every rank of the world, own one included, ascending. Ranks of equal `hostId` share memory. */
  peers: { rank: number; hostId: string; addresses: string[] }[];
  /** 32 bytes, the same on all ranks and fresh for each epoch: proves that a peer belongs to it. */
  key: Uint8Array;
  /** Longest wait for a peer, now and inside a step. */
  deadlineMs: number;
  /** auto: shared memory when all ranks are on one host, else tcp. */
  transport: "auto" | "shm" | "tcp";
}

export type BenchCollective = "all_reduce" | "reduce_scatter" | "all_gather" | "all_to_all" | "broadcast";

/** `calls` of a collective on float32 rows: what is summed, is gathered, goes to all others, or is spread by rank 0. */
export interface CollectiveRun {
  collective: BenchCollective;
  rows: number;
  cols: number;
  calls: number;
  /** How much later than the others rank 0 begins: they sleep by then and must be woken. */
  lateUs: number;
}

/** Of each call, by the machine's monotonic clock: times of several processes can be compared. */
export interface CollectiveTimes {
  beganUs: Float64Array;
  endedUs: Float64Array;
  /** By this rank to others, of one call. */
  sentBytes: number;
}

export interface CollectiveStats {
  name: string;
  calls: number;
  bytes: number;
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

export interface CudaDevices {
  devices: CudaDeviceProperties[];
  /** Why there are none: no driver, too old a driver, no GPU. Null when there are. */
  missing: string | null;
}

export interface CudaDeviceProperties {
  name: string;
  /** 10 * major + minor: 90 for 9.0. */
  computeCapability: number;
  numMultiprocessors: number;
  /** All of the device's memory, whoever uses it. */
  memoryBytes: number;
}

export interface PackageInfo {
  name: string;
  version: string;
  /** Of the kernel header that it was built with: the engine's own, or it would have been refused. */
  abiVersion: number;
  path: string;
  kernels: KernelInfo[];
}

export interface KernelInfo {
  name: string;
  /** The op sequence it computes; more than one for a fused kernel. */
  ops: string[];
}

export interface SurveyedKernel {
  package: string;
  kernel: string;
  ops: string[];
  /**
   * runs: somewhere in the program; refused: it minds what the device has or is told to be; other_device: it is for the other
   * kind of device; unsupported: its shapes or dtypes are not there; unused: no op of the program is of its kind.
   */
  state: "runs" | "refused" | "other_device" | "unsupported" | "unused";
  /** Null where it runs. */
  reason: string | null;
}

export interface EngineOptions {
  /** Package libraries in order of preference; the first that supports an op (sequence) gets it. */
  packages: string[];
  /** Of the CPU's kernels, and of the load on any device. */
  numThreads: number;
  device: DeviceKind;
  /** Rows must not depend on how many others share a step, also where that costs speed: precision fast on a GPU. */
  deterministic: boolean;
}

export type DeviceKind = "cpu" | "cuda";

/** What an engine of this program takes and runs. */
export interface ProgramDescription {
  weightsBytes: number;
  kvBytes: number;
  /** Bytes of kvBytes that one KV block accounts for: kvBytes = numBlocks * kvBlockBytes. */
  kvBlockBytes: number;
  workspaceBytes: number;
  /** Of workspaceBytes: what collectives of this rank pack and unpack; 0 for a rank that is alone. */
  exchangeBytes: number;
  /** Packed bytes and row granule of each weight, in the program's order. */
  weights: { name: string; bytes: number; layoutId: string; rowGranule: number }[];
  /** The kernel of each op (fused kernels span several), in the program's order. */
  kernels: BoundKernel[];
  /** Beside those of the program: begin_step, and sample of a vocabulary that is cut. */
  engineKernels: BoundKernel[];
}

export interface BoundKernel {
  package: string;
  kernel: string;
  ops: string[];
  /** What was asked before it, in order; kernel is null where a package has none for the op. */
  refused: { package: string; kernel: string | null; reason: string }[];
}

export interface ProfiledStep {
  result: StepResult;
  /** Microseconds by kernel, in the order of ProgramDescription's; 0 where the step had no use for one. */
  kernelUs: Float64Array;
}

export interface LoadPlan {
  /** Files by index; `bytes` is the size when the plan was made: another size at load is an error. */
  files: { path: string; bytes: number }[];
  reads: WeightRead[];
  /** In file order, which is the same on all ranks of the host. */
  sharedReads: SharedRead[];
  /** What this rank reads from disk: bytes and scaleBytes of its reads and of the shared reads that it is the root of. */
  bytesPlanned: number;
}

/**
 * Rows of one source of one weight for one expert, whole or some columns of each. Row ranges are relative to the weight, not
 * to the source.
 */
export interface WeightRead {
  weightIndex: number;
  /** Local expert, 0 for weights without experts. */
  expert: number;
  /** Rows of the weight that this read fills; rowBegin is a multiple of the weight's row granule. */
  rowBegin: number;
  rowEnd: number;
  /** bf16 rows, or mxfp4 blocks: row r begins at fileOffset + (r - rowBegin) * rowStride. */
  fileIndex: number;
  fileOffset: number;
  rowStride: number;
  /** Bytes of each row that the weight takes: all of rowStride, or the slice of some columns. */
  colBegin: number;
  colEnd: number;
  /** What is read of the file: the slices; of a shared read whole rows. */
  bytes: number;
  /** mxfp4 scales of the same rows and columns; scaleFileIndex is -1, all else 0, for other dtypes. */
  scaleFileIndex: number;
  scaleFileOffset: number;
  scaleRowStride: number;
  scaleColBegin: number;
  scaleColEnd: number;
  scaleBytes: number;
}

/** Rows whose slices are finer than a block of a disk: one rank reads them whole for all ranks of its host. */
export interface SharedRead extends WeightRead {
  /** Ranks of the host that take columns of these rows, ascending, own one included. */
  ranks: number[];
  /** Who reads them, one of `ranks`. */
  rootRank: number;
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
  /** Name of the op that runs or ran last; on a GPU that was launched last, or captured_step for one launch of all of them. */
  op: string;
}
