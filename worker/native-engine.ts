import type { EngineHandle, EngineOptions, LoadReport, ProgramDescription } from "../native/binding.js";
import { native, packagePath } from "../native/index.js";
import type { RankProgram } from "../plans/rank-program.js";
import type { v1 } from "../proto/messages.js";
import type { StepPlan, StepResult } from "../proto/step.js";
import { openCheckpoint } from "./checkpoint/checkpoint.js";
import { planLoad } from "./checkpoint/load-plan.js";
import type { Engine, EngineFactory, EngineSetup, LoadOutcome } from "./engine.js";

/** Engines that compute: the native addon on this machine's CPU. */
export class NativeEngineFactory implements EngineFactory {
  readonly #numThreads: number;

  constructor(numThreads: number) {
    this.#numThreads = numThreads;
  }

  device(): v1.Device.$Properties {
    const device = native.deviceProperties();
    return {
      kind: device.kind,
      name: device.name,
      device_index: 0,
      num_cores: device.numCores,
      memory_bytes: device.memoryBytes,
      features: device.features,
      num_threads: this.#numThreads,
    };
  }

  describe(program: RankProgram, setup: EngineSetup): ProgramDescription {
    return native.describeProgram(program, this.#options(setup));
  }

  async load(
    program: RankProgram,
    setup: EngineSetup,
    onProgress: (bytesDone: number, bytesPlanned: number) => void,
    signal: AbortSignal,
  ): Promise<LoadOutcome> {
    const handle = native.openEngine(program, this.#options(setup));
    const engine = new NativeEngine(handle);
    const cancel = () => engine.close();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const report = await this.#fill(handle, program, setup, onProgress);
      return { engine, bytesRead: report.bytesRead, loadMs: report.totalMs };
    } catch (error) {
      engine.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  async #fill(
    handle: EngineHandle,
    program: RankProgram,
    setup: EngineSetup,
    onProgress: (bytesDone: number, bytesPlanned: number) => void,
  ): Promise<LoadReport> {
    if (setup.dummySeed !== null) {
      const { weightsBytes } = this.describe(program, setup);
      return native.loadDummyWeights(handle, setup.dummySeed, (bytesDone) => onProgress(bytesDone, weightsBytes));
    }
    const checkpoint = await openCheckpoint(setup.modelDir);
    try {
      const plan = planLoad(program, checkpoint, this.describe(program, setup).weights);
      const report = await native.loadWeights(handle, plan, (done) => onProgress(done, plan.bytesPlanned));
      await checkpoint.checkUnchanged();
      return report;
    } finally {
      await checkpoint.close();
    }
  }

  #options(setup: EngineSetup): EngineOptions {
    return { packages: setup.kernelPackages.map(packagePath), numThreads: this.#numThreads };
  }
}

class NativeEngine implements Engine {
  readonly #handle: EngineHandle;

  constructor(handle: EngineHandle) {
    this.#handle = handle;
  }

  step(plan: StepPlan): Promise<StepResult> {
    return native.step(this.#handle, plan);
  }

  progress(): { counter: number; stepId: number; op: string } {
    return native.progress(this.#handle);
  }

  close(): void {
    native.closeEngine(this.#handle);
  }
}
