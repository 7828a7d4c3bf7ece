import type { ProgramDescription, StepTime } from "../native/binding.js";
import type { RankProgram } from "../plans/rank-program.js";
import { MoesaicError } from "../proto/errors.js";
import type { v1 } from "../proto/messages.js";
import { grantedPlan, type StepPlan, type StepResult } from "../proto/step.js";
import type { CollectiveCount, DataPlane, Engine, EngineFactory, EngineSetup, LoadObserver } from "./engine.js";
import type { LoadOutcome, World } from "./engine.js";
import { FakeEngine } from "./fake-engine.js";

/**
 * Joins fake engines of one process into worlds, as a data plane would: the lead's plans reach every rank, a rank that
 * leaves fails the others, and one that hangs holds them up.
 */
export class FakeWorld {
  /** By the key of the epoch. */
  readonly #members = new Map<string, Map<number, FakeRankEngine>>();
  /** Factories whose engines hang in the next step. */
  readonly hanging = new Set<FakeEngineFactory>();

  join({ key, peers }: World, rank: number, engine: FakeRankEngine): Map<number, FakeRankEngine> {
    const id = Buffer.from(key).toString("hex");
    const members = this.#members.get(id) ?? new Map<number, FakeRankEngine>();
    this.#members.set(id, members);
    members.set(rank, engine);
    if (members.size === peers.length) for (const member of members.values()) member.connected();
    return members;
  }
}

export class FakeEngineFactory implements EngineFactory {
  readonly #world: FakeWorld;
  readonly kvBlockBytes: number;
  readonly memoryBytes: number;

  constructor(world: FakeWorld, { kvBlockBytes = 1_000, memoryBytes = 1_000_000 } = {}) {
    this.#world = world;
    this.kvBlockBytes = kvBlockBytes;
    this.memoryBytes = memoryBytes;
  }

  device(): v1.Device.$Properties {
    return { kind: "cpu", name: "fake", device_index: 0, num_cores: 1, memory_bytes: this.memoryBytes, num_threads: 1 };
  }

  openDataPlane(host: string): DataPlane {
    return { addresses: [`${host}:1`], close: () => {} };
  }

  describe(program: RankProgram): ProgramDescription {
    const kvBytes = program.limits.numBlocks * this.kvBlockBytes;
    return {
      weightsBytes: 1_000,
      kvBytes,
      kvBlockBytes: this.kvBlockBytes,
      workspaceBytes: 100,
      exchangeBytes: 0,
      weights: [],
      kernels: [],
      engineKernels: [],
    };
  }

  async load(
    program: RankProgram,
    _setup: EngineSetup,
    world: World | null,
    observer: LoadObserver,
    signal: AbortSignal,
  ): Promise<LoadOutcome> {
    const engine = new FakeRankEngine(program, world?.epoch ?? 1, () => this.#world.hanging.has(this));
    signal.addEventListener("abort", () => engine.abort("the load was cancelled"), { once: true });
    observer.opened(engine);
    if (world !== null) await engine.join(this.#world, world);
    observer.progressed(1_000, 1_000);
    return { engine, bytesRead: 1_000, loadMs: 1 };
  }
}

class FakeRankEngine implements Engine {
  connected: () => void = () => {};
  readonly #rank: number;
  readonly #engine: FakeEngine;
  readonly #isHanging: () => boolean;
  #members = new Map<number, FakeRankEngine>();
  #error: MoesaicError | null = null;
  #failed: (error: MoesaicError) => void = () => {};
  #ended: () => void = () => {};
  #numSteps = 0;
  #last: Promise<unknown> = Promise.resolve();
  readonly #end = new Promise<void>((resolve, reject) => {
    this.#ended = resolve;
    this.#failed = reject;
  });

  constructor(program: RankProgram, epoch: number, isHanging: () => boolean) {
    const { limits, kvGroups, dims } = program;
    this.#rank = program.rank;
    this.#isHanging = isHanging;
    this.#engine = new FakeEngine({
      epoch,
      vocabSize: dims.globalVocabSize,
      limits,
      kvGroups,
      maxLogitRows: Math.min(limits.maxSequences, limits.maxBatchedTokens),
    });
    this.#end.catch(() => {}); // Whoever waits hears of it.
  }

  async join(hub: FakeWorld, world: World): Promise<void> {
    const connected = new Promise<void>((resolve) => {
      this.connected = resolve;
    });
    this.#members = hub.join(world, this.#rank, this);
    await Promise.race([connected, this.#end]);
  }

  step(plan: StepPlan, onResult: (result: StepResult) => void = () => {}): Promise<StepResult | null> {
    const run = this.#last.then(() => this.#runAll(plan, onResult));
    this.#last = run.catch(() => {});
    return run;
  }

  endGrants(stepId: number): void {
    for (const member of this.#all) member.#engine.endGrants(stepId);
  }

  /** The plan's step and those that it grants, on all ranks. */
  async #runAll(plan: StepPlan, onResult: (result: StepResult) => void): Promise<StepResult | null> {
    if (this.#engine.isVoid(plan)) return null;
    for (let next = plan; ; next = grantedPlan(next)) {
      if (this.#error !== null) throw this.#error;
      if (this.#all.some((member) => member.#isHanging())) await this.#end;
      const [result] = this.#all.map((member) => member.#run(next));
      onResult(result!);
      if (!result!.runsOn) return result!;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The own one first. */
  get #all(): FakeRankEngine[] {
    return [this, ...[...this.#members.values()].filter((member) => member !== this)];
  }

  followLead(): Promise<void> {
    return this.#end;
  }

  async endEpoch(): Promise<void> {
    for (const member of this.#members.values()) member.#ended();
  }

  abort(reason: string): void {
    this.#fail(new MoesaicError("cancelled", reason));
    const lost = new MoesaicError("unavailable", `rank ${this.#rank} ended the epoch: ${reason}`);
    for (const member of this.#members.values()) member.#fail(lost);
  }

  progress(): { counter: number; stepId: number; op: string } {
    return { ...this.#engine.progress(), counter: this.#numSteps };
  }

  stepTimes(afterStepId: number): StepTime[] {
    return this.#engine.stepTimes(afterStepId);
  }

  expertTokens(): number[] {
    return this.#engine.expertTokens();
  }

  collectives(): CollectiveCount[] {
    return [{ name: "all_reduce", calls: this.#numSteps, bytes: 100 * this.#numSteps }];
  }

  close(): void {
    this.#engine.close();
  }

  #run(plan: StepPlan): StepResult {
    this.#numSteps += 1;
    return this.#engine.stepNow(plan);
  }

  #fail(error: MoesaicError): void {
    if (this.#error !== null) return;
    this.#error = error;
    this.#failed(error);
  }
}
