import { createInterface, type Interface } from "node:readline";
import { MoesaicError } from "../proto/errors.js";
import { completions, isCommand, LEAVING, runCommand } from "./chat-commands.js";
import { ChatHistory } from "./chat-history.js";
import type { ExitCode } from "./command.js";
import { throwIfInterrupted, type CommandContext } from "./context.js";
import type { Conversation } from "./conversation.js";

const PROMPT = "> ";
/** In front of the further lines of a text. */
const CONTINUED = "… ";
const BLOCK = '"""';

/**
 * A conversation in the terminal, or with the lines of a file or pipe: question after question until the end of the input.
 * Prompts and what is told go to standard error, answers to standard output.
 * @param isHistoryKept whether the arrow keys know earlier chats, and later ones this
 */
export async function converse(
  conversation: Conversation,
  context: CommandContext,
  isHistoryKept: boolean,
): Promise<ExitCode> {
  const { stdin, stderr, env, signal } = context;
  const isTerminal = stdin.isTTY;
  const history = ChatHistory.open(env, isHistoryKept && isTerminal);
  const lines = createInterface({
    input: stdin,
    output: stderr,
    terminal: isTerminal,
    history: history.lines,
    historySize: 1_000,
    removeHistoryDuplicates: true,
    completer: completions,
  });
  const chat = new ChatTerminal(conversation, context, lines, history);
  signal.addEventListener("abort", () => lines.close());
  if (isTerminal) stderr.write("/help says what there is; Ctrl-D leaves\n");
  await chat.run();
  throwIfInterrupted(signal);
  return 0;
}

class ChatTerminal {
  readonly #conversation: Conversation;
  readonly #context: CommandContext;
  readonly #lines: Interface;
  readonly #history: ChatHistory;
  /** Of the answer that is on its way; null: none is. */
  #answering: AbortController | null = null;
  #wasInterrupted = false;
  /** Lines of a text that is not whole. */
  #gathered: string[] = [];
  #isInBlock = false;

  constructor(conversation: Conversation, context: CommandContext, lines: Interface, history: ChatHistory) {
    this.#conversation = conversation;
    this.#context = context;
    this.#lines = lines;
    this.#history = history;
    lines.on("SIGINT", () => this.#interrupted());
  }

  async run(): Promise<void> {
    this.#prompt();
    for await (const line of this.#lines) {
      this.#wasInterrupted = false;
      const whole = this.#gather(line);
      if (LEAVING.includes(whole?.trim() ?? "")) break;
      if (whole !== null && whole.trim() !== "") await this.#answer(whole);
      this.#prompt();
    }
    this.#lines.close();
  }

  /** @returns the text when it is whole */
  #gather(line: string): string | null {
    if (line !== "") this.#history.add(line);
    if (line.trim() === BLOCK) {
      this.#isInBlock = !this.#isInBlock;
      return this.#isInBlock ? null : this.#take();
    }
    const goesOn = this.#isInBlock || line.endsWith("\\");
    this.#gathered.push(goesOn && !this.#isInBlock ? line.slice(0, -1) : line);
    return goesOn ? null : this.#take();
  }

  #take(): string {
    return this.#gathered.splice(0).join("\n");
  }

  /** Whatever goes wrong is told, and the conversation goes on. */
  async #answer(text: string): Promise<void> {
    const { signal, stderr } = this.#context;
    this.#answering = new AbortController();
    const either = AbortSignal.any([signal, this.#answering.signal]);
    try {
      const said = isCommand(text) ? await runCommand(text, this.#conversation, either) : await this.#say(text, either);
      if (said !== "") stderr.write(`${said}\n`);
    } catch (caught) {
      if (signal.aborted) throw caught;
      const why = this.#answering.signal.aborted ? "the answer was ended" : MoesaicError.from(caught).describe();
      stderr.write(`\nmoesaic: ${why}\n`);
    } finally {
      this.#answering = null;
    }
  }

  async #say(text: string, signal: AbortSignal): Promise<string> {
    await this.#conversation.say(text, signal);
    return "";
  }

  /** Ctrl-C: ends the answer; else clears what was typed; else, twice, leaves. */
  #interrupted(): void {
    if (this.#answering !== null) return this.#answering.abort();
    const isEmpty = this.#lines.line === "" && this.#gathered.length === 0 && !this.#isInBlock;
    if (isEmpty && this.#wasInterrupted) return this.#lines.close();
    this.#wasInterrupted = isEmpty;
    this.#gathered = [];
    this.#isInBlock = false;
    const { stderr } = this.#context;
    // Behind what was typed; the line begins anew.
    this.#lines.write(null, { ctrl: true, name: "e" });
    this.#lines.write(null, { ctrl: true, name: "u" });
    stderr.write(isEmpty ? "\nCtrl-C again, or Ctrl-D, leaves\n" : "\n");
    this.#prompt();
  }

  #prompt(): void {
    this.#lines.setPrompt(this.#isInBlock || this.#gathered.length > 0 ? CONTINUED : PROMPT);
    this.#lines.prompt();
  }
}
