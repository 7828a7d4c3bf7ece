import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import { v1 } from "../../../proto/messages.js";
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

/** OpenAI's responses: answers that remember their conversation. */
export function responseEndpoints(inference: Inference, store: ResponseStore): Endpoint[] {
  const responses = new Responses(inference, store);
  const rpc = RPC.generate;
  const url = "/v1/responses";
  return [
    { method: "POST", url, rpc, answer: (call) => responses.create(call) },
    { method: "POST", url: `${url}/input_tokens`, rpc, answer: (call) => responses.countInput(call) },
    { method: "GET", url: `${url}/:id`, rpc, answer: async (call) => responses.get(call) },
    { method: "DELETE", url: `${url}/:id`, rpc, answer: async (call) => responses.delete(call) },
    { method: "POST", url: `${url}/:id/cancel`, rpc, answer: async (call) => responses.cancel(call) },
    { method: "GET", url: `${url}/:id/input_items`, rpc, answer: async (call) => responses.inputItems(call) },
  ];
}

class Responses {
  readonly #inference: Inference;
  readonly #store: ResponseStore;

  constructor(inference: Inference, store: ResponseStore) {
    this.#inference = inference;
    this.#store = store;
  }

  async create(call: Call): Promise<Answer> {
    const body = readResponseBody(call.body);
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
    const chat = chatOf(body, [...this.#conversationBefore(body, call), ...inputOf(body)]);
    const request = v1.TokenizeRequest.create({ model: body.model ?? "", chat });
    const { token_ids: tokenIds } = await this.#inference.tokenize(request, call.context);
    return { object: "response.input_tokens", input_tokens: tokenIds?.length ?? 0 };
  }

  get({ params, query, context }: Call): object {
    if (query["stream"] === "true") throw unsupported("stream", "a response is streamed as it is made, not again");
    return this.#store.get(params["id"]!, context.tenant).run.response();
  }

  delete({ params, context }: Call): object {
    this.#store.delete(params["id"]!, context.tenant);
    return { id: params["id"], object: "response", deleted: true };
  }

  /** @throws MoesaicError failed_precondition when it has ended */
  cancel({ params, context }: Call): object {
    const kept = this.#store.get(params["id"]!, context.tenant);
    const { run } = kept;
    if (run.status !== "in_progress") {
      throw new MoesaicError(
        "failed_precondition",
        `the response has ended: ${run.status}; only one that runs can be cancelled`,
      );
    }
    kept.abort();
    return run.response();
  }

  inputItems({ params, query, context }: Call): object {
    const { items, numInputItems } = this.#store.get(params["id"]!, context.tenant);
    const page = readBody(z.object(pageFields(100, 20)), query);
    return pageOf(items.slice(items.length - numInputItems), page, shownItem);
  }

  async #begin(body: ResponseBody, call: Call): Promise<RunningResponse> {
    const input = inputOf(body);
    const items = [...this.#conversationBefore(body, call), ...input];
    const { models } = await this.#inference.listModels(new v1.ListModelsRequest(), call.context);
    const run = new ResponseRun({
      head: responseHead(body, { id: newResponseId(), createdAt: nowSeconds(), model: models?.[0]?.name ?? "" }),
      wantsSummary: wantsSummary(body),
      wantsLogprobs: wantsLogprobs(body),
    });
    const aborter = new AbortController();
    const endEvents: ResponseEvent[] = [];
    const abort = () => {
      // At once, so that whoever looks sees it; the tokens of the step in flight come to nobody.
      endEvents.push(...run.cancel());
      aborter.abort();
    };
    const { tenant } = call.context;
    return {
      response: { run, tenant, items, numInputItems: input.length, abort },
      signal: AbortSignal.any([aborter.signal, call.context.signal]),
      endEvents,
    };
  }

  /** @throws MoesaicError invalid_argument when the response to go on from is not there, or still runs */
  #conversationBefore({ previous_response_id: id }: PromptBody, { context }: Call): readonly ConversationItem[] {
    if (id == null || id === "") return [];
    const place = "previous_response_id";
    let previous: KeptResponse;
    try {
      previous = this.#store.get(id, context.tenant);
    } catch (cause) {
      throw new MoesaicError("invalid_argument", (cause as Error).message, { cause, place });
    }
    if (previous.run.status === "in_progress") {
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
  for await (const { events: batch } of events) {
    yield batch.map((event) => ({ name: event.type, data: JSON.stringify(event) }));
  }
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
