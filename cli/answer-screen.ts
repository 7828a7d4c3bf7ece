import type { CompletionChoice } from "../client/completion.js";
import type { TextDelta } from "../client/generate-event.js";
import { choiceJson } from "./completion-json.js";
import type { CommandContext } from "./context.js";
import { MarkdownStream } from "./markdown-stream.js";
import { hasColour, terminalText } from "./terminal-text.js";

const DIM = "\u001b[2m";
const PLAIN = "\u001b[0m";

/**
 * Shows an answer as it comes: reasoning dimmed under its own label, apart from the answer, which is markdown where a terminal
 * shows it; with --json a line per part and a summary.
 */
export class AnswerScreen {
  readonly #context: CommandContext;
  readonly #hasColour: boolean;
  readonly #markdown: MarkdownStream | null;
  #label = "";

  constructor(context: CommandContext) {
    this.#context = context;
    this.#hasColour = hasColour(context);
    this.#markdown = this.#hasColour ? new MarkdownStream() : null;
  }

  async show(delta: TextDelta): Promise<void> {
    const { out, json } = this.#context;
    if (json) return out.json({ event: delta.kind, text: delta.text });
    const label = labelOf(delta);
    if (label !== this.#label) {
      await out.write(`${this.#label === "" ? "" : "\n"}${this.#dimmed(`${label}:`)}\n`);
      this.#label = label;
    }
    const text = out.isTerminal ? terminalText(delta.text) : delta.text;
    if (delta.kind === "reasoning") await out.write(this.#dimmed(text));
    else await out.write(delta.kind === "content" && this.#markdown !== null ? this.#markdown.write(text) : text);
  }

  async end(answer: CompletionChoice): Promise<void> {
    const { out, json } = this.#context;
    const { usage, timings } = answer;
    const numTokens = usage.completionTokens;
    const tokensPerSecond = timings.decodeMs > 0 ? ((numTokens - 1) * 1_000) / timings.decodeMs : 0;
    const ttftMs = timings.timeToFirstTokenMs;
    if (json)
      return out.json({ event: "finish", ...choiceJson(answer), tokens_per_second: tokensPerSecond, ttft_ms: ttftMs });
    await this.close();
    const speed = `${numTokens} tokens, ${tokensPerSecond.toFixed(1)} tok/s, TTFT ${ttftMs.toFixed(0)} ms`;
    await out.line(`\n${this.#dimmed(speed)}`);
  }

  /** Shows what was held back, and leaves no style on: an answer may end anywhere. */
  async close(): Promise<void> {
    if (this.#markdown !== null) await this.#context.out.write(this.#markdown.end());
  }

  #dimmed(text: string): string {
    return this.#hasColour ? `${DIM}${text}${PLAIN}` : text;
  }
}

function labelOf(delta: TextDelta): string {
  if (delta.kind === "reasoning") return "thinking";
  return delta.kind === "tool_call" ? `calls ${delta.toolName}` : "answer";
}
