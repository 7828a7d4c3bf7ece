import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { DEMO_MODEL, IS_LONG } from "../paths.js";
import { jsonLines, moesaic, temporaryFolder } from "./moesaic.js";

/** A greedy generation of the demo model as transformers made it. */
export interface GoldenGeneration {
  id: number;
  messages: unknown[];
  tools: unknown[] | null;
  template_args: Record<string, unknown>;
  prompt_tokens: number[];
  generated_tokens: number[];
  parsed: { analysis: string | null; final: string | null; call: { name: string; arguments: string } | null };
}

export const GOLDEN = (
  JSON.parse(readFileSync(join(DEMO_MODEL, "golden_generations.json"), "utf8")) as { generations: GoldenGeneration[] }
).generations;

/** All of them with the long tests, or eight spread over the families. */
export const SOME_GOLDEN = IS_LONG ? GOLDEN : GOLDEN.filter((_, index) => index % 9 === 0);

/** The result line of `moesaic generate --json`. */
export interface ResultLine {
  id: number;
  prompt_token_ids: number[];
  token_ids: number[];
  text: string;
  reasoning?: string;
  tool_calls?: { id: string; name: string; arguments: string }[];
  finish_reason: string;
  usage: Record<string, number>;
  error?: { code: string; message: string; place: string | null };
}

/**
 * Runs `moesaic generate` on all of the generations in one call.
 * @param flags the model and its layout, or the endpoint of a running cluster
 */
export async function generateGolden(
  test: TestContext,
  generations: readonly GoldenGeneration[],
  input: "messages" | "tokens",
  flags: readonly string[],
): Promise<ResultLine[]> {
  const file = join(temporaryFolder(test), "requests.jsonl");
  writeFileSync(file, requestLines(generations, input));
  const timeoutMs = IS_LONG ? 1_200_000 : 120_000;
  const result = await moesaic(["generate", ...flags, "--input", file, "--json"], { timeoutMs });
  assert.equal(result.code, 0, result.stderr);
  return jsonLines<ResultLine>(result);
}

/** Every token of every generation, in the order of the input. */
export function checkGolden(results: readonly ResultLine[], generations: readonly GoldenGeneration[]): void {
  assert.deepEqual(
    results.map(({ id }) => id),
    generations.map(({ id }) => id),
    "results come in input order",
  );
  for (const [index, { id, generated_tokens: golden }] of generations.entries()) {
    assert.deepEqual(results[index]!.token_ids, golden, `tokens of generation ${id}`);
  }
}

/** The generations as input of `moesaic generate`: conversations, or their token ids. */
function requestLines(generations: readonly GoldenGeneration[], input: "messages" | "tokens"): string {
  return generations
    .map(({ id, messages, tools, template_args, prompt_tokens, generated_tokens }) => {
      const head = { id, temperature: 0, max_tokens: generated_tokens.length + 8 };
      return JSON.stringify(
        input === "tokens" ? { ...head, tokens: prompt_tokens } : { ...head, messages, tools, template_args },
      );
    })
    .join("\n");
}
