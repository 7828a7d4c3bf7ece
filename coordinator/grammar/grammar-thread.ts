/** The grammar thread: compiling a constraint and going over a vocabulary take milliseconds that no event loop has. */
import { parentPort, workerData } from "node:worker_threads";
import { assert, MoesaicError } from "../../proto/errors.js";
import { GrammarDesk } from "./grammar-desk.js";
import type { Answer, Question, Release } from "./grammar-messages.js";
import type { VocabularyTable } from "./vocabulary.js";

assert(parentPort !== null, "runs as a thread");
const port = parentPort;
const desk = new GrammarDesk(workerData as VocabularyTable);

port.on("message", (message: Question | Release) => {
  if (message.kind === "release") desk.release(message.grammarId);
  else port.postMessage(answerTo(message));
});

function answerTo(question: Question): Answer {
  try {
    return { id: question.id, answer: desk.answer(question) };
  } catch (caught) {
    const { code, message, place } = MoesaicError.from(caught);
    return { id: question.id, error: { code, message, place } };
  }
}
