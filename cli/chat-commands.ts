import { writeFileSync } from "node:fs";
import type { SamplingParams } from "../client/generate-request.js";
import { MoesaicError } from "../proto/errors.js";
import type { Conversation } from "./conversation.js";

/** What a line that begins with a slash does. */
interface ChatCommand {
  usage: string;
  describe: string;
  /** @returns what to tell   @throws MoesaicError invalid_argument */
  run(conversation: Conversation, rest: string, signal: AbortSignal): string | Promise<string>;
}

const EFFORTS = ["low", "medium", "high"] as const;

/** How a setting's text becomes its value. @throws MoesaicError invalid_argument */
const NUMBERS = {
  temperature: (text: string) => decimal(text, 0, 2),
  "top-p": (text: string) => decimal(text, 0, 1),
  "max-tokens": (text: string) => whole(text, 1),
  seed: (text: string) => whole(text, 0),
} as const;
const FIELDS = { temperature: "temperature", "top-p": "topP", "max-tokens": "maxTokens", seed: "seed" } as const;
const SETTINGS = ["effort", ...Object.keys(NUMBERS)];

export const LEAVING = ["/exit", "/quit"];

const COMMANDS: Readonly<Record<string, ChatCommand>> = {
  "/help": { usage: "/help", describe: "what there is", run: () => help() },
  "/set": {
    usage: `/set ${SETTINGS.join("|")} VALUE`,
    describe: "changes how answers are made from now on; without a value: as the server has it",
    run: (conversation, rest) => set(conversation, rest),
  },
  "/show": {
    usage: "/show",
    describe: "the settings, and how much was said",
    run: (conversation) => shown(conversation),
  },
  "/system": {
    usage: "/system TEXT",
    describe: "the developer's message, before everything that was said; none without a text",
    run: (conversation, rest) => {
      conversation.chat = { ...conversation.chat, messages: rest === "" ? [] : [{ role: "developer", content: rest }] };
      return rest === "" ? "there is no developer's message now" : "the developer's message is another one now";
    },
  },
  "/new": {
    usage: "/new",
    describe: "forgets what was said",
    run: (conversation) => {
      conversation.forget();
      return "nothing was said now";
    },
  },
  "/retry": {
    usage: "/retry",
    describe: "asks the last question again",
    run: async (conversation, _, signal) => {
      await conversation.retry(signal);
      return "";
    },
  },
  "/save": {
    usage: "/save FILE",
    describe: "writes the conversation as JSON",
    run: (conversation, rest) => save(conversation, rest),
  },
  "/exit": { usage: "/exit", describe: "leaves, as Ctrl-D does", run: () => "" },
};

/** Whether a line is a command: a question may begin with a slash too. */
export function isCommand(line: string): boolean {
  return /^\/[a-z]+( |$)/.test(line);
}

/** @returns what to tell   @throws MoesaicError invalid_argument for one that there is not; what it fails with */
export async function runCommand(line: string, conversation: Conversation, signal: AbortSignal): Promise<string> {
  const [name = ""] = line.split(" ", 1);
  const command = COMMANDS[name];
  if (command === undefined) throw wrong(`there is no ${name}; /help says what there is`);
  return command.run(conversation, line.slice(name.length).trim(), signal);
}

/** For the tab key: what a line may go on to. */
export function completions(line: string): [string[], string] {
  const words = line.split(" ");
  const last = words.at(-1)!;
  const among = (all: readonly string[]): [string[], string] => [all.filter((one) => one.startsWith(last)), last];
  if (words.length === 1) return line.startsWith("/") ? among(Object.keys(COMMANDS)) : [[], last];
  if (words[0] === "/set" && words.length === 2) return among(SETTINGS);
  if (words[0] === "/set" && words[1] === "effort" && words.length === 3) return among(EFFORTS);
  return [[], last];
}

function help(): string {
  const lines = Object.values(COMMANDS).map(({ usage, describe }) => `  ${usage.padEnd(48)} ${describe}`);
  const keys = [
    '  """ alone in a line begins and ends a text of several lines; a line that ends with \\ goes on in the next',
    "  Ctrl-C ends an answer, or clears the line; Ctrl-C in an empty line, twice, leaves",
  ];
  return [...lines, ...keys].join("\n");
}

function set(conversation: Conversation, rest: string): string {
  const [name = "", value = ""] = rest.split(/\s+/, 2);
  if (!SETTINGS.includes(name)) throw wrong(`expected /set ${SETTINGS.join("|")} VALUE, got "${rest}"`);
  if (name === "effort") setEffort(conversation, value);
  else setNumber(conversation, name as keyof typeof NUMBERS, value);
  return `${name}: ${value === "" ? "as the server has it" : value}`;
}

function setEffort(conversation: Conversation, value: string): void {
  const effort = EFFORTS.find((each) => each === value);
  if (effort === undefined && value !== "") throw wrong(`expected low, medium or high, got "${value}"`);
  const { reasoningEffort: _, ...chat } = conversation.chat;
  conversation.chat = { ...chat, ...(effort === undefined ? {} : { reasoningEffort: effort }) };
}

function setNumber(conversation: Conversation, name: keyof typeof NUMBERS, value: string): void {
  const sampling: SamplingParams = { ...conversation.settings.sampling };
  if (value === "") delete sampling[FIELDS[name]];
  else sampling[FIELDS[name]] = NUMBERS[name](value);
  conversation.settings = { ...conversation.settings, sampling };
}

function shown({ chat, settings, messages }: Conversation): string {
  const sampling = Object.entries(FIELDS).map(
    ([name, field]) => `${name} ${settings.sampling?.[field] ?? "as the server has it"}`,
  );
  const numAnswers = messages.filter(({ role }) => role === "assistant").length;
  return [
    `  effort ${chat.reasoningEffort ?? "medium"}, ${sampling.join(", ")}`,
    `  ${numAnswers} answers so far`,
  ].join("\n");
}

function save({ messages }: Conversation, file: string): string {
  if (file === "") throw wrong("expected /save FILE");
  try {
    writeFileSync(file, `${JSON.stringify({ messages }, null, 2)}\n`, { flag: "wx" });
  } catch (cause) {
    throw new MoesaicError("failed_precondition", `${(cause as Error).message}; name another file`, { cause });
  }
  return `${messages.length} messages are in ${file}`;
}

function decimal(text: string, min: number, max: number): number {
  const value = Number(text);
  if (value >= min && value <= max) return value;
  throw wrong(`expected a number from ${min} to ${max}, got "${text}"`);
}

function whole(text: string, min: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw wrong(`expected a whole number of ${min} or more, got "${text}"`);
}

function wrong(text: string): MoesaicError {
  return new MoesaicError("invalid_argument", text);
}
