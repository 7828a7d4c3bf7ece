import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CompletionChoice } from "../../client/completion.js";
import type { GenerateRequest } from "../../client/generate-request.js";
import { IS_LONG } from "../paths.js";
import { checkGolden, generateGolden, SOME_GOLDEN } from "./golden-generations.js";
import { eventually, RunningCluster } from "./moesaic.js";

const NUM_CHATS = 100;
const NUM_SHARED = 2_048;
const NUM_OWN = 24;
/** A cold run computes the prefix again: of so many chats it is compared token by token. */
const NUM_COLD = IS_LONG ? NUM_CHATS : 3;

describe("prefix cache", () => {
  it("computes what 100 chats have in common once, and no token, logprob or penalty changes", async (test) => {
    const requests = Array.from({ length: NUM_CHATS }, (_, index) => chat(index));
    const cluster = await RunningCluster.launch(test);
    // On a busy machine they are forecast to take longer than a request may by default, and would be refused for it.
    const options = { timeoutMs: 600_000 };
    const warm = await Promise.all(requests.map((request) => cluster.client.complete(request, options)));
    const queries = await cluster.metric('moesaic_prefix_cache_queries_total{replica="0",admission="first"}');
    const hits = await cluster.metric('moesaic_prefix_cache_hits_total{replica="0",admission="first"}');
    assert.equal(queries, NUM_CHATS * (NUM_SHARED + NUM_OWN));
    test.diagnostic(`${hits} of ${queries} prompt tokens were not computed`);
    assert.ok(hits >= 0.9 * queries, `${hits} of ${queries} prompt tokens came from the cache`);
    await cluster.close();

    const uncached = await RunningCluster.launch(test, { scheduler: { prefixCache: false } });
    const cold = await Promise.all(
      requests.slice(0, NUM_COLD).map((request) => uncached.client.complete(request, options)),
    );
    for (const [index, { choices }] of cold.entries()) {
      assert.deepEqual(tokensOf(warm[index]!.choices), tokensOf(choices), `chat ${index}`);
    }
  });

  // The second comes while the first is answered, so that each has a replica of its own; the next turn of each finds it.
  it("of two replicas is found again where it is", async (test) => {
    const workers = [{ ranks: 2, threads: 1 }];
    const cluster = await RunningCluster.launch(test, { replicas: 2, workers });
    // A cluster serves as soon as one of its replicas is ready.
    await eventually("both replicas are ready", async () =>
      (await cluster.client.status()).replicas.every(({ state }) => state === "ready"),
    );
    const turns = [1, 2].map((seed) => Array.from({ length: 320 }, (_, position) => 1 + ((position * seed) % 1_900)));
    const request = (tokenIds: number[], maxTokens = 8): GenerateRequest => {
      return { tokenIds, sampling: { temperature: 0, maxTokens, ignoreEos: true } };
    };
    // Longer than a busy machine takes to ask the second.
    for await (const { type } of cluster.client.generate(request(turns[0]!, 3_000))) {
      if (type !== "delta") continue;
      await cluster.client.complete(request(turns[1]!));
      break;
    }
    await eventually("nothing runs", async () =>
      (await cluster.client.status()).replicas.every(({ scheduler }) => scheduler!.numRunning === 0),
    );
    for (const turn of turns) {
      const [choice] = (await cluster.client.complete(request([...turn, 5, 6, 7]))).choices;
      assert.equal(choice!.usage.cachedTokens, 320);
    }
    for (const replica of [0, 1]) {
      const hits = await cluster.metric(`moesaic_prefix_cache_hits_total{replica="${replica}",admission="first"}`);
      assert.equal(hits, 320, `replica ${replica}`);
    }
  });

  it("gives the golden tokens the first and the second time", async (test) => {
    const cluster = await RunningCluster.launch(test);
    for (const _ of ["cold", "warm"]) {
      checkGolden(await generateGolden(test, SOME_GOLDEN, "tokens", ["--endpoint", cluster.endpoint]), SOME_GOLDEN);
    }
    const hits = await cluster.metric('moesaic_prefix_cache_hits_total{replica="0",admission="first"}');
    const numPrompt = SOME_GOLDEN.reduce((sum, { prompt_tokens: tokens }) => sum + tokens.length, 0);
    assert.ok(hits > numPrompt / 2, `${hits} of 2 x ${numPrompt} prompt tokens came from the cache`);
  });
});

/** Chats that begin alike and end differently; a third is greedy, a third sampled, a third penalized for what it has in common. */
function chat(index: number): GenerateRequest {
  const shared = Array.from({ length: NUM_SHARED }, (_, position) => 1 + ((position * 7) % 1_900));
  const own = Array.from({ length: NUM_OWN }, (_, position) => 1 + ((index * 31 + position * 13) % 1_900));
  const penalties = { presencePenalty: 0.8, frequencyPenalty: 0.3, repetitionPenalty: 1.2 };
  const kind = [{ temperature: 0 }, { temperature: 1, topP: 0.9 }, { temperature: 0, ...penalties }][index % 3]!;
  const sampling = { ...kind, seed: index, maxTokens: 8, ignoreEos: true, logprobs: 2 };
  return { tokenIds: [...shared, ...own], sampling };
}

function tokensOf(choices: readonly CompletionChoice[]): object {
  return choices.map(({ tokenIds, logprobs, finishReason }) => ({ tokenIds, logprobs, finishReason }));
}
