import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Completion, CompletionChoice, MoesaicClient } from "../../client/index.js";
import { checkGolden, generateGolden, GOLDEN, SOME_GOLDEN } from "./golden-generations.js";
import { eventually, RunningCluster } from "./moesaic.js";

const DEPTHS = [0, 1, 8];

// The real engine over real processes: depth 0 is what the golden values were first compared with, and the specification of
// the others.
describe("the same tokens however far the ranks run ahead", () => {
  for (const depth of DEPTHS) {
    it(`depth ${depth}: the golden tokens of prompts alone and of all at once`, async (test) => {
      const cluster = await RunningCluster.launch(test, { scheduler: { runAhead: depth } });
      const flags = ["--endpoint", cluster.endpoint];
      const alone = await generateGolden(test, SOME_GOLDEN, "tokens", [...flags, "--max-concurrent", "1"]);
      checkGolden(alone, SOME_GOLDEN);
      checkGolden(await generateGolden(test, GOLDEN, "tokens", flags), GOLDEN);
    });
  }

  it("stop strings, lengths and clients that leave end at the same token at every depth", async (test) => {
    const seen = await Promise.all(
      DEPTHS.map(async (depth) => {
        const cluster = await RunningCluster.launch(test, { scheduler: { runAhead: depth } });
        const answers = await Promise.all(SOME_GOLDEN.flatMap((golden) => ask(cluster.client, golden.prompt_tokens)));
        await leave(cluster.client);
        await eventually("nothing is left behind", async () => (await numUsedBlocks(cluster)) === 0);
        return answers;
      }),
    );
    for (const [index, answers] of seen.entries()) assert.deepEqual(answers, seen[0], `depth ${DEPTHS[index]}`);
    const reasons = new Set(seen[0]!.map(({ stopString, finishReason }) => stopString ?? finishReason));
    assert.deepEqual([...reasons].sort(), [" ", "length", "stop"]);
  });
});

type Answer = Pick<CompletionChoice, "tokenIds" | "text" | "finishReason" | "stopString" | "usage">;

/** The same prompt to its end, to a stop string, and to a length; sampled too. */
function ask(client: MoesaicClient, tokenIds: number[]): Promise<Answer>[] {
  const samplings = [
    { temperature: 0 },
    { temperature: 0, stop: [" "] },
    { temperature: 0, maxTokens: 3 },
    { temperature: 1, seed: 5, maxTokens: 20 },
  ];
  return samplings.map(async (sampling) => answerOf(await client.complete({ tokenIds, sampling })));
}

function answerOf({ choices }: Completion): Answer {
  const { tokenIds, text, finishReason, stopString, usage } = choices[0]!;
  return { tokenIds, text, finishReason, stopString, usage };
}

/** Asks for more than it takes. */
async function leave(client: MoesaicClient): Promise<void> {
  const sampling = { temperature: 0, ignoreEos: true, maxTokens: 2_000 };
  let numTokens = 0;
  for await (const event of client.generate({ tokenIds: [1, 2, 3], sampling })) {
    if (event.type === "delta" && ++numTokens === 5) break;
  }
}

async function numUsedBlocks({ client }: RunningCluster): Promise<number> {
  const { replicas } = await client.status();
  return replicas[0]!.scheduler!.kvGroups.reduce((sum, { numUsedBlocks: used }) => sum + used, 0);
}
