import { createHash, randomInt, randomUUID } from "node:crypto";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { v1 } from "../../proto/messages.js";
import type { SequenceRunner } from "../engine-loop.js";
import type { CompiledGrammar } from "../grammar/compiled-grammar.js";
import { GrammarThread } from "../grammar/grammar-link.js";
import { GrammarService } from "../grammar/grammar-service.js";
import { vocabularyTable } from "../grammar/vocabulary-table.js";
import type { VocabularyTable } from "../grammar/vocabulary.js";
import type { Tracing } from "../tracing.js";
import { parseChatInput, type ParsedChat } from "./chat-input.js";
import { controlIdsOf, grammarSpecOf } from "./constraint.js";
import { HarmonyText, noText, PlainText, type ChoiceText } from "./choice-text.js";
import { Generation, type PreparedRequest, type RequestObserver } from "./generation.js";
import { KeptRequests } from "./kept-requests.js";
import { streamLogits } from "./logits.js";
import { requireTokenizer, type ServedModel } from "./model.js";
import type { CallLimits, RequestContext } from "./request-context.js";
import { parseSamplingParams, type RequestSampling } from "./sampling-params.js";
import type { ContextHandlers } from "./server.js";

const MAX_REQUEST_ID_LENGTH = 128;
/** gRPC would accept more; no tokenizer needs it, and a tokenizer is the first to suffer. */
const MAX_TEXT_LENGTH = 8 * 1024 * 1024;

/** Place of errors about a prompt that is longer than the model. */
export const PROMPT_LENGTH_PLACE = "prompt_tokens";
const NO_BYTES = new Uint8Array();

/** Ids and seeds as a seam: production draws them, simulation counts. */
export interface IdSource {
  requestId(): string;
  /** Non-negative safe integer. */
  seed(): number;
}

export const randomIds: IdSource = {
  requestId: () => randomUUID(),
  seed: () => randomInt(2 ** 47),
};

export type InferenceHandlers = Required<ContextHandlers<v1.Inference>>;

/** The handlers of a service that may not be there yet. @param current throws for as long as it is not */
export function handlersOf(current: () => InferenceService): InferenceHandlers {
  return {
    generate: (request, context) => current().handlers.generate(request, context),
    cancel: async (request, context) => current().handlers.cancel(request, context),
    logits: (request, context) => current().handlers.logits(request, context),
    tokenize: async (request, context) => current().handlers.tokenize(request, context),
    detokenize: async (request, context) => current().handlers.detokenize(request, context),
    listModels: async (request, context) => current().handlers.listModels(request, context),
  };
}

/** Requests as the API takes them: checked, turned into token ids, run, streamed. */
export class InferenceService {
  readonly #model: ServedModel;
  readonly #loop: SequenceRunner;
  readonly #observer: RequestObserver;
  readonly #ids: IdSource;
  readonly #clock: Clock;
  readonly #grammars: GrammarService;
  readonly #tracing: Tracing | null;
  readonly #kept: KeptRequests;
  #lastSeqId = 0;

  constructor(
    model: ServedModel,
    loop: SequenceRunner,
    observer: RequestObserver,
    ids: IdSource,
    clock: Clock,
    tracing: Tracing | null = null,
  ) {
    this.#model = model;
    this.#loop = loop;
    this.#observer = observer;
    this.#ids = ids;
    this.#clock = clock;
    this.#grammars = new GrammarService(() => new GrammarThread(this.#vocabularyTable(), clock));
    this.#tracing = tracing;
    this.#kept = new KeptRequests(clock);
  }

  readonly handlers: InferenceHandlers = {
    generate: (request, context) => this.generate(request, context),
    cancel: async ({ request_id: requestId }, { tenant }) => ({ found: this.#kept.cancel(tenant, requestId) }),
    logits: (request, context) => this.#logits(request, context),
    tokenize: async (request) => this.#tokenize(request),
    detokenize: async (request) => this.#detokenize(request),
    listModels: async () => this.#listModels(),
  };

  /**
   * Runs a request, whoever asks, or reads one that was begun.
   * @throws MoesaicError at once when it cannot be resumed; while it is iterated, first of all for what is wrong with it
   */
  generate(request: v1.GenerateRequest, context: CallLimits): AsyncIterable<v1.GenerateEvent.$Properties> {
    checkResume(request);
    if (!request.resumable) return this.#run(request, context);
    const start = {
      requestId: checkRequestId(request.request_id),
      tenant: context.tenant,
      fingerprint: fingerprintOf(request),
      run: (signal: AbortSignal) => this.#run(request, { ...context, signal }),
    };
    return this.#kept.read(start, request.resume_after_offset ?? 0, context.signal);
  }

  async *#run(request: v1.GenerateRequest, context: CallLimits): AsyncIterable<v1.GenerateEvent.$Properties> {
    const prepared = await this.#prepare(request);
    const generation = new Generation(prepared, this.#loop, this.#observer, this.#clock, this.#model.maxModelLen);
    const seqIds = Array.from({ length: prepared.sampling.numChoices }, () => this.#nextSeqId());
    try {
      const events = generation.run(seqIds, context);
      yield* this.#tracing?.request({ ...prepared, seqIds }, context, events) ?? events;
    } finally {
      prepared.grammar?.release();
    }
  }

  async #prepare(request: v1.GenerateRequest): Promise<PreparedRequest> {
    this.#checkModel(request.model);
    const requestId = checkRequestId(request.request_id) || this.#ids.requestId();
    const limits = { vocabSize: this.#model.description.vocabSize, modelStopTokenIds: this.#model.stopTokenIds };
    const sampling = parseSamplingParams(request.sampling ?? {}, limits, this.#ids.seed());
    if (sampling.stopStrings.length > 0) requireTokenizer(this.#model);
    const chat = request.chat ? this.#parseChat(request.chat) : null;
    const promptTokenIds = this.#promptTokenIds(request, chat);
    this.#checkLength(promptTokenIds, sampling);
    const grammar = await this.#grammarOf(request, chat);
    return {
      requestId,
      model: this.#model.name,
      promptTokenIds,
      sampling,
      priority: request.priority,
      grammar,
      isPerToken: request.event_per_token,
      wantsPrefill: checkPrefill(request),
      textOf: (choice) => this.#textOf(request, sampling, `${requestId}-${choice}`),
      tokenBytes: (tokenId) => this.#model.tokenizer?.tokenBytes(tokenId) ?? NO_BYTES,
    };
  }

  /** Last of all checks: from here on somebody must release it. */
  async #grammarOf(request: v1.GenerateRequest, chat: ParsedChat | null): Promise<CompiledGrammar | null> {
    const { harmony, stopTokenIds } = this.#model;
    const { constraint } = request;
    const spec = grammarSpecOf({ constraint, chat, sampling: request.sampling ?? {}, harmony, stopTokenIds });
    return spec === null ? null : this.#grammars.compile(spec);
  }

  #vocabularyTable(): VocabularyTable {
    const { harmony, stopTokenIds, description } = this.#model;
    return vocabularyTable(requireTokenizer(this.#model), description.vocabSize, controlIdsOf(harmony, stopTokenIds));
  }

  #promptTokenIds(request: v1.GenerateRequest, chat: ParsedChat | null): number[] {
    if (request.token_ids) return request.token_ids.ids ?? [];
    if (chat !== null) return this.#renderChat(chat);
    if (request.prompt != null && request.prompt !== "") return this.#encode(request.prompt);
    throw new MoesaicError("invalid_argument", "a request needs a prompt, token_ids or chat");
  }

  #parseChat(chat: v1.ChatInput.$Properties): ParsedChat {
    requireTokenizer(this.#model);
    return parseChatInput(chat, MAX_TEXT_LENGTH);
  }

  #renderChat({ messages, tools, options }: ParsedChat): number[] {
    return this.#model.renderer!.render(messages, tools, options);
  }

  #encode(text: string): number[] {
    if (text.length > MAX_TEXT_LENGTH) {
      throw new MoesaicError("invalid_argument", `prompt: at most ${MAX_TEXT_LENGTH} characters, got ${text.length}`);
    }
    return requireTokenizer(this.#model).encodeWithSpecials(text);
  }

  #checkLength(promptTokenIds: number[], sampling: RequestSampling): void {
    const { maxModelLen } = this.#model;
    if (promptTokenIds.length + 1 <= maxModelLen) return;
    const wanted = `the prompt has ${promptTokenIds.length} tokens and max_tokens is ${sampling.maxTokens ?? "unset"}`;
    throw new MoesaicError(
      "invalid_argument",
      `${wanted}; the model takes ${maxModelLen} tokens, prompt and output together`,
      { place: PROMPT_LENGTH_PLACE },
    );
  }

  #textOf(request: v1.GenerateRequest, sampling: RequestSampling, callIdPrefix: string): ChoiceText {
    const { tokenizer, harmony } = this.#model;
    if (tokenizer === null) return noText;
    if (request.chat && harmony !== null)
      return new HarmonyText(tokenizer, harmony, sampling.stopStrings, callIdPrefix);
    return new PlainText(tokenizer, sampling.stopStrings, Boolean(request.chat));
  }

  #logits(request: v1.LogitsRequest, context: RequestContext): AsyncIterable<v1.LogitsEvent.$Properties> {
    this.#checkModel(request.model);
    return streamLogits(request.token_ids, this.#nextSeqId(), this.#loop, this.#model.description.vocabSize, context);
  }

  #tokenize(request: v1.TokenizeRequest): v1.TokenizeResponse.$Properties {
    this.#checkModel(request.model);
    const tokenIds = request.chat ? this.#renderChat(this.#parseChat(request.chat)) : this.#encode(request.text ?? "");
    return { token_ids: tokenIds };
  }

  #detokenize(request: v1.DetokenizeRequest): v1.DetokenizeResponse.$Properties {
    this.#checkModel(request.model);
    const tokenizer = requireTokenizer(this.#model);
    const { vocabSize } = this.#model.description;
    const bad = request.token_ids.findIndex((id) => id < 0 || id >= vocabSize);
    if (bad >= 0) {
      throw new MoesaicError(
        "invalid_argument",
        `expected ids from 0 to ${vocabSize - 1}, got ${request.token_ids[bad]}`,
        {
          place: `token_ids[${bad}]`,
        },
      );
    }
    return { text: tokenizer.decode(request.token_ids, { skipSpecial: request.skip_special_tokens }) };
  }

  #listModels(): v1.ListModelsResponse.$Properties {
    const { name, maxModelLen, description, renderer } = this.#model;
    return {
      models: [{ name, max_model_len: maxModelLen, vocab_size: description.vocabSize, chat: renderer !== null }],
    };
  }

  #checkModel(name: string): void {
    if (name === "" || name === this.#model.name) return;
    const message = `no model ${name} is served here; there is ${this.#model.name}`;
    throw new MoesaicError("not_found", message, { place: "model" });
  }

  /** Rises by one; 2^31 - 1 live sequences are out of reach, so that wrapping around is safe. */
  #nextSeqId(): number {
    this.#lastSeqId = (this.#lastSeqId % (2 ** 31 - 1)) + 1;
    return this.#lastSeqId;
  }
}

function checkRequestId(requestId: string): string {
  if (requestId.length <= MAX_REQUEST_ID_LENGTH) return requestId;
  throw new MoesaicError(
    "invalid_argument",
    `request_id: at most ${MAX_REQUEST_ID_LENGTH} characters, got ${requestId.length}`,
  );
}

/** @throws MoesaicError invalid_argument where the same request would have other events each time */
function checkPrefill({ prefill_progress: wantsPrefill, event_per_token: isPerToken }: v1.GenerateRequest): boolean {
  if (!wantsPrefill || !isPerToken) return wantsPrefill;
  const text =
    "not with event_per_token: how many such events there are depends on what else runs; leave out one of the two";
  throw new MoesaicError("invalid_argument", text, { place: "prefill_progress" });
}

function checkResume({ request_id: requestId, resumable, resume_after_offset: offset }: v1.GenerateRequest): void {
  if (!resumable && offset != null) {
    throw new MoesaicError("invalid_argument", "a request that was not sent as resumable cannot be resumed", {
      place: "resume_after_offset",
    });
  }
  if (resumable && requestId === "") {
    throw new MoesaicError("invalid_argument", "a resumable request needs an id of its client's", {
      place: "request_id",
    });
  }
}

/** Equal for what is sent again to resume, and for nothing else. */
function fingerprintOf(request: v1.GenerateRequest): string {
  const { resume_after_offset: _, ...rest } = v1.GenerateRequest.toObject(request);
  return createHash("sha256").update(v1.GenerateRequest.encode(rest).finish()).digest("base64");
}
