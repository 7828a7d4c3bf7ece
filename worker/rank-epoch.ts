import { countKernels, kernelText, opsText, refusalText, type BoundKernel } from "../plans/bound-kernels.js";
import type { StepTime } from "../native/binding.js";
import type { RankProgram } from "../plans/rank-program.js";
import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import type { Logger } from "../proto/log.js";
import type { v1 } from "../proto/messages.js";
import { encodeStepResult } from "../proto/step-codec.js";
import { RUN_AHEAD_MAX, type StepPlan, type StepResult } from "../proto/step.js";
import type { Engine, EngineFactory, EngineSetup, World } from "./engine.js";

/** Of an assignment that names no deadline for peers, milliseconds. */
const PEER_DEADLINE_MS = 30_000;
/** How long the ranks of an epoch that ends in order may take to tell each other, milliseconds. */
const FAREWELL_MS = 1_000;

/** What experts computed is told with one of so many reports. */
const REPORTS_PER_COUNT = 4;

/**
 * One epoch of this rank: sized, loaded, stepped, ended. It may end at any moment, by `abort` from outside or by the loss
 * of a peer; what is under way then fails, and `close` waits for it.
 */
export class RankEpoch {
  readonly epoch: number;
  readonly rank: number;
  /** How long it is kept without a coordinator, milliseconds; 0: not at all. */
  readonly leaseMs: number;
  readonly #replicaId: number;
  readonly #digest: string;
  readonly #program: RankProgram;
  readonly #setup: EngineSetup;
  readonly #world: World | null;
  readonly #engines: EngineFactory;
  readonly #choices: readonly v1.EngineChoice.$Properties[];
  readonly #aborter = new AbortController();
  #kernels: BoundKernel[] = [];
  #engine: Engine | null = null;
  #following: Promise<void> = Promise.resolve();
  /** Settles, never with an error, when the steps that came have ended. */
  #stepping: Promise<void> = Promise.resolve();
  #numStepsWaiting = 0;
  /** A step failed: what comes after it means nothing. */
  #isBroken = false;
  /** Those that a coordinator may have missed, in order: lost with a stream that breaks, they can be sent again. */
  #results: v1.StepResultColumns.$Properties[] = [];
  #sized: v1.Sized.$Properties | null = null;
  #ready: v1.Ready.$Properties | null = null;
  #lastStepId = 0;
  /** Of the last step that `work` told of. */
  #lastToldId = 0;
  #numTold = 0;
  /** Whether there were steps since `work` told what the experts computed. */
  #hasUncounted = false;
  /** Rows that sequences have; on the lead. */
  readonly #liveRows = new Set<number>();

  constructor(assignment: v1.Assignment.$Properties, engines: EngineFactory) {
    this.epoch = assignment.epoch ?? 0;
    this.rank = assignment.rank ?? 0;
    this.leaseMs = assignment.lease_ms ?? 0;
    this.#replicaId = assignment.replica_id ?? 0;
    this.#digest = assignment.digest ?? "";
    this.#program = JSON.parse(assignment.program_json ?? "null") as RankProgram;
    this.#setup = {
      modelDir: assignment.model_dir ?? "",
      dummySeed: assignment.dummy_seed ?? null,
      kernelPackages: assignment.kernel_packages ?? [],
      deterministic: assignment.deterministic ?? false,
    };
    this.#world = worldOf(assignment);
    this.#engines = engines;
    this.#choices = assignment.choices ?? [];
  }

  /** Nothing that this epoch still says is of interest. */
  get isEnded(): boolean {
    return this.#aborter.signal.aborted;
  }

  /** Whether an error may be another rank's fault: this one is then well, and takes part in the next epoch. */
  mayBePeers(error: MoesaicError): boolean {
    return this.#world !== null && ["unavailable", "deadline_exceeded", "cancelled"].includes(error.code);
  }

  /** What was decided about the engine, and which kernels it binds: once, before it loads. */
  logEngine(log: Logger): void {
    const { epoch, rank } = this;
    for (const { name, value, why } of this.#choices)
      log.info({ epoch, rank, choice: name, value, why }, "engine chosen");
    for (const bound of countKernels(this.#kernels)) {
      const { count, refused } = bound;
      const facts = { ops: opsText(bound), kernel: kernelText(bound), count, refused: refused.map(refusalText) };
      log.info({ epoch, rank, ...facts }, "kernel bound");
    }
  }

  sized(): v1.Sized.$Properties {
    const description = this.#engines.describe(this.#program, this.#setup);
    this.#kernels = [...description.kernels, ...description.engineKernels];
    this.#sized = {
      epoch: this.epoch,
      weights_bytes: description.weightsBytes,
      workspace_bytes: description.workspaceBytes,
      kv_block_bytes: description.kvBlockBytes,
      memory_bytes: this.#engines.device().memory_bytes ?? 0,
      kernels: description.kernels,
    };
    return this.#sized;
  }

  /** @param onPeerLost called when this rank followed the lead and cannot any more */
  async load(
    numBlocks: number,
    onProgress: (progress: v1.LoadProgress.$Properties) => void,
    onPeerLost: (error: unknown) => void,
  ): Promise<v1.Ready.$Properties> {
    const program: RankProgram = { ...this.#program, limits: { ...this.#program.limits, numBlocks } };
    const { weightsBytes, kvBytes, workspaceBytes } = this.#engines.describe(program, this.#setup);
    const { epoch } = this;
    const observer = {
      opened: (engine: Engine) => (this.#engine = engine),
      progressed: (done: number, planned: number) => onProgress({ epoch, bytes_done: done, bytes_planned: planned }),
    };
    const outcome = await this.#loadEngine(program, observer);
    this.#engine = outcome.engine;
    // Before Ready: the lead may have plans as soon as every rank is ready.
    if (this.rank !== 0) this.#following = this.#engine.followLead().catch(onPeerLost);
    this.#ready = {
      epoch,
      num_blocks: numBlocks,
      weights_bytes: weightsBytes,
      kv_bytes: kvBytes,
      workspace_bytes: workspaceBytes,
      load_bytes_read: outcome.bytesRead,
      load_ms: outcome.loadMs,
    };
    return this.#ready;
  }

  async #loadEngine(program: RankProgram, observer: Parameters<EngineFactory["load"]>[3]) {
    try {
      this.#aborter.signal.throwIfAborted();
      return await this.#engines.load(program, this.#setup, this.#world, observer, this.#aborter.signal);
    } catch (error) {
      this.#engine = null;
      throw error;
    }
  }

  /**
   * Has the engine run a plan's step, and those that it grants, after those that came before.
   * @param onResult called with each result, in the order of the steps, until the epoch ends
   * @param onError called with what the engine says
   * @throws MoesaicError failed_precondition before the weights are loaded; resource_exhausted: too many plans at a time
   */
  step(
    plan: StepPlan,
    onResult: (result: v1.StepResultColumns.$Properties) => void,
    onError: (error: unknown) => void,
  ): void {
    if (this.#engine === null) {
      throw new MoesaicError("failed_precondition", "a step plan came before the weights were loaded");
    }
    if (this.#numStepsWaiting > RUN_AHEAD_MAX) {
      const text = `expected at most ${RUN_AHEAD_MAX + 1} plans without a result, step ${plan.stepId} is one more`;
      throw new MoesaicError("resource_exhausted", text);
    }
    this.#lastStepId = plan.stepId + plan.numGrantedSteps;
    for (const row of plan.finishedRows) this.#liveRows.delete(row);
    for (const { row } of plan.newRows) this.#liveRows.add(row);
    this.#numStepsWaiting += 1;
    const run = this.#engine.step(plan, (result) => this.#stepped(result, onResult));
    const ended = run.catch((error: unknown) => this.#broke(error, onError)).then(() => (this.#numStepsWaiting -= 1));
    this.#stepping = Promise.all([this.#stepping, ended]).then(() => {});
  }

  #stepped(result: StepResult, onResult: (result: v1.StepResultColumns.$Properties) => void): void {
    if (this.isEnded || this.#isBroken) return;
    const columns = encodeStepResult(result);
    this.#results.push(columns);
    onResult(columns);
  }

  #broke(error: unknown, onError: (error: unknown) => void): void {
    if (!this.#isBroken) onError(error);
    this.#isBroken = true;
  }

  /** Begins no granted step up to this id any more. */
  endGrants(stepId: number): void {
    this.#engine?.endGrants(stepId);
  }

  /** Results of the steps after this one, in order. */
  resultsAfter(stepId: number): readonly v1.StepResultColumns.$Properties[] {
    return this.#results.filter((result) => (result.step_id ?? 0) > stepId);
  }

  /** The coordinator has the results up to this step. */
  forgetResults(stepId: number): void {
    this.#results = [...this.resultsAfter(stepId)];
  }

  /** What a coordinator can go on with; null unless the epoch is ready and whole. */
  held(): v1.Held.$Properties | null {
    if (this.isEnded || this.#ready === null || this.#sized === null) return null;
    return {
      epoch: this.epoch,
      replica_id: this.#replicaId,
      rank: this.rank,
      last_step_id: this.#lastStepId,
      digest: this.#digest,
      sized: this.#sized,
      ready: this.#ready,
      live_rows: [...this.#liveRows],
    };
  }

  progress(): v1.Progress.$Properties {
    const engine = this.isEnded ? null : this.#engine;
    const progress = engine?.progress() ?? { counter: 0, stepId: 0, op: "" };
    return {
      epoch: this.epoch,
      counter: progress.counter,
      step_id: progress.stepId,
      op: progress.op,
      collectives: this.#world === null ? [] : (engine?.collectives() ?? []),
      bytes_read: this.#ready?.load_bytes_read ?? 0,
    };
  }

  /** What the rank has done since the last call, for who watches the cluster. */
  work(): Pick<v1.Progress.$Properties, "steps" | "expert_tokens"> {
    const engine = this.isEnded ? null : this.#engine;
    if (engine === null) return {};
    const steps = engine.stepTimes(this.#lastToldId);
    this.#lastToldId = steps.at(-1)?.stepId ?? this.#lastToldId;
    this.#hasUncounted ||= steps.length > 0;
    this.#numTold += 1;
    return { steps: steps.map(toStepTime), expert_tokens: this.#expertTokens(engine) };
  }

  /** Of a large model they are many. */
  #expertTokens(engine: Engine): number[] {
    if (!this.#hasUncounted || this.#numTold % REPORTS_PER_COUNT !== 0) return [];
    this.#hasUncounted = false;
    return Array.from(engine.expertTokens());
  }

  /** Ends the epoch now, whatever it is doing; the peers hear of it too. */
  abort(reason: string): void {
    if (this.isEnded) return;
    const engine = this.#engine;
    this.#aborter.abort(new MoesaicError("cancelled", reason));
    // A load that was cancelled closes its engine itself, and then there is nothing to abort.
    if (engine !== null && this.#engine === engine) abortIfOpen(engine, reason);
  }

  /** Ends the epoch in order, after the steps that came: the lead tells its followers, which wait for that, but not for long. */
  async leave(clock: Clock): Promise<void> {
    await this.#stepping;
    let cancelTimer = () => {};
    const timeout = new Promise<void>((resolve) => {
      cancelTimer = clock.setTimer(FAREWELL_MS, resolve);
    });
    // A peer that left first makes this fail, and is then no loss.
    if (this.#world !== null) await Promise.race([this.#farewell().catch(() => {}), timeout]);
    cancelTimer();
    this.abort("the rank leaves");
  }

  async #farewell(): Promise<void> {
    if (this.rank === 0) await this.#engine?.endEpoch();
    else await this.#following;
  }

  /** After `abort` or `leave`. */
  async close(): Promise<void> {
    await this.#following;
    this.#engine?.close();
    this.#engine = null;
  }
}

function toStepTime({ stepId, endedUsAgo, engineUs, collectiveUs }: StepTime): v1.StepTime.$Properties {
  return { step_id: stepId, ended_us_ago: endedUsAgo, engine_us: engineUs, collective_us: collectiveUs };
}

function abortIfOpen(engine: Engine, reason: string): void {
  try {
    engine.abort(reason);
  } catch (caught) {
    if (MoesaicError.from(caught).code !== "failed_precondition") throw caught;
  }
}

function worldOf(assignment: v1.Assignment.$Properties): World | null {
  if ((assignment.world_size ?? 1) <= 1) return null;
  const { transport } = assignment;
  return {
    epoch: assignment.epoch ?? 0,
    peers: (assignment.peers ?? []).map((peer) => ({
      rank: peer.rank ?? 0,
      hostId: peer.host_id ?? "",
      addresses: peer.data_plane_addresses ?? [],
    })),
    key: assignment.data_plane_key ?? new Uint8Array(),
    deadlineMs: assignment.peer_deadline_ms || PEER_DEADLINE_MS,
    transport: transport === "shm" || transport === "tcp" ? transport : "auto",
  };
}
