import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { EngineLoop, type StepExecutor } from "../../coordinator/engine-loop.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import type { SchedulerConfig } from "../../coordinator/scheduler/scheduler-config.js";
import type { FinishReason, SequenceSpec } from "../../coordinator/scheduler/sequence.js";
import { systemClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import { FakeEngine } from "../../worker/fake-engine.js";
import { LazyRanks } from "./lazy-ranks.js";
import { randomConfig, randomSpec } from "./faults.js";
import { Random } from "../../sim/random.js";

const DEPTHS = [0, 1, 2, 7];
const NUM_WORLDS = process.env["MOESAIC_LONG"] === "1" ? 300 : 40;

/** What one client asks and when it leaves: after so many tokens, as for a stop string, or never. */
interface Client {
  spec: SequenceSpec;
  leavesAfter: number;
  leavesAs: FinishReason;
}

/** What it saw: tokens, positions of logits, and how it ended. */
interface Seen {
  tokenIds: number[];
  numLogits: number;
  finish: FinishReason | null;
}

// Depth 0 is the specification of the others: whatever a client does after a number of tokens, and however often the ranks
// are lost, it sees the same at every depth.
describe("Run-ahead", () => {
  it(`shows clients the same at depths ${DEPTHS.join(", ")}, in ${NUM_WORLDS} worlds of tiny pools and lost ranks`, async () => {
    const counts = { ahead: 0, granted: 0, lost: 0, preemptions: 0, left: 0 };
    for (let seed = 1; seed <= NUM_WORLDS; seed++) {
      const [specified, ...others] = await Promise.all(DEPTHS.map((depth) => serve(seed, depth, counts)));
      for (const [index, seen] of others.entries()) {
        assert.deepEqual(seen, specified, `seed ${seed}, depth ${DEPTHS[index + 1]}`);
      }
    }
    for (const [what, count] of Object.entries(counts)) assert.ok(count > 20, `hardly any ${what}`);
  });
});

/** A fake rank whose steps take some turns of the event loop each, and that is lost in random ones. */
class FickleRanks implements StepExecutor {
  numAhead = 0;
  numGranted = 0;
  numLost = 0;
  readonly #config: SchedulerConfig;
  readonly #random: Random;
  #epoch = 1;
  #ranks: LazyRanks;
  #given: { plan: StepPlan; onResult: (result: StepResult) => void; lose: (error: MoesaicError) => void }[] = [];
  #isRunning = false;

  constructor(config: SchedulerConfig, random: Random) {
    this.#config = config;
    this.#random = random;
    this.#ranks = this.#open();
  }

  step(plan: StepPlan, onResult: (result: StepResult) => void): Promise<void> {
    const lost = new Promise<void>((_, lose) => this.#given.push({ plan, onResult, lose }));
    if (plan.epoch !== this.#epoch) this.#lose();
    if (this.#isRunning) this.numAhead++;
    this.numGranted += plan.numGrantedSteps;
    this.#ranks.give(plan);
    if (!this.#isRunning) void this.#run();
    return lost;
  }

  endGrants(): void {
    const { plan } = this.#given.at(-1)!;
    this.#ranks.endGrants(plan.stepId + plan.numGrantedSteps);
  }

  whenReady(): Promise<number> {
    return Promise.resolve(this.#epoch);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (;;) {
      for (let turns = this.#random.integer(0, 2); turns >= 0; turns--) await turn();
      const result = this.#ranks.runStep();
      if (result === null) break;
      if (this.#random.chance(0.02)) {
        this.#epoch++;
        this.numLost++;
        this.#ranks = this.#open();
        this.#lose();
        break;
      }
      this.#given.findLast(({ plan }) => plan.stepId <= result.stepId)!.onResult(result);
    }
    this.#isRunning = false;
  }

  #lose(): void {
    for (const { lose } of this.#given.splice(0)) lose(new MoesaicError("unavailable", "the rank was lost"));
  }

  #open(): LazyRanks {
    const { vocabSize, maxLogitRows, kvGroups } = this.#config;
    return new LazyRanks(
      new FakeEngine({ epoch: this.#epoch, vocabSize, limits: this.#config, kvGroups, maxLogitRows }),
    );
  }
}

async function serve(
  seed: number,
  runAhead: number,
  counts: Record<"ahead" | "granted" | "lost" | "preemptions" | "left", number>,
): Promise<Seen[]> {
  const random = new Random(seed);
  const config = { ...randomConfig(random), runAhead, maxWaiting: 100 };
  const clients = Array.from({ length: 12 }, (_, seqId) => randomClient(random, seqId, config));
  const ranks = new FickleRanks(config, new Random(1000 * seed + runAhead));
  const scheduler = new Scheduler(config, silentLogger);
  const loop = new EngineLoop(scheduler, ranks, { stepFinished: () => {} }, systemClock, silentLogger);
  const running = loop.run();
  const seen = await Promise.all(clients.map((client) => listen(loop, client)));
  loop.stop();
  await running;
  counts.ahead += ranks.numAhead;
  counts.granted += ranks.numGranted;
  counts.lost += ranks.numLost;
  counts.preemptions += scheduler.stats().numPreemptions;
  counts.left += seen.filter(({ finish }, index) => finish === clients[index]!.leavesAs).length;
  return seen;
}

/** Deadlines are left out: what a client has by then depends on how fast the ranks are. */
function randomClient(random: Random, seqId: number, config: SchedulerConfig): Client {
  for (;;) {
    const spec = { ...randomSpec(random, seqId, 0, config), deadlineMs: null };
    const isGood =
      spec.promptTokenIds.length > 0 && Array.from(spec.promptTokenIds).every((id) => id < config.vocabSize);
    const leavesAfter = random.chance(0.5) ? Infinity : random.integer(1, 12);
    if (isGood) return { spec, leavesAfter, leavesAs: random.pick(["abort", "stop"] as const) };
  }
}

async function listen(loop: EngineLoop, { spec, leavesAfter, leavesAs }: Client): Promise<Seen> {
  const seen: Seen = { tokenIds: [], numLogits: 0, finish: null };
  return new Promise((resolve) => {
    const isRefused = (error: unknown) =>
      ["resource_exhausted", "invalid_argument"].includes(MoesaicError.from(error).code);
    try {
      loop.submit(spec, ({ tokenId, logits, finish, error }) => {
        assert.notEqual(error?.code, "internal", error?.message);
        if (tokenId !== undefined) seen.tokenIds.push(tokenId);
        seen.numLogits += logits?.numTokens ?? 0;
        seen.finish = finish ?? null;
        if (finish !== undefined) resolve(seen);
        else if (seen.tokenIds.length === leavesAfter) loop.abort(spec.seqId, leavesAs);
      });
    } catch (error) {
      assert.ok(isRefused(error));
      resolve(seen);
    }
  });
}
