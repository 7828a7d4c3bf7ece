import { join } from "node:path";
import { createContext, Script } from "node:vm";
import { Template } from "@huggingface/jinja";
import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import type { ChatMessage, PromptOptions, ToolDefinition } from "./chat-message.js";
import { readJsonFile, readTextFile } from "./json-file.js";

/** The chat template of a checkpoint, read but not yet compiled. */
export interface ChatTemplateAssets {
  /** The template by name; checkpoints with one template call it `default`. Empty when there is none. */
  templates: ReadonlyMap<string, string>;
  /** The file it came from, or the folder that has none. */
  place: string;
  /** Spellings that templates write at the beginning and the end of a conversation; empty when not declared. */
  bosToken: string;
  eosToken: string;
}

const TEMPLATE_BYTES_MAX = 1024 * 1024;
const CONFIG_BYTES_MAX = 16 * 1024 * 1024;
/** A render takes well under 10 ms; a template that loops must not stop the coordinator. */
const RENDER_MS_MAX = 2000;

/**
 * Reads chat_template.jinja, or chat_template in tokenizer_config.json where the file is absent.
 * @throws MoesaicError invalid_argument when a file is broken; a missing template is no error here
 */
export async function loadChatTemplate(modelDir: string): Promise<ChatTemplateAssets> {
  const configPath = join(modelDir, "tokenizer_config.json");
  const templatePath = join(modelDir, "chat_template.jinja");
  const config = await readJsonFile(configPath, CONFIG_BYTES_MAX, CONFIG);
  const file = await readTextFile(templatePath, TEMPLATE_BYTES_MAX);
  const tokens = { bosToken: spelling(config?.bos_token), eosToken: spelling(config?.eos_token) };
  if (file !== null) return { templates: new Map([["default", file]]), place: templatePath, ...tokens };
  const templates = namedTemplates(config?.chat_template);
  return { templates, place: templates.size > 0 ? configPath : modelDir, ...tokens };
}

/**
 * Renders a conversation through the checkpoint's own template, up to where the assistant's answer begins.
 * The result holds control tokens by their spellings, and so does any text a client wrote: unlike Harmony, a
 * template cannot tell them apart.
 * @throws MoesaicError failed_precondition (no template), invalid_argument (the template's own complaint)
 */
export function renderChatTemplate(
  assets: ChatTemplateAssets,
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  options: PromptOptions & { currentDate: string },
): string {
  const template = compiled(sourceFor(assets, tools.length > 0), assets.place);
  const input = templateInput(assets, messages, tools, options);
  try {
    return withinTime(() => template.render(input));
  } catch (cause) {
    const message = `the chat template refused the conversation: ${MoesaicError.from(cause).message}`;
    throw new MoesaicError("invalid_argument", message, { cause, place: assets.place });
  }
}

const TOKEN = z.union([z.string(), z.object({ content: z.string() })]).nullish();
const NAMED_TEMPLATES = z.array(z.object({ name: z.string(), template: z.string().max(TEMPLATE_BYTES_MAX) })).max(64);
const CONFIG = z.object({
  bos_token: TOKEN,
  eos_token: TOKEN,
  chat_template: z.union([z.string().max(TEMPLATE_BYTES_MAX), NAMED_TEMPLATES]).nullish(),
});

function spelling(token: z.infer<typeof TOKEN>): string {
  return typeof token === "string" ? token : (token?.content ?? "");
}

function namedTemplates(template: z.infer<typeof CONFIG>["chat_template"]): Map<string, string> {
  if (typeof template === "string") return new Map([["default", template]]);
  return new Map((template ?? []).map((named) => [named.name, named.template]));
}

function sourceFor(assets: ChatTemplateAssets, hasTools: boolean): string {
  const source = (hasTools ? assets.templates.get("tool_use") : undefined) ?? assets.templates.get("default");
  if (source !== undefined) return source;
  const message =
    "the checkpoint has no chat template: add chat_template.jinja to its folder, or send prompt text or token ids instead of messages";
  throw new MoesaicError("failed_precondition", message, { place: assets.place });
}

/** Compiling costs more than a render; a process serves one or two checkpoints, so old entries need not leave. */
const compiledBySource = new Map<string, Template>();

function compiled(source: string, place: string): Template {
  const known = compiledBySource.get(source);
  if (known !== undefined) return known;
  try {
    const template = new Template(source);
    compiledBySource.set(source, template);
    return template;
  } catch (cause) {
    const message = `the chat template does not parse: ${MoesaicError.from(cause).message}`;
    throw new MoesaicError("invalid_argument", message, { cause, place });
  }
}

function templateInput(
  assets: ChatTemplateAssets,
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  options: PromptOptions & { currentDate: string },
): Record<string, unknown> {
  const input: Record<string, unknown> = {
    messages: messages.map(templateMessage),
    add_generation_prompt: true,
    bos_token: assets.bosToken,
    eos_token: assets.eosToken,
    reasoning_effort: options.reasoningEffort,
    current_date: options.currentDate,
  };
  // Templates ask `is defined`, so what is absent must not be there at all.
  if (tools.length > 0) input.tools = tools.map((tool) => ({ type: "function", function: { ...tool } }));
  if (options.modelIdentity !== undefined) input.model_identity = options.modelIdentity;
  if (options.knowledgeCutoff !== undefined) input.knowledge_cutoff = options.knowledgeCutoff;
  if (options.responseFormat !== undefined) input.response_format = options.responseFormat;
  return input;
}

function templateMessage(message: ChatMessage): Record<string, unknown> {
  // Only Harmony knows developers; other templates raise on the role or drop the message.
  const role = message.role === "developer" ? "system" : message.role;
  const rendered: Record<string, unknown> = { role, content: message.content };
  if (message.name !== undefined) rendered.name = message.name;
  if (message.reasoning !== undefined) rendered.reasoning_content = message.reasoning;
  if (message.toolCallId !== undefined) rendered.tool_call_id = message.toolCallId;
  if (message.toolCalls !== undefined && message.toolCalls.length > 0) {
    rendered.tool_calls = message.toolCalls.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: call.name, arguments: parsedArguments(call.arguments) },
    }));
  }
  return rendered;
}

/** Most templates print arguments with tojson: a string would come out quoted a second time. */
function parsedArguments(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : text;
  } catch {
    return text;
  }
}

const slot: { work: () => string; result: string } = { work: () => "", result: "" };
const slotContext = createContext({ slot });
const slotScript = new Script("slot.result = slot.work()");

/** Runs `work` here and now; Node's script timeout is the one way to stop synchronous code that never returns. */
function withinTime(work: () => string): string {
  slot.work = work;
  try {
    slotScript.runInContext(slotContext, { timeout: RENDER_MS_MAX });
    return slot.result;
  } finally {
    slot.work = () => "";
    slot.result = "";
  }
}
