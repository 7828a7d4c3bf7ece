import { MoesaicError } from "../../../proto/errors.js";
import type { ChatMessage, PromptOptions, ToolDefinition } from "./chat-message.js";
import { templateJson } from "./template-json.js";
import type { Tokenizer } from "./tokenizer.js";
import { toolsSection } from "./typescript-schema.js";

/** The control tokens of the Harmony format. */
export interface HarmonyTokenIds {
  start: number;
  channel: number;
  message: number;
  end: number;
  /** The other four are missing from some small vocabularies. */
  constrain: number | undefined;
  call: number | undefined;
  return: number | undefined;
  endOfText: number | undefined;
}

/** @returns null when the vocabulary has not the four tokens without which there is no Harmony message */
export function harmonyTokenIds(tokenizer: Tokenizer): HarmonyTokenIds | null {
  const start = tokenizer.specialId("<|start|>");
  const channel = tokenizer.specialId("<|channel|>");
  const message = tokenizer.specialId("<|message|>");
  const end = tokenizer.specialId("<|end|>");
  if (start === undefined || channel === undefined || message === undefined || end === undefined) return null;
  return {
    start,
    channel,
    message,
    end,
    constrain: tokenizer.specialId("<|constrain|>"),
    call: tokenizer.specialId("<|call|>"),
    return: tokenizer.specialId("<|return|>"),
    endOfText: tokenizer.specialId("<|endoftext|>"),
  };
}

/** Ids after which the model must not go on. `<|end|>` is none of them: the answer follows the reasoning. */
export function harmonyStopTokenIds(harmony: HarmonyTokenIds): number[] {
  return [harmony.return, harmony.call, harmony.endOfText].filter((tokenId) => tokenId !== undefined);
}

/**
 * Renders a conversation for sampling: it ends with `<|start|>assistant`, so the model goes on inside a header.
 * Structure is put in as token ids, all text is encoded as ordinary text, so a client cannot inject structure.
 * The system message holds identity, date and effort; messages of the roles system and developer become the one
 * developer message. Reasoning from before the last final answer is left out, that of an open tool loop stays.
 * @throws MoesaicError invalid_argument: a bad function name, a tool message that answers no call; place = messages[i]
 */
export function renderHarmony(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  options: PromptOptions & { currentDate: string },
): number[] {
  const harmony = harmonyTokenIds(tokenizer);
  if (harmony === null) throw new MoesaicError("failed_precondition", "the vocabulary has no Harmony control tokens");
  for (const [index, tool] of tools.entries()) refuseBadName(tool.name, `tools[${index}].name`);

  const out = new HarmonyWriter(tokenizer, harmony);
  out.message("system", systemText(tools.length > 0, options));
  const instructions = developerText(messages, tools, options);
  if (instructions !== "") out.message("developer", instructions);
  renderTurns(out, messages);
  out.start("assistant");
  return out.finish();
}

/** Joins text between control tokens before it encodes it, since tokens merge across the pieces we write. */
class HarmonyWriter {
  readonly #tokenizer: Tokenizer;
  readonly #harmony: HarmonyTokenIds;
  readonly #tokenIds: number[] = [];
  #text = "";

  constructor(tokenizer: Tokenizer, harmony: HarmonyTokenIds) {
    this.#tokenizer = tokenizer;
    this.#harmony = harmony;
  }

  start(author: string): void {
    this.#control(this.#harmony.start);
    this.#text += author;
  }

  message(author: string, content: string, channel?: string): void {
    this.start(author);
    if (channel !== undefined) this.#channel(channel);
    this.#control(this.#harmony.message);
    this.#text += content;
    this.#control(this.#harmony.end);
  }

  /** A call in the order the model itself writes it: channel, recipient, content type. */
  call(functionName: string, callArguments: string): void {
    this.start("assistant");
    this.#channel(`commentary to=functions.${functionName} `);
    if (this.#harmony.constrain !== undefined) this.#control(this.#harmony.constrain);
    this.#text += "json";
    this.#control(this.#harmony.message);
    this.#text += callArguments;
    this.#control(this.#harmony.call ?? this.#harmony.end);
  }

  finish(): number[] {
    this.#encodeText();
    return this.#tokenIds;
  }

  #channel(text: string): void {
    this.#control(this.#harmony.channel);
    this.#text += text;
  }

  #control(tokenId: number): void {
    this.#encodeText();
    this.#tokenIds.push(tokenId);
  }

  #encodeText(): void {
    for (const tokenId of this.#tokenizer.encodeOrdinary(this.#text)) this.#tokenIds.push(tokenId);
    this.#text = "";
  }
}

function systemText(hasTools: boolean, options: PromptOptions & { currentDate: string }): string {
  // An empty identity or cutoff counts as absent, as it does in the checkpoints' template.
  const identity = options.modelIdentity || "You are ChatGPT, a large language model trained by OpenAI.";
  const cutoff = options.knowledgeCutoff || "2024-06";
  const channels =
    "# Valid channels: analysis, commentary, final. Channel must be included for every message." +
    (hasTools ? "\nCalls to these tools must go to the commentary channel: 'functions'." : "");
  return (
    `${identity}\nKnowledge cutoff: ${cutoff}\nCurrent date: ${options.currentDate}\n\n` +
    `Reasoning: ${options.reasoningEffort}\n\n${channels}`
  );
}

function developerText(
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  options: PromptOptions,
): string {
  const sections: string[] = [];
  const instructions = instructionsOf(messages);
  if (instructions !== "") sections.push(`# Instructions\n\n${instructions}`);
  if (tools.length > 0) sections.push(toolsSection(tools));
  if (options.responseFormat !== undefined) {
    const { name, schema } = options.responseFormat;
    sections.push(`# Response Formats\n\n## ${name}\n\n${templateJson(schema)}`);
  }
  return sections.join("\n\n");
}

function instructionsOf(messages: readonly ChatMessage[]): string {
  let text = "";
  for (const message of messages) {
    if (message.role !== "system" && message.role !== "developer") continue;
    text += (text === "" ? "" : "\n\n") + message.content;
  }
  return text;
}

function renderTurns(out: HarmonyWriter, messages: readonly ChatMessage[]): void {
  const openFrom = messages.findLastIndex((message) => message.role === "assistant" && !callsTools(message)) + 1;
  const names = callNames(messages);
  let lastCalled: string | undefined;
  for (const [index, message] of messages.entries()) {
    if (message.role === "user") out.message("user", message.content);
    if (message.role === "assistant") {
      renderAssistant(out, message, index, index >= openFrom);
      lastCalled = message.toolCalls?.at(-1)?.name ?? lastCalled;
    }
    if (message.role === "tool") {
      const name = message.name || names.get(message.toolCallId ?? "") || lastCalled;
      out.message(`functions.${resultName(name, index)} to=assistant`, message.content, "commentary");
    }
  }
}

function renderAssistant(out: HarmonyWriter, message: ChatMessage, index: number, isOpenTurn: boolean): void {
  if (message.reasoning && isOpenTurn) out.message("assistant", message.reasoning, "analysis");
  if (!callsTools(message)) {
    out.message("assistant", message.content, "final");
    return;
  }
  if (message.content !== "") out.message("assistant", message.content, "commentary");
  for (const [callIndex, call] of (message.toolCalls ?? []).entries()) {
    refuseSplitName(call.name, `messages[${index}].toolCalls[${callIndex}].name`);
    out.call(call.name, call.arguments);
  }
}

function callsTools(message: ChatMessage): boolean {
  return message.toolCalls !== undefined && message.toolCalls.length > 0;
}

function callNames(messages: readonly ChatMessage[]): Map<string, string> {
  const calls = messages.flatMap((message) => message.toolCalls ?? []);
  return new Map(calls.map((call) => [call.id, call.name]));
}

function resultName(name: string | undefined, index: number): string {
  if (name === undefined) {
    const message = "a tool message answers no call: give it a name or the toolCallId of an earlier call";
    throw new MoesaicError("invalid_argument", message, { place: `messages[${index}]` });
  }
  refuseSplitName(name, `messages[${index}].name`);
  return name;
}

/**
 * A header is split at white space: a name with a blank in it could pose as a recipient. Nothing else is asked of a name
 * that was called: the model may have made it up, and its answer must be welcome in the next turn.
 */
function refuseSplitName(name: string, place: string): void {
  if (/^\S+$/u.test(name)) return;
  throw new MoesaicError("invalid_argument", "name of a called function: expected no white space", { place });
}

function refuseBadName(name: string, place: string): void {
  if (/^[\w.-]{1,64}$/.test(name)) return;
  const message = "function name: expected 1 to 64 letters, digits, underscores, dots or hyphens";
  throw new MoesaicError("invalid_argument", message, { place });
}
