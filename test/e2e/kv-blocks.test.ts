import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { IS_LONG } from "../paths.js";
import { GOLDEN, type GoldenGeneration } from "./golden-generations.js";
import { RunningCluster } from "./moesaic.js";

const LONG_PROMPT = IS_LONG ? 16_384 : 3_072;
const BLOCK_SIZE = 16;

describe("KV blocks", () => {
  it("may be so few that sequences are preempted, and no token changes", async (test) => {
    const lengthOf = (golden: GoldenGeneration) => golden.prompt_tokens.length + golden.generated_tokens.length;
    const generations = GOLDEN.filter((golden) => lengthOf(golden) < 250).slice(0, 24);
    // The longest of these sequences needs about 25 blocks, all of them together several hundred.
    const cluster = await RunningCluster.launch(test, {
      engine: { numBlocks: 40 },
      scheduler: { maxBatchedTokens: 64 },
      maxModelLen: 300,
    });
    const completions = await Promise.all(
      generations.map(({ prompt_tokens: tokenIds, generated_tokens: golden }) =>
        cluster.client.complete({ tokenIds, sampling: { temperature: 0, maxTokens: golden.length + 8 } }),
      ),
    );
    for (const [index, { id, generated_tokens: golden }] of generations.entries()) {
      assert.deepEqual(completions[index]!.choices[0]!.tokenIds, golden, `tokens of generation ${id}`);
    }
    const { replicas } = await cluster.client.status();
    const { numPreemptions, numFreeBlocks, numBlocks } = replicas[0]!.scheduler!;
    assert.ok(numPreemptions > 0, "nothing was preempted: fewer blocks are needed to show it");
    assert.equal(numFreeBlocks, numBlocks - 1, "every block but the null block is free again");
  });

  it("of sliding layers stay within the window however long the prompt is", async (test) => {
    const maxBatchedTokens = 256;
    const cluster = await RunningCluster.launch(test, {
      engine: { blockSize: BLOCK_SIZE },
      scheduler: { maxBatchedTokens },
      maxModelLen: LONG_PROMPT + 64,
    });
    const tokenIds = Array.from({ length: LONG_PROMPT }, (_, index) => 1 + ((index * 7) % 1_900));
    const highest = { full: 0, sliding: 0 };
    const state = { isDone: false };
    const running = cluster.client
      .complete({ tokenIds, sampling: { temperature: 0, ignoreEos: true, maxTokens: 32 } })
      .finally(() => (state.isDone = true));
    while (!state.isDone) {
      for (const group of ["full", "sliding"] as const) {
        const used = await cluster.metric(`moesaic_kv_blocks_used{group="${group}"}`);
        highest[group] = Math.max(highest[group], used);
      }
    }
    assert.equal((await running).choices[0]!.tokenIds.length, 32);
    const { replicas } = await cluster.client.status();
    const { window } = replicas[0]!.scheduler!.kvGroups.find(({ group }) => group === "sliding")!;
    const bound = Math.ceil((window - 1 + maxBatchedTokens) / BLOCK_SIZE) + 1;
    assert.ok(highest.sliding > 0 && highest.sliding <= bound, `${highest.sliding} sliding blocks, bound ${bound}`);
    assert.ok(highest.full > LONG_PROMPT / BLOCK_SIZE / 2, `${highest.full} full blocks show that the prompt was long`);
  });
});
