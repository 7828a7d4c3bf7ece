/**
 * What `moesaic status --json` of a live cluster says about its ranks, against counts made without it: the router's choices
 * that transformers stored with the fixtures, and the bytes of the checkpoint that `plan explain` gives to each rank.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { describeModel, type ModelDescription } from "../../plans/model-description.js";
import type { ExpertLoad } from "../../coordinator/dashboard/cluster-view.js";
import { GoldenModel } from "../golden/golden-model.js";
import { DEMO_MODEL, FIXTURES, IS_LONG, skipWithout } from "../paths.js";
import { dashboardView } from "./dashboard-view.js";
import { eventually, jsonLines, moesaic, RunningCluster } from "./moesaic.js";

/** The prompt whose router's choices the fixtures have: 33 tokens, one step. */
const PROMPT = "p2";

const LAYOUTS = [
  { model: "tiny-a", tp: 1, ep: 2 },
  { model: "tiny-b", tp: 1, ep: 3 },
  { model: "tiny-b", tp: 2, ep: 2 },
  { model: "tiny-a", tp: 2, ep: 1 },
];

/** Where columns are cut unevenly, and where they are not, with some shares of experts; the short test runs the first two. */
const LOADS = [
  { model: "demo", tp: 4, ep: 1 },
  { model: "tiny-b", tp: 4, ep: 1 },
  ...["demo", "tiny-a", "tiny-b"].flatMap((model) => [
    { model, tp: 1, ep: 2 },
    { model, tp: 2, ep: 1 },
    { model, tp: 2, ep: 2 },
  ]),
  { model: "tiny-a", tp: 4, ep: 1 },
];

describe("moesaic status --json of several ranks", () => {
  for (const { model, tp, ep } of IS_LONG ? LAYOUTS : LAYOUTS.slice(1, 3)) {
    const name = `${model} at TP ${tp} x EP ${ep}`;
    it(
      `counts the bytes of the golden routes and of the own shards, tokens sharded: ${name}`,
      skipped(model),
      async (test) => {
        const golden = new GoldenModel(model);
        const { ranks, http } = await ranksAfterPrompt(test, golden, tp, ep, "sharded");
        const routes = new Routes(golden, tp, ep);
        for (const [rank, { collectives }] of ranks.entries()) {
          const { bytes, calls } = trafficOf(collectives);
          const { tokens, slots } = routes.sentBy(rank);
          assert.equal(bytes("dispatch"), tokens * routes.hiddenBytes, `hidden states sent by rank ${rank}`);
          assert.equal(bytes("dispatch_ids"), tokens * routes.idsBytes, `ids sent by rank ${rank}`);
          assert.equal(bytes("collect"), slots * routes.hiddenBytes, `outputs sent by rank ${rank}`);
          assert.equal(bytes("all_to_all"), bytes("dispatch") + bytes("dispatch_ids") + bytes("collect"));
          assert.equal(calls("all_to_all"), 2 * routes.numLayers, "out and back in each MoE block");
          assert.deepEqual([calls("all_reduce"), calls("exchange_slots")], [0, 0]);
          assert.equal(calls("reduce_scatter"), tp === 1 ? 0 : routes.numLayers, "one after each attention's output");
        }
        await checkLoad(ranks, golden.folder, tp, ep);
        await checkExperts(http, routes);
      },
    );
  }

  it(
    "counts slots of experts, not sums of hidden states, where tokens are replicated",
    skipped("tiny-a"),
    async (test) => {
      const golden = new GoldenModel("tiny-a");
      const { ranks, http } = await ranksAfterPrompt(test, golden, 1, 2, "replicated");
      const routes = new Routes(golden, 1, 2);
      for (const [rank, { collectives }] of ranks.entries()) {
        const { bytes, calls } = trafficOf(collectives);
        assert.equal(
          bytes("exchange_slots"),
          routes.slotsOf(rank) * routes.hiddenBytes,
          `outputs sent by rank ${rank}`,
        );
        assert.deepEqual([calls("all_reduce"), calls("all_to_all"), calls("dispatch")], [0, 0, 0]);
      }
      await checkLoad(ranks, golden.folder, 1, 2);
      await checkExperts(http, routes);
    },
  );

  for (const { model, tp, ep } of IS_LONG ? LOADS : LOADS.slice(0, 2)) {
    const skip = model === "demo" ? false : skipWithout(model);
    it(
      `counts no more bytes read than each rank's shard has: ${model} at TP ${tp} x EP ${ep}`,
      { skip },
      async (test) => {
        const folder = model === "demo" ? DEMO_MODEL : join(FIXTURES, model);
        const { endpoint } = await launch(test, folder, tp, ep, "sharded");
        await checkLoad(await ranksOf(endpoint), folder, tp, ep);
      },
    );
  }
});

/**
 * Slices finer than a disk block are read in bands of whole rows for all ranks of the host: then each reads about what its
 * shard has, and all together read each row once. Ranks that hold the same heads share the rows of `o_proj` too.
 */
async function checkLoad(ranks: readonly RankLine[], folder: string, tp: number, ep: number): Promise<void> {
  const read = ranks.map(({ load_bytes_read: bytes }) => bytes);
  const planned = ranks.map(({ load_bytes_planned: bytes }) => bytes);
  const own = await checkpointBytes(folder, tp, ep);
  assert.deepEqual(read, planned);
  if (tp === 1) assert.deepEqual(read, own);
  for (const [rank, bytes] of read.entries()) {
    assert.ok(bytes <= 1.01 * own[rank]!, `rank ${rank} read ${bytes} bytes, its shard has ${own[rank]}`);
  }
  const { layerKinds, hiddenSize, numHeads, headDim } = modelIn(folder);
  const outputBytes = 2 * layerKinds.length * hiddenSize * numHeads * headDim;
  assert.equal(sum(read), sum(own) - (tp === 1 ? 0 : (ep - 1) * outputBytes), "no row is read twice");
}

/** Bytes of the checkpoint that each rank's shard has. The bandwidth is given so that nothing is measured. */
async function checkpointBytes(folder: string, tp: number, ep: number): Promise<number[]> {
  const layout = ["--model", folder, "--tp", String(tp), "--ep", String(ep)];
  const [explained] = jsonLines<Explained>(
    await moesaic(["plan", "explain", ...layout, "--read-gbytes", "1", "--json"]),
  );
  return explained!.replica.ranks.map(({ checkpoint_bytes: bytes }) => bytes);
}

interface Explained {
  replica: { ranks: { checkpoint_bytes: number }[] };
}

interface Status {
  replicas: { ranks: RankLine[] }[];
}

interface RankLine {
  load_bytes_planned: number;
  load_bytes_read: number;
  collectives: { name: string; calls: number; bytes: number }[];
}

/** What a rank sent since it was loaded, by the name of the collective or of what it carried. */
interface Traffic {
  bytes: (name: string) => number;
  calls: (name: string) => number;
}

function trafficOf(collectives: RankLine["collectives"]): Traffic {
  const find = (name: string): RankLine["collectives"][number] => {
    const found = collectives.find((each) => each.name === name);
    assert.ok(found !== undefined, `the status has no ${name}`);
    return found;
  };
  return { bytes: (name) => find(name).bytes, calls: (name) => find(name).calls };
}

function skipped(model: string): { skip: string | false } {
  return { skip: skipWithout(model) };
}

/** Runs the prompt, which is one step, and waits until every rank has told of it. */
async function ranksAfterPrompt(
  test: TestContext,
  golden: GoldenModel,
  tp: number,
  ep: number,
  tokens: string,
): Promise<{ ranks: RankLine[]; http: string }> {
  const { client, endpoint, http } = await launch(test, golden.folder, tp, ep, tokens);
  const tokenIds = golden.ids(`${PROMPT}.input_ids`);
  const answer = await client.complete({ tokenIds, sampling: { temperature: 0, maxTokens: 1, ignoreEos: true } });
  assert.deepEqual(answer.choices[0]!.tokenIds, golden.ids(`${PROMPT}.greedy_ids`).slice(0, 1));
  // Ranks gather once a layer before its experts' outputs are together, and again after the last layer.
  const { length: numLayers } = modelOf(golden).layerKinds;
  await eventually("every rank has told of the step", async () => {
    const { replicas } = await client.status();
    return replicas[0]!.ranks.every(({ collectives }) =>
      collectives.some(({ name, calls }) => name === "all_gather" && calls > numLayers),
    );
  });
  return { ranks: await ranksOf(endpoint), http };
}

/** The heat map of the dashboard has every pair of the golden routes, once. */
async function checkExperts(http: string, routes: Routes): Promise<void> {
  let load: ExpertLoad | undefined;
  await eventually("every rank has told of its experts", async () => {
    load = (await dashboardView(http)).experts[0];
    return load !== undefined && sum(load.numTokens) === sum(routes.expertCounts());
  });
  assert.deepEqual(load!.numTokens, routes.expertCounts());
}

async function launch(
  test: TestContext,
  model: string,
  tp: number,
  ep: number,
  tokens: string,
): Promise<RunningCluster> {
  const plan = { kind: "ShardingPlan", worldSize: tp * ep, attention: { tp }, experts: { ep, tp }, tokens };
  return RunningCluster.launch(test, { model, plan, workers: [{ device: "cpu", ranks: tp * ep, threads: 1 }] });
}

async function ranksOf(endpoint: string): Promise<RankLine[]> {
  const [status] = jsonLines<Status>(await moesaic(["status", "--endpoint", endpoint, "--json"]));
  return status!.replicas[0]!.ranks;
}

/** Where the golden routes of the prompt lead when experts lie in groups of ranks one after the other. */
class Routes {
  readonly numLayers: number;
  readonly hiddenBytes: number;
  readonly idsBytes: number;
  readonly #worldSize: number;
  readonly #tp: number;
  readonly #numExperts: number;
  /** Last expert of each group, plus 1. */
  readonly #groupEnds: number[];
  /** Experts by layer and token. */
  readonly #chosen: number[][][];

  constructor(golden: GoldenModel, tp: number, ep: number) {
    const model = modelOf(golden);
    this.numLayers = model.layerKinds.length;
    this.hiddenBytes = 4 * model.hiddenSize;
    this.idsBytes = 4 * model.expertsPerToken;
    this.#worldSize = tp * ep;
    this.#tp = tp;
    this.#numExperts = model.numExperts;
    const sizes = Array.from({ length: ep }, (_, group) => Math.ceil((model.numExperts - group) / ep));
    this.#groupEnds = sizes.map((_, group) => sum(sizes.slice(0, group + 1)));
    this.#chosen = model.layerKinds.map((_, layer) => {
      return chunks(golden.ids(`${PROMPT}.router.${layer}.indices`), model.expertsPerToken);
    });
  }

  /** Tokens it owns times other ranks that they are routed to, and outputs it owes for tokens of other ranks. */
  sentBy(rank: number): { tokens: number; slots: number } {
    let [tokens, slots] = [0, 0];
    for (const ofLayer of this.#chosen) {
      for (const [token, experts] of ofLayer.entries()) {
        const isOwn = this.#ownerOf(token, ofLayer.length) === rank;
        const holders = new Set(experts.flatMap((expert) => this.#holdersOf(expert)));
        if (isOwn) tokens += [...holders].filter((holder) => holder !== rank).length;
        else slots += experts.filter((expert) => this.#holdersOf(expert).includes(rank)).length;
      }
    }
    return { tokens, slots };
  }

  /** Layer after layer, tokens routed to each expert. */
  expertCounts(): number[] {
    return this.#chosen.flatMap((ofLayer) => {
      const chosen = ofLayer.flat();
      return Array.from({ length: this.#numExperts }, (_, expert) => chosen.filter((id) => id === expert).length);
    });
  }

  /** Outputs that the rank computes, whoever owns the token. */
  slotsOf(rank: number): number {
    return this.#chosen.flat(2).filter((expert) => this.#holdersOf(expert).includes(rank)).length;
  }

  #holdersOf(expert: number): number[] {
    const group = this.#groupEnds.findIndex((end) => expert < end);
    return Array.from({ length: this.#tp }, (_, index) => group * this.#tp + index);
  }

  /** Rank r of n owns the tokens from floor(r t / n) on. */
  #ownerOf(token: number, numTokens: number): number {
    const begins = Array.from({ length: this.#worldSize }, (_, rank) =>
      Math.floor((rank * numTokens) / this.#worldSize),
    );
    return begins.findLastIndex((begin) => begin <= token);
  }
}

function modelOf({ folder }: GoldenModel): ModelDescription {
  return modelIn(folder);
}

function modelIn(folder: string): ModelDescription {
  return describeModel(JSON.parse(readFileSync(join(folder, "config.json"), "utf8")), folder);
}

function chunks(values: readonly number[], size: number): number[][] {
  return Array.from({ length: values.length / size }, (_, index) => values.slice(index * size, (index + 1) * size));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
