import { Worker } from "node:worker_threads";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { Answer, Question, Release, StateAnswer } from "./grammar-messages.js";
import type { VocabularyTable } from "./vocabulary.js";

/** Longest wait for one answer. What a question may cost is bounded well below: this is for a thread that is lost. */
const ANSWER_MS_MAX = 20_000;
const THREAD_MEGABYTES_MAX = 1024;

/** A question without its id. */
export type Asked = Question extends infer Each ? (Each extends Question ? Omit<Each, "id"> : never) : never;
export type AnswerListener = (result: StateAnswer | MoesaicError) => void;

/** Where questions about grammars are answered: a thread in production. Answers come later, never at once. */
export interface GrammarLink {
  ask(question: Asked, listener: AnswerListener): void;
  release(grammarId: number): void;
  /** Set when it is gone, with all its grammars. */
  readonly loss: MoesaicError | null;
}

/** One grammar thread and the questions that it has not answered yet. */
export class GrammarThread implements GrammarLink {
  loss: MoesaicError | null = null;
  readonly #thread: Worker;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, { listener: AnswerListener; cancelTimer: () => void }>();
  #lastId = 0;

  constructor(table: VocabularyTable, clock: Clock) {
    this.#clock = clock;
    this.#thread = new Worker(new URL("./grammar-thread.js", import.meta.url), {
      name: "grammar",
      workerData: table,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_MEGABYTES_MAX },
    });
    this.#thread.on("message", (answer: Answer) => this.#hear(answer));
    this.#thread.on("error", (error) => this.#lose(`the grammar thread failed: ${error.message}`));
    this.#thread.on("exit", (code) => this.#lose(`the grammar thread ended with code ${code}`));
    // It ends with the process.
    this.#thread.unref();
  }

  ask(question: Asked, listener: AnswerListener): void {
    if (this.loss !== null) {
      const { loss } = this;
      return queueMicrotask(() => listener(loss));
    }
    const id = ++this.#lastId;
    const cancelTimer = this.#clock.setTimer(ANSWER_MS_MAX, () => {
      this.#lose(`the grammar thread did not answer within ${ANSWER_MS_MAX} ms`);
    });
    this.#waiting.set(id, { listener, cancelTimer });
    // While somebody waits for an answer, the process has something to do.
    this.#thread.ref();
    this.#thread.postMessage({ ...question, id });
  }

  release(grammarId: number): void {
    if (this.loss === null) this.#thread.postMessage({ kind: "release", grammarId } satisfies Release);
  }

  #hear(message: Answer): void {
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined) return;
    this.#waiting.delete(message.id);
    if (this.#waiting.size === 0) this.#thread.unref();
    waiting.cancelTimer();
    if ("answer" in message) return waiting.listener(message.answer);
    const { code, message: text, place } = message.error;
    waiting.listener(new MoesaicError(code, text, place === undefined ? {} : { place }));
  }

  #lose(text: string): void {
    if (this.loss !== null) return;
    const loss = new MoesaicError("internal", text);
    this.loss = loss;
    void this.#thread.terminate();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { listener, cancelTimer } of waiting) {
      cancelTimer();
      listener(loss);
    }
  }
}
