import type { MoesaicClient } from "../client/client.js";
import { collectCompletion, type CompletionChoice } from "../client/completion.js";
import type { ChatInput, ChatMessage, GenerateRequest } from "../client/generate-request.js";
import { MoesaicError } from "../proto/errors.js";
import { AnswerScreen } from "./answer-screen.js";
import type { CommandContext } from "./context.js";
import { withPrefillBar } from "./prefill-bar.js";
import { streamedText } from "./streamed-text.js";

/** What all requests of a conversation have. */
export type ConversationSettings = Pick<GenerateRequest, "sampling" | "constraint">;

/** What was said so far, and how it goes on. An answer that failed or was ended is forgotten, with its question. */
export class Conversation {
  chat: ChatInput;
  settings: ConversationSettings;
  readonly #client: MoesaicClient;
  readonly #context: CommandContext;
  #messages: ChatMessage[] = [];

  /** @param chat its messages stand before everything that is said */
  constructor(client: MoesaicClient, chat: ChatInput, settings: ConversationSettings, context: CommandContext) {
    this.#client = client;
    this.chat = chat;
    this.settings = settings;
    this.#context = context;
  }

  /** Everything that the model is shown, the developer's message first. */
  get messages(): readonly ChatMessage[] {
    return [...this.chat.messages, ...this.#messages];
  }

  /** Says something and shows the answer as it comes. @throws MoesaicError */
  async say(content: string, signal: AbortSignal): Promise<void> {
    const question: ChatMessage = { role: "user", content };
    const request = { ...this.chat, messages: [...this.messages, question], ...this.settings };
    const screen = new AnswerScreen(this.#context);
    try {
      const { stderr } = this.#context;
      const generated = this.#client.generate({ ...request, prefillProgress: stderr.isTTY }, { signal });
      const events = streamedText(withPrefillBar(generated, stderr), (delta) => screen.show(delta));
      const answer = (await collectCompletion(events)).choices[0]!;
      await screen.end(answer);
      this.#messages.push(question, messageOf(answer));
    } finally {
      await screen.close();
    }
  }

  /** Asks the last question again, in place of its answer. @throws MoesaicError */
  async retry(signal: AbortSignal): Promise<void> {
    const index = this.#messages.findLastIndex(({ role }) => role === "user");
    if (index < 0) throw new MoesaicError("invalid_argument", "nothing was asked yet");
    const before = this.#messages;
    this.#messages = before.slice(0, index);
    try {
      await this.say(before[index]!.content, signal);
    } catch (caught) {
      this.#messages = before;
      throw caught;
    }
  }

  /** Begins anew; the developer's message and the settings stay. */
  forget(): void {
    this.#messages = [];
  }
}

function messageOf({ text, toolCalls }: CompletionChoice): ChatMessage {
  return { role: "assistant", content: text, ...(toolCalls.length === 0 ? {} : { toolCalls }) };
}
