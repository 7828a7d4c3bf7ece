import type { ChatInput } from "../client/generate-request.js";
import { converse } from "./chat-terminal.js";
import { type ArgumentsOf, defineCommand, type ExitCode } from "./command.js";
import { CONSTRAINT_OPTIONS, constraintOf } from "./constraint-options.js";
import type { CommandContext } from "./context.js";
import { Conversation, type ConversationSettings } from "./conversation.js";
import { LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { withCluster } from "./local-cluster.js";
import { ENDPOINT_OPTION, JSON_OPTION, text } from "./options.js";
import { SAMPLING_OPTIONS, samplingOf } from "./sampling-options.js";

export const chatCommand = defineCommand({
  usage: "chat",
  describe: "talk with the model; /help in it says what there is, Ctrl-C ends an answer, Ctrl-D leaves",
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
    history: {
      type: "boolean",
      default: true,
      describe:
        "the arrow keys know what was typed in earlier chats; --no-history: they do not, and later ones do not know this one",
    },
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
    isHistoryKept: args.history,
    chat: {
      messages: args.system === undefined ? [] : [{ role: "developer", content: args.system }],
      reasoningEffort: args["reasoning-effort"],
      ...(args["current-date"] === undefined ? {} : { currentDate: args["current-date"] }),
      ...(args["model-identity"] === undefined ? {} : { modelIdentity: args["model-identity"] }),
      ...(args["knowledge-cutoff"] === undefined ? {} : { knowledgeCutoff: args["knowledge-cutoff"] }),
    } as ChatInput,
    settings: { sampling: samplingOf(args), ...constrained(args) },
  }),
  run: ({ target, message, chat, settings, isHistoryKept }, context) =>
    withCluster(target, context, (client) => {
      const conversation = new Conversation(client, chat, settings, context);
      return message === undefined
        ? converse(conversation, context, isHistoryKept)
        : sayOnce(conversation, message, context);
    }),
});

function constrained(args: ArgumentsOf<typeof CONSTRAINT_OPTIONS>): Pick<ConversationSettings, "constraint"> {
  const constraint = constraintOf(args);
  return constraint === undefined ? {} : { constraint };
}

async function sayOnce(conversation: Conversation, message: string, context: CommandContext): Promise<ExitCode> {
  await conversation.say(message, context.signal);
  return 0;
}
