import type {
  CudaDeviceProperties,
  DataPlaneHandle,
  DeviceKind,
  EngineHandle,
  EngineOptions,
  LoadReport,
  ProgramDescription,
  StepTime,
} from "../native/binding.js";
import { native, packagePath } from "../native/index.js";
import type { RankProgram } from "../plans/rank-program.js";
import { assert, MoesaicError } from "../proto/errors.js";
import type { v1 } from "../proto/messages.js";
import type { StepPlan, StepResult } from "../proto/step.js";
import { openCheckpoint } from "./checkpoint/checkpoint.js";
import { planLoad } from "./checkpoint/load-plan.js";
import type {
  CollectiveCount,
  DataPlane,
  Engine,
  EngineFactory,
  EngineSetup,
  LoadObserver,
  LoadOutcome,
  World,
} from "./engine.js";

/** Engines that compute: the native addon on this machine's CPU, or on the first GPU that this process sees. */
export class NativeEngineFactory implements EngineFactory {
  readonly #numThreads: number;
  readonly #device: DeviceKind;
  #dataPlane: DataPlaneHandle | null = null;

  /** @throws MoesaicError failed_precondition when `device` is cuda and there is no GPU, with what is missing */
  constructor(numThreads: number, device: DeviceKind) {
    this.#numThreads = numThreads;
    this.#device = device;
    if (device === "cuda") firstGpu();
  }

  device(): v1.Device.$Properties {
    const device = native.deviceProperties();
    const gpu = this.#device === "cuda" ? firstGpu() : null;
    return {
      kind: this.#device,
      name: gpu?.name ?? device.name,
      device_index: 0,
      num_cores: device.numCores,
      memory_bytes: gpu?.memoryBytes ?? device.memoryBytes,
      features: device.features,
      num_threads: this.#numThreads,
    };
  }

  openDataPlane(host: string): DataPlane {
    const handle = native.listenDataPlane(`${host}:0`);
    this.#dataPlane = handle;
    return { addresses: native.dataPlaneAddresses(handle), close: () => native.closeDataPlane(handle) };
  }

  describe(program: RankProgram, setup: EngineSetup): ProgramDescription {
    return native.describeProgram(program, this.#options(setup));
  }

  async load(
    program: RankProgram,
    setup: EngineSetup,
    world: World | null,
    observer: LoadObserver,
    signal: AbortSignal,
  ): Promise<LoadOutcome> {
    const handle = native.openEngine(program, this.#options(setup));
    const engine = new NativeEngine(handle);
    // Closing waits for what runs, so what waits for a peer has to be told first.
    const cancel = () => {
      engine.abort("the load was cancelled");
      engine.close();
    };
    signal.addEventListener("abort", cancel, { once: true });
    observer.opened(engine);
    try {
      if (world !== null) await this.#connect(handle, world);
      const report = await this.#fill(handle, program, setup, ranksOfHost(program, world), observer);
      return { engine, bytesRead: report.bytesRead, loadMs: report.totalMs };
    } catch (error) {
      engine.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  #connect(handle: EngineHandle, world: World): Promise<void> {
    assert(this.#dataPlane !== null, "a world of several ranks needs a data plane");
    return native.connectEngine(handle, this.#dataPlane, world);
  }

  async #fill(
    handle: EngineHandle,
    program: RankProgram,
    setup: EngineSetup,
    hostRanks: number[],
    observer: LoadObserver,
  ): Promise<LoadReport> {
    if (setup.dummySeed !== null) {
      const { weightsBytes } = this.describe(program, setup);
      return native.loadDummyWeights(handle, setup.dummySeed, (done) => observer.progressed(done, weightsBytes));
    }
    const checkpoint = await openCheckpoint(setup.modelDir);
    try {
      const plan = planLoad(program, checkpoint, this.describe(program, setup).weights, hostRanks);
      const report = await native.loadWeights(handle, plan, (done) => observer.progressed(done, plan.bytesPlanned));
      await checkpoint.checkUnchanged();
      return report;
    } finally {
      await checkpoint.close();
    }
  }

  #options(setup: EngineSetup): EngineOptions {
    return {
      packages: setup.kernelPackages.map(packagePath),
      numThreads: this.#numThreads,
      device: this.#device,
      deterministic: setup.deterministic,
    };
  }
}

function firstGpu(): CudaDeviceProperties {
  const { devices, missing } = native.cudaDevices();
  const [gpu] = devices;
  if (gpu !== undefined) return gpu;
  throw new MoesaicError("failed_precondition", `device cuda: ${missing ?? "there is no GPU"}`);
}

/** Ranks that share this rank's disk cache, the own one included, ascending: they read finely cut rows for each other. */
function ranksOfHost({ rank }: RankProgram, world: World | null): number[] {
  const peers = world?.peers ?? [];
  const own = peers.find((peer) => peer.rank === rank);
  if (own === undefined) return [rank];
  return peers.filter(({ hostId }) => hostId === own.hostId).map((peer) => peer.rank);
}

class NativeEngine implements Engine {
  readonly #handle: EngineHandle;

  constructor(handle: EngineHandle) {
    this.#handle = handle;
  }

  step(plan: StepPlan, onResult: (result: StepResult) => void = () => {}): Promise<StepResult | null> {
    return native.step(this.#handle, plan, onResult);
  }

  endGrants(stepId: number): void {
    native.endGrants(this.#handle, stepId);
  }

  followLead(): Promise<void> {
    return native.followLead(this.#handle);
  }

  endEpoch(): Promise<void> {
    return native.endEpoch(this.#handle);
  }

  abort(reason: string): void {
    native.abortEngine(this.#handle, reason);
  }

  progress(): { counter: number; stepId: number; op: string } {
    return native.progress(this.#handle);
  }

  stepTimes(afterStepId: number): StepTime[] {
    return native.stepTimes(this.#handle, afterStepId);
  }

  expertTokens(): Float64Array {
    return native.expertTokens(this.#handle);
  }

  collectives(): CollectiveCount[] {
    return native.collectiveStats(this.#handle);
  }

  close(): void {
    native.closeEngine(this.#handle);
  }
}
