import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import { v1 } from "../../../proto/messages.js";
import type { KeptStores } from "../../jobs/jobs.js";
import type { BackgroundKeeper } from "./background-keeper.js";
import type { BackgroundFacts, BackgroundResponse } from "./background-response.js";
import { shownItem, type ConversationItem } from "./conversation-item.js";
import { EventStream, type Answer, type Call, type Endpoint } from "./endpoints.js";
import { unbroken } from "./generate-events.js";
import { RPC, type Inference } from "./inference.js";
import { nowSeconds } from "./object-id.js";
import { pageFields, pageOf } from "./page.js";
import { readBody } from "./request-body.js";
import {
  chatOf,
  readPromptBody,
  readResponseBody,
  responseRequest,
  wantsLogprobs,
  wantsSummary,
  type PromptBody,
  type ResponseBody,
} from "./response-request.js";
import { responseHead } from "./response-head.js";
import { newResponseId, ResponseRun, type ResponseEvent } from "./response-run.js";
import type { KeptResponse, ResponseStore } from "./response-store.js";
import type { SseEvent } from "./sse-stream.js";

export interface ResponsesOptions {
  inference: Inference;
  store: ResponseStore;
  background: BackgroundKeeper;
  /** What is kept for good, or why nothing is: throws. */
  kept: () => KeptStores;
}

/** OpenAI's responses: answers that remember their conversation. */
export function responseEndpoints(options: ResponsesOptions): Endpoint[] {
  const responses = new Responses(options);
  const rpc = RPC.generate;
  const url = "/v1/responses";
  return [
    { method: "POST", url, rpc, answer: (call) => responses.create(call) },
    { method: "POST", url: `${url}/input_tokens`, rpc, answer: (call) => responses.countInput(call) },
    { method: "GET", url: `${url}/:id`, rpc, answer: (call) => responses.get(call) },
    { method: "DELETE", url: `${url}/:id`, rpc, answer: (call) => responses.delete(call) },
    { method: "POST", url: `${url}/:id/cancel`, rpc, answer: (call) => responses.cancel(call) },
    { method: "GET", url: `${url}/:id/input_items`, rpc, answer: (call) => responses.inputItems(call) },
  ];
}

const getQuery = z
  .object({
    stream: z
      .enum(["true", "false"])
      .default("false")
      .transform((text) => text === "true"),
    starting_after: z.coerce.number().int().min(0).optional(),
  })
  .refine(({ stream, starting_after: after }) => stream || after === undefined, {
    error: "is of a stream: add stream=true",
    path: ["starting_after"],
  });

class Responses {
  readonly #inference: Inference;
  readonly #store: ResponseStore;
  readonly #background: BackgroundKeeper;
  readonly #kept: () => KeptStores;

  constructor({ inference, store, background, kept }: ResponsesOptions) {
    this.#inference = inference;
    this.#store = store;
    this.#background = background;
    this.#kept = kept;
  }

  async create(call: Call): Promise<Answer> {
    const body = readResponseBody(call.body);
    if (body.background === true) return this.#createInBackground(body, call);
    const kept = await this.#begin(body, call);
    const events = this.#events(body, kept, call);
    if (body.stream === true) return new EventStream(streamed(events), ({ body: { error } }) => [errorEvent(error)]);
    const error = await lastErrorOf(events);
    if (error !== null) throw error;
    return kept.response.run.response();
  }

  /** How many tokens the prompt of a response would have. */
  async countInput(call: Call): Promise<object> {
    const body = readPromptBody(call.body);
    const chat = chatOf(body, [...(await this.#conversationBefore(body, call)), ...inputOf(body)]);
    const request = v1.TokenizeRequest.create({ model: body.model ?? "", chat });
    const { token_ids: tokenIds } = await this.#inference.tokenize(request, call.context);
    return { object: "response.input_tokens", input_tokens: tokenIds?.length ?? 0 };
  }

  async get({ params, query, context }: Call): Promise<Answer> {
    const { stream, starting_after: after } = readBody(getQuery, query);
    const id = params["id"]!;
    const response = await this.#background.find(id, context.tenant);
    if (response !== null)
      return stream ? this.#streamOf(response, context.signal, after ?? -1) : response.run.response();
    const { run } = this.#store.get(id, context.tenant);
    if (stream) throw unsupported("stream", "only a response in the background is streamed again");
    return run.response();
  }

  async delete({ params, context }: Call): Promise<object> {
    const id = params["id"]!;
    const response = await this.#background.find(id, context.tenant);
    if (response === null) this.#store.delete(id, context.tenant);
    else await this.#background.delete(id);
    return { id, object: "response", deleted: true };
  }

  /** @throws MoesaicError failed_precondition when it has ended */
  async cancel({ params, context }: Call): Promise<object> {
    const id = params["id"]!;
    const response = await this.#background.find(id, context.tenant);
    if (response !== null) {
      // As often as one likes, since its answer may have been lost on the way.
      if (response.run.isLive) await this.#background.cancel(id);
      return response.run.response();
    }
    const kept = this.#store.get(id, context.tenant);
    const { run } = kept;
    if (!run.isLive) {
      throw new MoesaicError(
        "failed_precondition",
        `the response has ended: ${run.status}; only one that runs can be cancelled`,
      );
    }
    kept.abort();
    return run.response();
  }

  async inputItems({ params, query, context }: Call): Promise<object> {
    const response = await this.#background.find(params["id"]!, context.tenant);
    const { items, numInputItems } = response?.facts ?? this.#store.get(params["id"]!, context.tenant);
    const page = readBody(z.object(pageFields(100, 20)), query);
    return pageOf(items.slice(items.length - numInputItems), page, shownItem);
  }

  async #begin(body: ResponseBody, call: Call): Promise<RunningResponse> {
    const { items, numInputItems, ...shown } = await this.#factsOf(body, call);
    const run = new ResponseRun(shown);
    const aborter = new AbortController();
    const endEvents: ResponseEvent[] = [];
    const abort = () => {
      // At once, so that whoever looks sees it; the tokens of the step in flight come to nobody.
      endEvents.push(...run.cancel());
      aborter.abort();
    };
    const { tenant } = call.context;
    return {
      response: { run, tenant, items, numInputItems, abort },
      signal: AbortSignal.any([aborter.signal, call.context.signal]),
      endEvents,
    };
  }

  /** What a response shows and goes on from, whoever runs it. */
  async #factsOf(body: ResponseBody, call: Call): Promise<BackgroundFacts> {
    const input = inputOf(body);
    const items = [...(await this.#conversationBefore(body, call)), ...input];
    const { models } = await this.#inference.listModels(new v1.ListModelsRequest(), call.context);
    return {
      head: responseHead(body, { id: newResponseId(), createdAt: nowSeconds(), model: models?.[0]?.name ?? "" }),
      wantsSummary: wantsSummary(body),
      wantsLogprobs: wantsLogprobs(body),
      items,
      numInputItems: input.length,
    };
  }

  /** Answered at once, or as events; either way it runs on when the caller has left. */
  async #createInBackground(body: ResponseBody, call: Call): Promise<Answer> {
    if (body.store === false) {
      throw new MoesaicError("invalid_argument", "expected true with background: nobody could fetch it", {
        place: "store",
      });
    }
    const kept = this.#kept();
    const facts = await this.#factsOf(body, call);
    const request = responseRequest(body, facts.items, "");
    const response = await this.#background.create(kept, call.context.tenant, facts, request);
    return body.stream === true ? this.#streamOf(response, call.context.signal, -1) : response.run.response();
  }

  #streamOf(response: BackgroundResponse, signal: AbortSignal, after: number): EventStream {
    const leaving = this.#background.leaving;
    const events = response.eventsAfter(after, AbortSignal.any([signal, leaving]));
    return new EventStream(told(events, leaving), ({ body: { error } }) => [errorEvent(error)]);
  }

  /** @throws MoesaicError invalid_argument when the response to go on from is not there, or still runs */
  async #conversationBefore(
    { previous_response_id: id }: PromptBody,
    call: Call,
  ): Promise<readonly ConversationItem[]> {
    if (id == null || id === "") return [];
    const place = "previous_response_id";
    const { tenant } = call.context;
    let previous: { run: ResponseRun; items: readonly ConversationItem[] };
    try {
      const response = await this.#background.find(id, tenant);
      previous = response === null ? this.#store.get(id, tenant) : { run: response.run, items: response.facts.items };
    } catch (cause) {
      throw new MoesaicError("invalid_argument", (cause as Error).message, { cause, place });
    }
    if (previous.run.isLive) {
      throw new MoesaicError("invalid_argument", `response ${id} still runs; wait for its end`, { place });
    }
    return [...previous.items, ...previous.run.outputItems()];
  }

  /** The events of a response as it runs. It is kept from its first event on, and ends whatever happens. */
  async *#events(
    body: ResponseBody,
    { response, signal, endEvents }: RunningResponse,
    { context, requestId }: Call,
  ): AsyncIterable<RunEvent> {
    const { run } = response;
    const request = responseRequest(body, response.items, requestId);
    try {
      for await (const event of unbroken(this.#inference.generate(request, { ...context, signal }))) {
        if (event.started && body.store !== false) this.#store.keep(response);
        yield { events: run.take(event), error: null };
      }
    } catch (caught) {
      const error = MoesaicError.from(caught);
      // One that was refused never was a response.
      if (!run.hasBegun) throw error;
      const isCancelled = run.status === "cancelled" || error.code === "cancelled";
      yield isCancelled ? { events: [...endEvents, ...run.cancel()], error: null } : { events: run.fail(error), error };
    } finally {
      run.cancel();
      if (this.#store.has(run.id)) this.#store.keep(response);
    }
  }
}

interface RunningResponse {
  response: KeptResponse;
  /** Aborted with the caller, or by whoever cancels the response. */
  signal: AbortSignal;
  /** Events of a cancellation that the stream has still to tell. */
  endEvents: ResponseEvent[];
}

interface RunEvent {
  events: ResponseEvent[];
  /** Why the response failed, with its last events. */
  error: MoesaicError | null;
}

async function lastErrorOf(events: AsyncIterable<RunEvent>): Promise<MoesaicError | null> {
  let last: MoesaicError | null = null;
  for await (const { error } of events) last = error;
  return last;
}

async function* streamed(events: AsyncIterable<RunEvent>): AsyncIterable<SseEvent[]> {
  for await (const { events: batch } of events) yield batch.map(sseEventOf);
}

/** Events of a response in the background. @throws MoesaicError unavailable when the coordinator leaves before its end */
async function* told(events: AsyncIterable<ResponseEvent[]>, leaving: AbortSignal): AsyncIterable<SseEvent[]> {
  for await (const batch of events) yield batch.map(sseEventOf);
  if (!leaving.aborted) return;
  throw new MoesaicError(
    "unavailable",
    "the cluster leaves; its next coordinator goes on with the response: read on there",
  );
}

function sseEventOf(event: ResponseEvent): SseEvent {
  return { name: event.type, data: JSON.stringify(event) };
}

function errorEvent(error: { message: string; param: string | null; code: string | null }): SseEvent {
  const { message, param, code } = error;
  return { name: "error", data: JSON.stringify({ type: "error", code, message, param }) };
}

function inputOf({ input }: PromptBody): ConversationItem[] {
  return input ?? [];
}

function unsupported(place: string, why: string): MoesaicError {
  return new MoesaicError("unimplemented", `${place} is not supported: ${why}`, { place });
}
