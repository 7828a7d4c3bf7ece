import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { MoesaicError } from "../../../proto/errors.js";
import type { Logger } from "../../../proto/log.js";
import type { RequestContext } from "../request-context.js";
import { errorReplyOf, forbiddenReplyOf, type ErrorReply } from "./error-reply.js";
import { formParts } from "./form.js";
import { begun } from "./generate-events.js";
import { httpContext, type Door } from "./http-context.js";
import { SseStream, type SseEvent } from "./sse-stream.js";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Whether the body is a form, for who says what was expected. */
    takesForm?: boolean;
  }
}

/** What an endpoint is called with. */
export interface Call {
  /** What its JSON says, or the parts of a form as they come (`formParts`). */
  body: unknown;
  params: Readonly<Record<string, string>>;
  query: Readonly<Record<string, string | string[] | undefined>>;
  context: RequestContext;
  requestId: string;
}

/** An answer at once, events as they come, a file of a client's, or one of ours. */
export type Answer = object | EventStream | ByteStream | Asset;

/** Wraps the events of an answer that is streamed. What is thrown before the first one is answered with a status. */
export class EventStream {
  /** @param errorEvents how an error is told that comes after the first event */
  constructor(
    readonly events: AsyncIterable<SseEvent[]>,
    readonly errorEvents: (reply: ErrorReply) => SseEvent[],
  ) {}
}

/** Bytes as they are, read as they are taken. */
export class ByteStream {
  constructor(
    readonly bytes: AsyncIterable<Uint8Array>,
    readonly numBytes: number,
  ) {}
}

/** A file that belongs to a page. */
export class Asset {
  constructor(
    readonly bytes: Buffer,
    readonly headers: Readonly<Record<string, string>>,
  ) {}
}

export interface Endpoint {
  method: "GET" | "POST" | "DELETE";
  url: string;
  /** The RPC whose role a caller needs. */
  rpc: string;
  /** Whether its body is a form instead of JSON. */
  takesForm?: boolean;
  answer(call: Call): Promise<Answer>;
}

export interface EndpointOptions extends Door {
  log: Logger;
}

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** The client's own id where it is one that may stand in logs and headers, else a new one. */
export function requestIdOf({ headers }: Pick<IncomingMessage, "headers">): string {
  const own = headers["x-request-id"];
  return typeof own === "string" && REQUEST_ID.test(own) ? own : `req_${randomUUID().replaceAll("-", "")}`;
}

/** Adds an endpoint: who calls is checked before the body is read, every error leaves in OpenAI's shape. */
export function addEndpoint(app: FastifyInstance, endpoint: Endpoint, options: EndpointOptions): void {
  const contexts = new WeakMap<FastifyRequest, RequestContext>();
  const { method, url, rpc } = endpoint;
  app.route({
    method,
    url,
    config: { takesForm: endpoint.takesForm === true },
    onRequest: async (request, reply) => {
      try {
        contexts.set(request, httpContext(rpc, request, reply, options));
      } catch (caught) {
        const error = MoesaicError.from(caught);
        options.log.debug({ endpoint: url, requestId: request.id, code: error.code }, "caller refused");
        const isForbidden = error.code === "failed_precondition";
        return sendError(reply, isForbidden ? forbiddenReplyOf(error) : errorReplyOf(error));
      }
    },
    handler: (request, reply) => run(endpoint, request, reply, contexts.get(request)!, options),
  });
}

async function run(
  endpoint: Endpoint,
  request: FastifyRequest,
  reply: FastifyReply,
  context: RequestContext,
  options: EndpointOptions,
): Promise<void> {
  const startedMs = options.clock.nowMs();
  const { id: requestId } = request;
  const body = endpoint.takesForm === true ? formParts(request) : request.body;
  const params = request.params as Call["params"];
  const query = request.query as Call["query"];
  try {
    const answer = await endpoint.answer({ body, params, query, context, requestId });
    if (answer instanceof EventStream) return await sendEvents(endpoint, reply, answer, options);
    if (answer instanceof ByteStream) return await sendBytes(reply, answer);
    if (answer instanceof Asset) return void (await reply.headers(answer.headers).send(answer.bytes));
    void reply.header("openai-processing-ms", Math.round(options.clock.nowMs() - startedMs));
    await reply.send(answer);
  } catch (caught) {
    await sendError(reply, failed(endpoint, requestId, caught, options));
  }
}

async function sendBytes(reply: FastifyReply, { bytes, numBytes }: ByteStream): Promise<void> {
  const read = await begun(bytes);
  await reply.type("application/octet-stream").header("content-length", numBytes).send(Readable.from(read));
}

async function sendEvents(
  endpoint: Endpoint,
  reply: FastifyReply,
  { events, errorEvents }: EventStream,
  options: EndpointOptions,
): Promise<void> {
  const stream = await begun(events);
  for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value!);
  reply.hijack();
  const sse = new SseStream(reply.raw, options.clock);
  try {
    for await (const batch of stream) {
      if (sse.isClosed) break;
      await sse.send(batch);
    }
  } catch (caught) {
    await sse.send(errorEvents(failed(endpoint, reply.request.id, caught, options)));
  }
  sse.end();
}

export async function sendError(reply: FastifyReply, { status, headers, body }: ErrorReply): Promise<void> {
  await reply.code(status).headers(headers).send(body);
}

function failed({ url }: Endpoint, requestId: string, caught: unknown, { log }: EndpointOptions): ErrorReply {
  const error = MoesaicError.from(caught);
  const isOurs = error.code === "internal";
  const facts = { endpoint: url, requestId, code: error.code, err: isOurs ? error : undefined };
  log[isOurs ? "error" : "debug"](facts, "call failed");
  return errorReplyOf(error);
}
