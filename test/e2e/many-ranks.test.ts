/** The golden generations of the demo model on several ranks, each a process: layouts, roles, replicas, and lost ranks. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { DEMO_MODEL, IS_LONG } from "../paths.js";
import { Random } from "../../sim/random.js";
import { checkGolden, generateGolden, GOLDEN, SOME_GOLDEN, type GoldenGeneration } from "./golden-generations.js";
import { eventually, isRunning, RunningCluster } from "./moesaic.js";

const ALONE = "--max-concurrent 1";
const SHORT_RUNS = [
  "--ep 2 --tokens-placement replicated",
  "--ep 4 --tokens-placement sharded",
  `--ep 4 --tokens-placement sharded ${ALONE}`,
  "--tp 2 --ep 2",
  "--tp 2 --run-ahead 8",
];
const LONG_RUNS = ["--ep 2", "--ep 4", "--tp 2", "--tp 2 --ep 2"]
  .flatMap((layout) =>
    ["replicated", "sharded"].flatMap((placement) => {
      const flags = `${layout} --tokens-placement ${placement}`;
      return [flags, `${flags} ${ALONE}`];
    }),
  )
  .concat("--tp 2 --run-ahead 8");

describe("moesaic generate on several ranks", () => {
  for (const flags of IS_LONG ? LONG_RUNS : SHORT_RUNS) {
    it(`gives the golden tokens: ${flags}`, async (test) => {
      const some = IS_LONG || !flags.includes(ALONE) ? SOME_GOLDEN : SOME_GOLDEN.slice(0, 4);
      checkGolden(await generateGolden(test, some, "tokens", ["--model", DEMO_MODEL, ...flags.split(" ")]), some);
    });
  }
});

describe("a cluster of several ranks", () => {
  it("gives the golden tokens where one rank runs attention and the others experts only", async (test) => {
    const experts = { ep: 3, assign: { 0: [], 1: idsBetween(0, 10), 2: idsBetween(10, 16) } };
    const plan = { kind: "ShardingPlan", worldSize: 3, attention: { ranks: [0] }, experts };
    const cluster = await RunningCluster.launch(test, { plan, workers: workers(3) });
    await checkGenerations(test, cluster, SOME_GOLDEN);
    const sent = async (name: string): Promise<number[]> => {
      const [replica] = (await cluster.client.status()).replicas;
      return replica!.ranks.map(({ collectives }) => collectives.find((each) => each.name === name)?.bytes ?? 0);
    };
    await eventually("the ranks have told what they sent", async () =>
      (await sent("collect")).some((bytes) => bytes > 0),
    );
    const [[tokensOut, ...others], [outputsOut]] = [await sent("dispatch"), await sent("collect")];
    assert.ok(tokensOut! > 0, "rank 0 computed experts itself");
    assert.deepEqual([...others, outputsOut], [0, 0, 0], "rank 0 sends tokens, the others experts' outputs");
  });

  it("gives the golden tokens from two replicas of two ranks, which both work", async (test) => {
    const cluster = await RunningCluster.launch(test, { plan: expertPlan("auto"), replicas: 2, workers: workers(4) });
    await checkGenerations(test, cluster, SOME_GOLDEN);
    const { replicas } = await cluster.client.status();
    assert.equal(replicas.length, 2);
    for (const { replicaId, scheduler } of replicas) {
      assert.ok(scheduler!.numOutputTokens > 0, `replica ${replicaId} answered nothing`);
    }
  });

  const seed = Number(process.env["MOESAIC_SOAK_SEED"] ?? Date.now() % 2 ** 31);
  // Takes minutes.
  if (IS_LONG) {
    it(`gives the golden tokens while random ranks are killed, MOESAIC_SOAK_SEED=${seed}`, async (test) => {
      const cluster = await RunningCluster.launch(test, { plan: expertPlan("sharded"), workers: workers(2) });
      const batch = { isDone: false };
      const answers = checkGenerations(test, cluster, GOLDEN).finally(() => (batch.isDone = true));
      const [pids] = await Promise.all([killRanks(cluster, new Random(seed), () => batch.isDone), answers]);
      for (const pid of await cluster.workerPids()) pids.add(pid);
      await cluster.close();
      assert.deepEqual([...pids].filter(isRunning), []);
    });
  }
});

const NUM_KILLS = 4;
/** A worker that dies more often within a minute is given up. */
const MAX_KILLS_OF_RANK = 3;

/** Kills ranks at random while the batch runs. @returns every worker process there was, at least three */
async function killRanks(cluster: RunningCluster, random: Random, isDone: () => boolean): Promise<Set<number>> {
  const pids = new Set<number>();
  const numKills = [0, 0];
  for (let kill = 0; kill < NUM_KILLS; kill += 1) {
    const tokens = await outputTokens(cluster);
    const enough = tokens + random.integer(5, 600);
    await eventually("the batch goes on", async () => isDone() || (await outputTokens(cluster)) >= enough, 120_000);
    const current = await cluster.workerPids();
    for (const pid of current) pids.add(pid);
    if (isDone()) break;
    const rank = random.pick([0, 1].filter((each) => numKills[each]! < MAX_KILLS_OF_RANK));
    process.kill(current[rank]!, "SIGKILL");
    numKills[rank]! += 1;
  }
  assert.ok(numKills[0]! + numKills[1]! >= 2, "the batch was over before two ranks were killed");
  return pids;
}

async function outputTokens({ client }: RunningCluster): Promise<number> {
  const { replicas } = await client.status();
  return replicas[0]!.scheduler!.numOutputTokens;
}

async function checkGenerations(
  test: TestContext,
  { endpoint }: RunningCluster,
  generations: readonly GoldenGeneration[],
): Promise<void> {
  checkGolden(await generateGolden(test, generations, "tokens", ["--endpoint", endpoint]), generations);
}

/** Experts over two ranks, attention whole on each. */
function expertPlan(tokens: string): Record<string, unknown> {
  return { kind: "ShardingPlan", worldSize: 2, attention: { tp: 1 }, experts: { ep: 2, tp: 1 }, tokens };
}

function workers(ranks: number): Record<string, unknown>[] {
  return [{ device: "cpu", ranks, threads: 1 }];
}

function idsBetween(begin: number, end: number): number[] {
  return Array.from({ length: end - begin }, (_, index) => begin + index);
}
