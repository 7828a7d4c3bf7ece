import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DEMO_MODEL } from "../paths.js";

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

/** The generations as input of `moesaic generate`: conversations, or their token ids. */
export function requestLines(generations: readonly GoldenGeneration[], input: "messages" | "tokens"): string {
  return generations
    .map(({ id, messages, tools, template_args, prompt_tokens, generated_tokens }) => {
      const head = { id, temperature: 0, max_tokens: generated_tokens.length + 8 };
      return JSON.stringify(
        input === "tokens" ? { ...head, tokens: prompt_tokens } : { ...head, messages, tools, template_args },
      );
    })
    .join("\n");
}
