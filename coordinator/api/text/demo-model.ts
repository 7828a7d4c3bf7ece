import { existsSync, rmSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "../../../proto/errors.js";
import type { ChatMessage, PromptOptions, ToolDefinition } from "./chat-message.js";
import { type Tokenizer, loadTokenizer } from "./tokenizer.js";

/** The demo checkpoint as the tests of this folder use it; its goldens were made by the reference implementation. */
export const DEMO_DIR = join(repositoryRoot(), "models", "moesaic-demo");

/** One conversation and what the reference made of it. */
export interface Golden {
  messages: ChatMessage[];
  tools: ToolDefinition[];
  options: PromptOptions;
  promptTokenIds: number[];
  promptText: string;
  generatedTokenIds: number[];
  generatedText: string;
  parsed: GoldenParsed;
}

export interface GoldenParsed {
  analysis: string | null;
  preamble: string | null;
  final: string | null;
  call: { name: string; arguments: string } | null;
  stop: string;
}

export async function loadDemoTokenizer(): Promise<Tokenizer> {
  const tokenizer = await loadTokenizer(DEMO_DIR);
  assert(tokenizer !== null, "the demo checkpoint has a tokenizer");
  return tokenizer;
}

export async function loadGoldens(): Promise<Golden[]> {
  const file = JSON.parse(await readFile(join(DEMO_DIR, "golden_generations.json"), "utf8")) as {
    generations: GoldenJson[];
  };
  return file.generations.map(goldenOf);
}

/** A new folder with these files, gone with the process; contents that are not text are written as JSON. */
export async function checkpointDir(files: Record<string, unknown>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "moesaic-text-"));
  if (madeDirs.length === 0) process.once("exit", removeMadeDirs);
  madeDirs.push(dir);
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(dir, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return dir;
}

const madeDirs: string[] = [];

function removeMadeDirs(): void {
  for (const dir of madeDirs) rmSync(dir, { recursive: true, force: true });
}

interface GoldenJson {
  messages: MessageJson[];
  tools: { function: ToolDefinition }[] | null;
  template_args: {
    model_identity: string;
    knowledge_cutoff: string;
    current_date: string;
    reasoning_effort: "low" | "medium" | "high";
    response_format?: { name: string; schema: Record<string, unknown> };
  };
  prompt_tokens: number[];
  prompt_text: string;
  generated_tokens: number[];
  generated_text: string;
  parsed: GoldenParsed;
}

interface MessageJson {
  role: ChatMessage["role"];
  content: string | null;
  thinking?: string;
  tool_calls?: { id: string; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
}

function goldenOf(json: GoldenJson): Golden {
  const args = json.template_args;
  const options: PromptOptions = {
    reasoningEffort: args.reasoning_effort,
    modelIdentity: args.model_identity,
    knowledgeCutoff: args.knowledge_cutoff,
    currentDate: args.current_date,
  };
  if (args.response_format !== undefined) options.responseFormat = args.response_format;
  return {
    messages: json.messages.map(messageOf),
    tools: (json.tools ?? []).map((tool) => tool.function),
    options,
    promptTokenIds: json.prompt_tokens,
    promptText: json.prompt_text,
    generatedTokenIds: json.generated_tokens,
    generatedText: json.generated_text,
    parsed: json.parsed,
  };
}

function messageOf(json: MessageJson): ChatMessage {
  const message: ChatMessage = { role: json.role, content: json.content ?? "" };
  if (json.thinking !== undefined) message.reasoning = json.thinking;
  if (json.tool_call_id !== undefined) message.toolCallId = json.tool_call_id;
  if (json.tool_calls !== undefined) {
    message.toolCalls = json.tool_calls.map((call) => ({ id: call.id, ...call.function }));
  }
  return message;
}

function repositoryRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, "package.json"))) {
    assert(dir !== dirname(dir), "the tests run inside the repository");
    dir = dirname(dir);
  }
  return dir;
}
