import assert from "node:assert/strict";
import { MoesaicClient, MoesaicError, type GenerateEvent } from "../../client/index.js";
import { GOLDEN } from "../e2e/golden-generations.js";

/** Longest time of one answer, recoveries and a busy machine included, milliseconds. */
const ANSWER_MS = 120_000;

/** How long who was refused waits, milliseconds. */
const REFUSED_MS = 50;

/** A question that comes while ranks are away is not begun: whoever asks hears why, and asks again. */
function isRefused(caught: unknown): boolean {
  return caught instanceof MoesaicError && caught.code === "unavailable" && caught.message.startsWith("not ready:");
}

/** Clients who ask one question after the other, whose answers are known to the token; a mistake is kept for `stop`. */
export class QuestionLoad {
  readonly #client: MoesaicClient;
  readonly #lanes: Promise<void>[];
  #isStopping = false;
  #numAnswered = 0;
  #numTokens = 0;
  #error: unknown = null;

  constructor(endpoint: string, numClients: number) {
    this.#client = new MoesaicClient({ endpoint, defaultTimeoutMs: ANSWER_MS });
    this.#lanes = Array.from({ length: numClients }, (_, lane) => this.#ask(lane));
  }

  /** Answers that were complete and right. @throws as `stop`, since no more will come then */
  get numAnswered(): number {
    if (this.#error !== null) throw this.#error;
    return this.#numAnswered;
  }

  /** Tokens that were streamed, those of running answers included. */
  get numTokens(): number {
    return this.#numTokens;
  }

  /** Resolves when the running answers are complete. @throws the first error, or mistake, of any client */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#lanes);
    this.#client.close();
    if (this.#error !== null) throw this.#error;
  }

  async #ask(lane: number): Promise<void> {
    for (let round = 0; !this.#isStopping && this.#error === null; round += 1) {
      try {
        await this.#askOnce((lane * 7 + round) % GOLDEN.length);
      } catch (caught) {
        if (isRefused(caught)) round -= 1;
        else this.#error ??= caught;
        await new Promise((resolve) => setTimeout(resolve, REFUSED_MS));
      }
    }
  }

  async #askOnce(index: number): Promise<void> {
    const { id, prompt_tokens: tokenIds, generated_tokens: expected } = GOLDEN[index]!;
    const sampling = { temperature: 0, maxTokens: expected.length + 8 };
    const got: number[] = [];
    for await (const event of this.#client.generate({ tokenIds, sampling })) {
      const fresh = tokensOf(event);
      got.push(...fresh);
      this.#numTokens += fresh.length;
    }
    assert.deepEqual(got, expected, `tokens of generation ${id}`);
    this.#numAnswered += 1;
  }
}

function tokensOf(event: GenerateEvent): readonly number[] {
  if (event.type === "finish" && event.error) throw event.error;
  return event.type === "delta" ? event.tokenIds : [];
}
