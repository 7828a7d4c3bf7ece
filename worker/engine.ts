import type { ProgramDescription, StepTime } from "../native/binding.js";
import type { RankProgram } from "../plans/rank-program.js";
import type { v1 } from "../proto/messages.js";
import type { StepPlan, StepResult } from "../proto/step.js";

/** What a worker needs of an engine; the native one and the fake one implement it. */
export interface Engine {
  /**
   * Runs a plan's step and those that it grants, on the lead rank, in the order of the calls.
   * @param onResult called with the result of each
   * @returns the last result; null when the plan was void
   * @throws MoesaicError unavailable naming a lost peer
   */
  step(plan: StepPlan, onResult?: (result: StepResult) => void): Promise<StepResult | null>;
  /** Begins no granted step up to this id any more. */
  endGrants(stepId: number): void;
  /** On the other ranks: runs what the lead broadcasts until it ends the epoch. @throws MoesaicError as `step` */
  followLead(): Promise<void>;
  /** On the lead rank: tells the followers that no more steps come. */
  endEpoch(): Promise<void>;
  /** Makes whatever runs fail at once, here and soon on the peers. May be called at any time, and again. */
  abort(reason: string): void;
  /** A counter that moves while work is done and the op it is at: what the stall detector reads. */
  progress(): { counter: number; stepId: number; op: string };
  /** Steps with larger ids that have ended, oldest first; of more than 512 the newest. */
  stepTimes(afterStepId: number): StepTime[];
  /** Layer after layer, pairs of token and chosen expert that this rank has computed; empty: they are not counted. */
  expertTokens(): ArrayLike<number>;
  /** What this rank sent to others, by kind of collective. */
  collectives(): CollectiveCount[];
  /** Ends the engine; a running step is finished first. */
  close(): void;
}

export interface CollectiveCount {
  name: string;
  calls: number;
  bytes: number;
}

/** What a rank is to load, from its Assignment. */
export interface EngineSetup {
  modelDir: string;
  /** Random weights from this seed instead of the checkpoint's. */
  dummySeed: number | null;
  /** Names of kernel packages in order of preference. */
  kernelPackages: string[];
  /** The same tokens whatever else is in a step, also where that costs speed. */
  deterministic: boolean;
}

/** The ranks that an engine computes together with. */
export interface World {
  epoch: number;
  /** Every rank, the own one included, ascending. */
  peers: Peer[];
  /** 32 bytes, the same on all ranks of the epoch. */
  key: Uint8Array;
  /** Longest wait for a peer, to connect or inside a collective, milliseconds. */
  deadlineMs: number;
  transport: "auto" | "shm" | "tcp";
}

export interface Peer {
  rank: number;
  hostId: string;
  /** HOST:PORT of its data plane. */
  addresses: string[];
}

/** Where peers reach this process; outlives the engines. */
export interface DataPlane {
  readonly addresses: string[];
  close(): void;
}

export interface LoadOutcome {
  engine: Engine;
  bytesRead: number;
  loadMs: number;
}

/** What a load tells while it lasts. */
export interface LoadObserver {
  /** The engine is open and its progress can be read; it must not be used otherwise before the load has ended. */
  opened(engine: Engine): void;
  progressed(bytesDone: number, bytesPlanned: number): void;
}

/** Makes engines of one kind. */
export interface EngineFactory {
  device(): v1.Device.$Properties;
  /** @param host name or address to listen on */
  openDataPlane(host: string): DataPlane;
  /** What the program would take; allocates nothing. @throws MoesaicError when it cannot run here */
  describe(program: RankProgram, setup: EngineSetup): ProgramDescription;
  /**
   * Allocates, joins the world if there is one, and loads. Aborting the signal stops the load with `cancelled`.
   * @throws MoesaicError unavailable or deadline_exceeded when not all peers came
   */
  load(
    program: RankProgram,
    setup: EngineSetup,
    world: World | null,
    observer: LoadObserver,
    signal: AbortSignal,
  ): Promise<LoadOutcome>;
}
