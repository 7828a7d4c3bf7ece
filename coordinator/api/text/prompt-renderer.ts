import type { ChatMessage, PromptOptions, ToolDefinition } from "./chat-message.js";
import { type ChatTemplateAssets, renderChatTemplate } from "./chat-template.js";
import { type HarmonyTokenIds, harmonyStopTokenIds, harmonyTokenIds, renderHarmony } from "./harmony.js";
import type { Tokenizer } from "./tokenizer.js";

/** How conversations become token ids for one checkpoint. */
export interface PromptRenderer {
  /** Says how completions must be read: harmony with a HarmonyParser, template as plain text. */
  kind: "harmony" | "template";
  /**
   * The prompt's token ids, up to where the assistant's part begins.
   * @throws MoesaicError invalid_argument (the conversation), failed_precondition (no chat template)
   */
  render(messages: readonly ChatMessage[], tools: readonly ToolDefinition[], options: PromptOptions): number[];
  /** Ids that end a generation; may be empty for a template checkpoint that declares none. */
  stopTokenIds: readonly number[];
}

/**
 * Harmony when the vocabulary has its control tokens, else the checkpoint's chat template.
 * @param today the date for prompts that name none, `YYYY-MM-DD`; UTC by default, so that all hosts agree on it
 */
export function promptRenderer(
  tokenizer: Tokenizer,
  assets: ChatTemplateAssets,
  today: () => string = utcDate,
): PromptRenderer {
  const harmony = harmonyTokenIds(tokenizer);
  return harmony === null ? templateRenderer(tokenizer, assets, today) : harmonyRenderer(tokenizer, harmony, today);
}

function harmonyRenderer(tokenizer: Tokenizer, harmony: HarmonyTokenIds, today: () => string): PromptRenderer {
  return {
    kind: "harmony",
    stopTokenIds: harmonyStopTokenIds(harmony),
    render: (messages, tools, options) => renderHarmony(tokenizer, messages, tools, dated(options, today)),
  };
}

function templateRenderer(tokenizer: Tokenizer, assets: ChatTemplateAssets, today: () => string): PromptRenderer {
  return {
    kind: "template",
    stopTokenIds: tokenizer.eosTokenIds,
    render: (messages, tools, options) =>
      tokenizer.encodeWithSpecials(renderChatTemplate(assets, messages, tools, dated(options, today))),
  };
}

function dated(options: PromptOptions, today: () => string): PromptOptions & { currentDate: string } {
  return { ...options, currentDate: options.currentDate || today() };
}

function utcDate(): string {
  return new Date().toISOString().slice(0, 10);
}
