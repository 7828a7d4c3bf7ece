import type { RankProgram } from "../../plans/rank-program.js";
import { ManualClock } from "../../proto/clock.js";
import { silentLogger } from "../../proto/log.js";
import type { FakeRank } from "./fake-rank.js";
import { Replica } from "./replica.js";
import type { ReplicaConfig } from "./replica-config.js";
import { Seating } from "./seating.js";

/** A replica of one rank, for tests. */
export function configOf(overrides: Partial<ReplicaConfig> = {}): ReplicaConfig {
  return {
    replicaId: 0,
    worldSize: 1,
    programOf: () => ({}) as RankProgram,
    modelDir: "/model",
    dummySeed: null,
    kernelPackages: ["cpu"],
    deterministic: false,
    engineChoices: [],
    chooseNumBlocks: () => 8,
    misfitOf: () => null,
    leaseMs: 1000,
    stallMs: 2000,
    peerDeadlineMs: 5000,
    fencingToken: () => 0,
    ...overrides,
  };
}

export function replicaWith(overrides: Partial<ReplicaConfig> = {}): { replica: Replica; clock: ManualClock } {
  const clock = new ManualClock();
  return { replica: new Replica(configOf(overrides), clock, silentLogger), clock };
}

/** Through the door, as ranks come in. */
export function attachTo(replica: Replica, rank: FakeRank): void {
  new Seating([replica], 0, silentLogger).attach(rank);
}

/** All of a world go through sizing and loading of the epoch. */
export function becomeReady(ranks: readonly FakeRank[], epoch: number): void {
  for (const rank of ranks) rank.size(epoch);
  for (const rank of ranks) rank.finishLoad(epoch);
}
