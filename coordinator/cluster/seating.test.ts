import * as fc from "fast-check";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { FakeRank } from "./fake-rank.js";
import { Replica } from "./replica.js";
import type { ReplicaConfig } from "./replica-config.js";
import { configOf } from "./replica-fixture.js";
import { ANYBODY, type SeatRequirement } from "./seat.js";
import { Seating } from "./seating.js";

function replicasOf(
  worlds: number[],
  clock: ManualClock,
  requirements?: SeatRequirement[],
  misfitOf: ReplicaConfig["misfitOf"] = () => null,
): Replica[] {
  return worlds.map((worldSize, replicaId) => {
    const config = configOf({ replicaId, worldSize, misfitOf, ...(requirements && { requirements }) });
    return new Replica(config, clock, silentLogger);
  });
}

function rankOf(connection: FakeRank): number | undefined {
  return connection.received.findLast(({ assignment }) => assignment)?.assignment?.rank ?? undefined;
}

describe("Seating", () => {
  it("fills the replicas in order, then the spares, and refuses the rest", () => {
    const replicas = replicasOf([2, 1], new ManualClock());
    const seating = new Seating(replicas, 1, silentLogger);
    for (let pid = 1; pid <= 4; pid += 1) seating.attach(new FakeRank({ pid }));
    assert.deepEqual(
      replicas.map(({ state }) => state),
      ["sizing", "sizing"],
    );
    assert.deepEqual(
      seating.spares().map(({ rank, pid, state }) => [rank, pid, state]),
      [[-1, 4, "spare"]],
    );
    assert.throws(() => seating.attach(new FakeRank()), { code: "failed_precondition", message: /no free seat/ });
  });

  it("puts a spare into a lost rank's seat at once", () => {
    const [replica] = replicasOf([2], new ManualClock()) as [Replica];
    const seating = new Seating([replica], 1, silentLogger);
    const ranks = [1, 2, 3].map((pid) => new FakeRank({ pid }));
    for (const rank of ranks) seating.attach(rank);
    ranks[0]!.die();
    assert.equal(rankOf(ranks[2]!), 0);
    assert.equal(replica.epoch, 2);
    assert.deepEqual(seating.spares(), []);
  });

  it("takes the next spare when the first has too little memory for the replica's blocks", () => {
    const misfitOf: ReplicaConfig["misfitOf"] = (ranks) => {
      const small = ranks.findIndex(({ sized }) => (sized.memory_bytes ?? 0) < 50);
      if (small < 0) return null;
      return { ranks: [small], error: new MoesaicError("resource_exhausted", "memory: 60, there are 40") };
    };
    const [replica] = replicasOf([2], new ManualClock(), undefined, misfitOf) as [Replica];
    const seating = new Seating([replica], 2, silentLogger);
    const [first, second, small, large] = [
      new FakeRank({ pid: 1 }),
      new FakeRank({ pid: 2 }),
      new FakeRank({ pid: 3 }),
      new FakeRank({ pid: 4 }),
    ];
    for (const rank of [first, second, small, large]) seating.attach(rank);
    for (const rank of [first, second]) rank.size(1);
    for (const rank of [first, second]) rank.finishLoad(1);
    first.die();
    small.size(2, { memory_bytes: 40 });
    second.size(2);
    assert.equal(small.closedWith?.message, "memory: 60, there are 40");
    assert.deepEqual([large, second].map(rankOf), [0, 1]);
    for (const rank of [large, second]) rank.size(3);
    for (const rank of [large, second]) rank.finishLoad(3);
    assert.equal(replica.state, "ready");
  });

  it("lets spares look for another coordinator", () => {
    const [replica] = replicasOf([1], new ManualClock()) as [Replica];
    const seating = new Seating([replica], 1, silentLogger);
    const [seated, spare] = [new FakeRank({ pid: 1 }), new FakeRank({ pid: 2 })];
    for (const rank of [seated, spare]) seating.attach(rank);
    seating.drain({ look_again: true });
    assert.deepEqual(spare.last.drain, { epoch: 0, look_again: true });
    assert.deepEqual(seating.spares(), []);
  });

  it("gives seats to the hosts, devices and launches that they were planned for", () => {
    const requirements: SeatRequirement[] = [
      ANYBODY,
      { host: "gpu-1", device: "cuda", launchId: null },
      { host: "box", device: null, launchId: "secret" },
    ];
    const [replica] = replicasOf([3], new ManualClock(), requirements) as [Replica];
    const seating = new Seating([replica], 0, silentLogger);
    const launched = new FakeRank({ host_id: "box/1", launch_id: "secret" });
    const gpu = new FakeRank({ host_id: "gpu-1.example.com/2", device: { kind: "cuda" } });
    const any = new FakeRank({ host_id: "elsewhere/3", device: { kind: "cpu" } });
    for (const rank of [any, launched]) seating.attach(rank);
    const wrong = new FakeRank({ host_id: "gpu-1/2", device: { kind: "cpu" } });
    const message = /free are rank 1 \(host gpu-1, device cuda\)/;
    assert.throws(() => seating.attach(wrong), { code: "failed_precondition", message });
    seating.attach(gpu);
    assert.deepEqual([any, gpu, launched].map(rankOf), [0, 1, 2]);
  });

  it("gives a worker that comes back the rank it had", () => {
    const [replica] = replicasOf([3], new ManualClock()) as [Replica];
    const seating = new Seating([replica], 0, silentLogger);
    const hellos = ["a", "b", "c"].map((host) => ({ host_id: host, pid: 5 }));
    const ranks = hellos.map((hello) => new FakeRank(hello));
    for (const rank of ranks) seating.attach(rank);
    for (const rank of ranks) rank.die();
    const again = hellos.map((hello) => new FakeRank({ ...hello, pid: 6 }));
    for (const rank of again.toReversed()) seating.attach(rank);
    assert.deepEqual(again.map(rankOf), [0, 1, 2]);
  });
});

type Event =
  | { kind: "attach" }
  | { kind: "lose" | "fail" | "answer" | "drain" | "break" | "return"; which: number }
  | { kind: "wait"; ms: number };

const events: fc.Arbitrary<Event[]> = fc.array(
  fc.oneof(
    fc.constant({ kind: "attach" } as const),
    fc.record({ kind: fc.constantFrom("lose", "fail", "drain"), which: fc.nat(5) }),
    fc.record({ kind: fc.constantFrom("break", "return"), which: fc.nat(5) }),
    fc.record({ kind: fc.constant("answer" as const), which: fc.nat(5) }),
    fc.record({ kind: fc.constant("answer" as const), which: fc.nat(5) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(900) }),
  ),
  { maxLength: 60, size: "+1" },
);

/** Three seats, a spare, and workers that come, go, fail and answer in any order, as real ones do. */
class World {
  readonly clock = new ManualClock();
  readonly replica = replicasOf([3], this.clock)[0]!;
  readonly seating = new Seating([this.replica], 1, silentLogger);
  alive: FakeRank[] = [];
  /** Those whose stream broke. */
  #away: FakeRank[] = [];
  readonly #everyone: FakeRank[] = [];
  #pid = 0;
  readonly #answered = new Set<unknown>();

  apply(event: Event): void {
    if (event.kind === "attach") this.attach();
    else if (event.kind === "wait") this.wait(event.ms);
    else if (event.kind === "return") this.#return(this.#away[event.which % this.#away.length]);
    else this.#toOne(event.kind, this.alive[event.which % this.alive.length]);
    this.check();
  }

  form(): void {
    for (let i = 0; i < 3; i += 1) this.attach();
    for (let round = 0; round < 2; round += 1) for (const rank of this.alive) this.answer(rank);
    assert.equal(this.replica.state, "ready");
  }

  attach(): void {
    this.#pid += 1;
    this.#enter(new FakeRank({ pid: this.#pid }));
  }

  #enter(rank: FakeRank): void {
    try {
      this.seating.attach(rank);
      this.alive.push(rank);
      this.#everyone.push(rank);
    } catch {
      const numThere = this.alive.length + this.#seatsAway();
      assert.ok(numThere >= 4 || this.replica.state === "failed", "a worker was refused with a place free");
    }
  }

  wait(ms: number): void {
    for (const rank of this.alive) rank.onMessage({ progress: { epoch: this.replica.epoch } });
    this.clock.advance(ms);
  }

  /** Answers the last message as a healthy rank does. */
  answer(rank: FakeRank): void {
    if (this.#answered.has(rank.last)) return;
    this.#answered.add(rank.last);
    const { assignment, load, drain } = rank.last ?? {};
    if (assignment) rank.size(assignment.epoch ?? 0);
    else if (load) rank.finishLoad(load.epoch ?? 0);
    else if (drain) rank.onMessage({ drained: { epoch: drain.epoch ?? 0 } });
  }

  check(): void {
    this.alive = this.alive.filter(({ closedWith }) => closedWith === null);
    const seated = this.replica.seats.flatMap(({ connection }) => (connection === null ? [] : [connection]));
    assert.equal(new Set(seated).size, seated.length, "a worker has two seats");
    if (this.replica.isRunning) assert.equal(seated.length + this.#seatsAway(), 3, "an epoch runs with an empty seat");
    assert.equal(
      this.replica.state === "interrupted",
      this.#seatsAway() > 0,
      "it is interrupted when somebody is away",
    );
    for (const rank of this.alive) this.#checkEpochs(rank);
    this.#checkWorlds();
  }

  #checkEpochs(rank: FakeRank): void {
    const epochs = rank.received.flatMap(({ assignment }) => (assignment ? [assignment.epoch ?? 0] : []));
    assert.deepEqual(
      epochs,
      [...new Set(epochs)].toSorted((a, b) => a - b),
      "epochs rise",
    );
  }

  /** No two workers are the same rank of one epoch. */
  #checkWorlds(): void {
    const places = this.#everyone.flatMap(({ received }) =>
      received.flatMap(({ assignment }) => (assignment ? [`${assignment.epoch}/${assignment.rank}`] : [])),
    );
    assert.equal(new Set(places).size, places.length, "two workers are the same rank of an epoch");
  }

  #seatsAway(): number {
    return this.replica.seats.filter(({ state }) => state === "away").length;
  }

  #return(rank: FakeRank | undefined): void {
    if (rank === undefined) return;
    this.#away = this.#away.filter((other) => other !== rank);
    this.#enter(rank.again());
  }

  #toOne(kind: "lose" | "fail" | "answer" | "drain" | "break", rank: FakeRank | undefined): void {
    if (rank === undefined) return;
    if (kind === "lose" || kind === "break") {
      this.alive = this.alive.filter((other) => other !== rank);
      if (kind === "break") this.#away.push(rank);
      if (kind === "break") rank.onLost("gone");
      else rank.die();
    } else if (kind === "fail") {
      rank.onMessage({ failure: { epoch: this.replica.epoch, code: "unavailable", text: "a peer" } });
    } else if (kind === "drain") {
      void this.replica.drainRank(rankOf(rank) ?? 0, 2_000).catch(() => {});
    } else this.answer(rank);
  }
}

describe("membership", () => {
  it("comes to rest in one ready world after any order of attaching, loss, breaks, returns, failure, drain and answers", () => {
    fc.assert(
      fc.property(events, fc.boolean(), (sequence, isFormed) => {
        const world = new World();
        if (isFormed) world.form();
        for (const event of sequence) world.apply(event);
        for (let i = 0; i < 60 && world.replica.state !== "ready" && world.replica.state !== "failed"; i += 1) {
          if (world.alive.length < 4) world.attach();
          for (const rank of [...world.alive]) world.answer(rank);
          world.wait(500);
          world.check();
        }
        const numFailures = sequence.filter(({ kind }) => kind === "fail").length;
        if (world.replica.state === "failed") assert.ok(numFailures >= 5, "it failed for good without a cause");
        else assert.equal(world.replica.state, "ready", world.replica.reason);
      }),
      { numRuns: 2_000 },
    );
  });
});
