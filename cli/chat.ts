import { createInterface } from "node:readline/promises";
import type { MoesaicClient } from "../client/client.js";
import { collectCompletion, type CompletionChoice } from "../client/completion.js";
import type { TextDelta } from "../client/generate-event.js";
import type { ChatInput, ChatMessage, GenerateRequest } from "../client/generate-request.js";
import { MoesaicError } from "../proto/errors.js";
import { type ArgumentsOf, defineCommand, type ExitCode } from "./command.js";
import { CONSTRAINT_OPTIONS, constraintOf } from "./constraint-options.js";
import { choiceJson } from "./completion-json.js";
import { throwIfInterrupted, type CommandContext } from "./context.js";
import { LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { withCluster } from "./local-cluster.js";
import { ENDPOINT_OPTION, JSON_OPTION, text } from "./options.js";
import { SAMPLING_OPTIONS, samplingOf } from "./sampling-options.js";
import { streamedText } from "./streamed-text.js";

export const chatCommand = defineCommand({
  usage: "chat",
  describe: "talk with the model; /exit leaves, Ctrl-C ends an answer",
  options: {
    ...ENDPOINT_OPTION,
    ...LAYOUT_OPTIONS,
    message: text("say this, print the answer and leave"),
    system: text("developer message before the conversation"),
    "reasoning-effort": {
      choices: ["low", "medium", "high"],
      default: "medium",
      requiresArg: true,
      describe: "of the model",
    },
    "current-date": text("date shown to the model, YYYY-MM-DD (default: today)"),
    "model-identity": text("who the model is told to be"),
    "knowledge-cutoff": text("as it is shown to the model, YYYY-MM"),
    ...SAMPLING_OPTIONS,
    ...CONSTRAINT_OPTIONS,
    ...JSON_OPTION,
  },
  examples: [
    ["chat --model DIR", "a conversation on a throw-away cluster"],
    ["chat --endpoint 127.0.0.1:50051 --message 'What is the capital of France?'", "one answer"],
  ],
  parse: (args) => ({
    target: targetOf(args, ["endpoint", "model"]),
    message: args.message,
    chat: {
      messages: args.system === undefined ? [] : [{ role: "developer", content: args.system }],
      reasoningEffort: args["reasoning-effort"],
      ...(args["current-date"] === undefined ? {} : { currentDate: args["current-date"] }),
      ...(args["model-identity"] === undefined ? {} : { modelIdentity: args["model-identity"] }),
      ...(args["knowledge-cutoff"] === undefined ? {} : { knowledgeCutoff: args["knowledge-cutoff"] }),
    } as ChatInput,
    settings: { sampling: samplingOf(args), ...constrained(args) },
  }),
  run: ({ target, message, chat, settings }, context) =>
    withCluster(target, context, (client) => {
      const conversation = new Conversation(client, chat, settings, context);
      return message === undefined ? converse(conversation, context) : sayOnce(conversation, message, context);
    }),
});

/** What all requests of a conversation have. */
type Settings = Pick<GenerateRequest, "sampling" | "constraint">;

function constrained(args: ArgumentsOf<typeof CONSTRAINT_OPTIONS>): Pick<Settings, "constraint"> {
  const constraint = constraintOf(args);
  return constraint === undefined ? {} : { constraint };
}

async function sayOnce(conversation: Conversation, message: string, context: CommandContext): Promise<ExitCode> {
  await conversation.say(message, context.signal);
  return 0;
}

async function converse(conversation: Conversation, { stdin, stderr, signal }: CommandContext): Promise<ExitCode> {
  const lines = createInterface({ input: stdin, output: stderr, terminal: stdin.isTTY });
  let answering = new AbortController();
  lines.on("SIGINT", () => answering.abort());
  signal.addEventListener("abort", () => lines.close());
  lines.setPrompt("> ");
  lines.prompt();
  for await (const line of lines) {
    if (line.trim() === "/exit") break;
    if (line.trim() !== "") {
      answering = new AbortController();
      await conversation.say(line, AbortSignal.any([signal, answering.signal])).catch((caught: unknown) => {
        if (signal.aborted) throw caught;
        const why = answering.signal.aborted ? "the answer was ended" : MoesaicError.from(caught).describe();
        stderr.write(`\nmoesaic: ${why}\n`);
      });
    }
    lines.prompt();
  }
  lines.close();
  throwIfInterrupted(signal);
  return 0;
}

/** What was said so far. An answer that failed or was ended is forgotten, with its question. */
class Conversation {
  readonly #client: MoesaicClient;
  readonly #chat: ChatInput;
  readonly #settings: Settings;
  readonly #context: CommandContext;
  readonly #messages: ChatMessage[];

  constructor(client: MoesaicClient, chat: ChatInput, settings: Settings, context: CommandContext) {
    this.#client = client;
    this.#chat = chat;
    this.#settings = settings;
    this.#context = context;
    this.#messages = [...chat.messages];
  }

  /** Says something and shows the answer as it comes. @throws MoesaicError */
  async say(content: string, signal: AbortSignal): Promise<void> {
    const question: ChatMessage = { role: "user", content };
    const request = { ...this.#chat, messages: [...this.#messages, question], ...this.#settings };
    const screen = new AnswerScreen(this.#context);
    const events = streamedText(this.#client.generate(request, { signal }), (delta) => screen.show(delta));
    const answer = (await collectCompletion(events)).choices[0]!;
    await screen.end(answer);
    this.#messages.push(question, messageOf(answer));
  }
}

function messageOf({ text, toolCalls }: CompletionChoice): ChatMessage {
  return { role: "assistant", content: text, ...(toolCalls.length === 0 ? {} : { toolCalls }) };
}

const DIM = "\u001b[2m";
const PLAIN = "\u001b[0m";

/** Shows an answer: reasoning dimmed under its own label, apart from the answer; with --json a line per part and a summary. */
class AnswerScreen {
  readonly #context: CommandContext;
  readonly #hasColour: boolean;
  #label = "";

  constructor(context: CommandContext) {
    this.#context = context;
    this.#hasColour = context.out.isTerminal && !context.json;
  }

  async show(delta: TextDelta): Promise<void> {
    const { out, json } = this.#context;
    if (json) return out.json({ event: delta.kind, text: delta.text });
    const label = labelOf(delta);
    if (label !== this.#label) {
      await out.write(`${this.#label === "" ? "" : "\n"}${this.#styled(`${label}:`)}\n`);
      this.#label = label;
    }
    await out.write(delta.kind === "reasoning" ? this.#styled(delta.text) : delta.text);
  }

  async end(answer: CompletionChoice): Promise<void> {
    const { out, json } = this.#context;
    const { usage, timings } = answer;
    const numTokens = usage.completionTokens;
    const tokensPerSecond = timings.decodeMs > 0 ? ((numTokens - 1) * 1_000) / timings.decodeMs : 0;
    const ttftMs = timings.timeToFirstTokenMs;
    if (json)
      return out.json({ event: "finish", ...choiceJson(answer), tokens_per_second: tokensPerSecond, ttft_ms: ttftMs });
    const speed = `${numTokens} tokens, ${tokensPerSecond.toFixed(1)} tok/s, TTFT ${ttftMs.toFixed(0)} ms`;
    await out.line(`\n${this.#styled(speed)}`);
  }

  #styled(text: string): string {
    return this.#hasColour ? `${DIM}${text}${PLAIN}` : text;
  }
}

function labelOf(delta: TextDelta): string {
  if (delta.kind === "reasoning") return "thinking";
  return delta.kind === "tool_call" ? `calls ${delta.toolName}` : "answer";
}
