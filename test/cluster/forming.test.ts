import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../e2e/moesaic.js";
import { findNatsServer, NatsServer, NO_NATS_SERVER } from "../bus/nats-server.js";
import { IS_LONG } from "../paths.js";
import { Random } from "../../sim/random.js";
import type { Daemon } from "./daemon.js";
import { RealCluster } from "./real-cluster.js";

const program = findNatsServer();
const SEED_VARIABLE = "MOESAIC_FORM_SEED";
const SEEDS = process.env[SEED_VARIABLE] ?? null;
const NUM_SEEDS = IS_LONG ? 50 : 4;
const NUM_ROUNDS = IS_LONG ? 3 : 1;
/** Clusters that form at the same time: most of it is waiting for a lease to run out. */
const NUM_AT_ONCE = 4;
/**
 * A coordinator that was killed leaves a lease of 10 s, which others ask for every 2.5 s, and an announcement of 15 s, which
 * workers try for 5 s at a time; the rest is for a busy machine to start processes and load weights. Milliseconds.
 */
const FORM_MS = 45_000;

describe("a cluster of real processes", { concurrency: NUM_AT_ONCE, skip: program === null && NO_NATS_SERVER }, () => {
  const seeds = SEEDS === null ? Array.from({ length: NUM_SEEDS }, (_, index) => index + 1) : [Number(SEEDS)];
  for (const seed of seeds) {
    it(`forms whatever order its processes start, die and come back in: seed ${seed}`, async (test) => {
      try {
        await form(test, seed);
      } catch (cause) {
        const again = `${SEED_VARIABLE}=${seed}${IS_LONG ? " MOESAIC_LONG=1" : ""} node --test ${import.meta.filename}`;
        throw new Error(`seed ${seed}; again with ${again}: ${String(cause)}`, { cause });
      }
    });
  }
});

/** Processes may need seconds to begin on a busy machine, milliseconds. */
const BEGIN_MS = 20_000;
/** Far less than the minute for which a worker looks for its coordinator, milliseconds. */
const GIVE_UP_MS = 5_000;

describe("a worker without a coordinator", { concurrency: 2 }, () => {
  it("ends soon when it is told to stop while it dials", async (test) => {
    const cluster = new RealCluster(test);
    await endsSoon(cluster.worker("worker", await cluster.coordinator()));
  });

  it(
    "ends soon when it is told to stop while it asks the bus",
    { skip: program === null && NO_NATS_SERVER },
    async (test) => {
      const cluster = new RealCluster(test, { nats: await NatsServer.start(program!) });
      await endsSoon(cluster.worker("worker", "bus"));
    },
  );
});

async function endsSoon(worker: Daemon): Promise<void> {
  worker.start();
  await eventually("it looks", () => worker.log.includes("began to look for the coordinator"), BEGIN_MS);
  const startedMs = performance.now();
  const how = await worker.end("SIGTERM");
  assert.ok(performance.now() - startedMs < GIVE_UP_MS, `it took ${performance.now() - startedMs} ms`);
  assert.notEqual(how?.[1], "SIGKILL");
}

/** Whatever can be started and ended: nats-server, `moesaic up`, `moesaic worker`. */
interface Member {
  name: string;
  start(): unknown;
  end(signal: NodeJS.Signals): Promise<unknown>;
}

async function form(test: TestContext, seed: number): Promise<void> {
  const random = new Random(seed);
  const nats = await NatsServer.prepare(program!);
  const cluster = new RealCluster(test, { nats });
  const coordinator = await cluster.coordinator();
  const meeting = random.chance(0.5) ? "bus" : coordinator;
  const workers = [0, 1].map((index) => cluster.worker(`worker ${index}`, meeting));
  const bus = { name: "nats", start: () => nats.bringBack(), end: (signal: NodeJS.Signals) => nats.takeAway(signal) };
  const members: Member[] = [bus, coordinator, ...workers];
  const told: string[] = [`workers meet by ${meeting === "bus" ? "bus" : "address"}`];
  try {
    await startInAnyOrder(random, members, told);
    told.push(`formed in ${Math.round(await cluster.formed(coordinator, workers, FORM_MS))} ms`);
    for (let round = 0; round < NUM_ROUNDS; round += 1) {
      await disturb(random, members, told);
      told.push(`formed in ${Math.round(await cluster.formed(coordinator, workers, FORM_MS))} ms`);
    }
  } catch (cause) {
    throw new Error(`after: ${told.join("; ")}: ${String(cause)}`, { cause });
  }
  test.diagnostic(told.join("; "));
}

async function startInAnyOrder(random: Random, members: readonly Member[], told: string[]): Promise<void> {
  for (const member of shuffled(random, members)) {
    const delayMs = random.integer(0, 1_500);
    told.push(`${member.name} started after ${delayMs} ms`);
    await sleep(delayMs);
    await member.start();
  }
}

/** One to three of them end at about the same time and come back after a while of their own. */
async function disturb(random: Random, members: readonly Member[], told: string[]): Promise<void> {
  const victims = shuffled(random, members).slice(0, random.integer(1, 3));
  const ends = victims.map((member) => {
    const signal = random.chance(0.5) ? "SIGKILL" : "SIGTERM";
    const [delayMs, awayMs] = [random.integer(0, 500), random.integer(0, 2_000)];
    told.push(`${member.name} got ${signal} after ${delayMs} ms, was away for ${awayMs} ms`);
    return { member, signal, delayMs, awayMs } as const;
  });
  await Promise.all(
    ends.map(async ({ member, signal, delayMs, awayMs }) => {
      await sleep(delayMs);
      await member.end(signal);
      await sleep(awayMs);
      await member.start();
    }),
  );
}

function shuffled<T>(random: Random, values: readonly T[]): T[] {
  const left = [...values];
  return values.map(() => left.splice(random.integer(0, left.length - 1), 1)[0]!);
}
