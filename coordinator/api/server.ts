import * as grpc from "@grpc/grpc-js";
import { once } from "node:events";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { toGrpcStatus, toStatusError } from "../../proto/grpc-status.js";
import type { Logger } from "../../proto/log.js";
import {
  serviceDefinition,
  type MethodInfo,
  type MethodNames,
  type RequestOf,
  type ResponseOf,
  type ServiceClass,
} from "../../proto/rpc.js";
import { createRequestContext, type Authenticate, type RequestContext } from "./request-context.js";

/** What a connection may be and do. */
export interface ConnectionLimits {
  /** A peer that is silent for so long is asked whether it lives, milliseconds. */
  keepaliveMs: number;
  /** One that does not answer in so long is gone: its calls are cancelled. */
  keepaliveTimeoutMs: number;
  /** Calls of one connection at once; those beyond wait at the client. */
  maxConcurrentCalls: number;
  /**
   * A connection without a call for so long is closed; the client opens another with its next call. There is no greatest age: a
   * rank's stream lives as long as the rank.
   */
  maxIdleMs: number;
}

export const CONNECTION_LIMITS: Readonly<ConnectionLimits> = {
  keepaliveMs: 20_000,
  keepaliveTimeoutMs: 10_000,
  maxConcurrentCalls: 1_024,
  maxIdleMs: 30 * 60_000,
};

/** Handlers as we like to write them: values in, promises and async iterables out, MoesaicErrors thrown. */
export type ContextHandlers<S> = { [K in MethodNames<S>]?: S[K] extends MethodInfo ? ContextHandler<S[K]> : never };

type ContextHandler<M extends MethodInfo> = M["requestStream"] extends true
  ? (stream: grpc.ServerDuplexStream<RequestOf<M>, ResponseOf<M>>, context: RequestContext) => void
  : M["responseStream"] extends true
    ? (request: RequestOf<M>, context: RequestContext) => AsyncIterable<ResponseOf<M>>
    : (request: RequestOf<M>, context: RequestContext) => Promise<ResponseOf<M>>;

/** What all four kinds of gRPC calls share. */
interface ServerCall {
  readonly metadata: grpc.Metadata;
  getPeer(): string;
  getDeadline(): Date | number;
  on(event: "cancelled", listener: () => void): unknown;
}

export interface ApiServerOptions {
  clock: Clock;
  log: Logger;
  authenticate: Authenticate;
  maxMessageBytes: number;
  /** Replaced by tests, which do not wait for minutes. */
  limits?: ConnectionLimits;
}

/**
 * The gRPC server. Callers pass `#guarded` before anything they send is read, and `#contextOf` before the handler runs; every
 * error leaves as a gRPC status with our code. Streams obey the client's pace: the next event is asked for when the last
 * one was taken.
 */
export class ApiServer {
  readonly #server: grpc.Server;
  readonly #options: ApiServerOptions;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    const { keepaliveMs, keepaliveTimeoutMs, maxConcurrentCalls, maxIdleMs } = options.limits ?? CONNECTION_LIMITS;
    this.#server = new grpc.Server({
      "grpc.max_receive_message_length": options.maxMessageBytes,
      "grpc.max_send_message_length": options.maxMessageBytes,
      "grpc.keepalive_time_ms": keepaliveMs,
      "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
      "grpc.max_concurrent_streams": maxConcurrentCalls,
      "grpc.max_connection_idle_ms": maxIdleMs,
      interceptors: [(_method, call) => this.#guarded(call)],
    });
  }

  /** Methods without a handler answer unimplemented. */
  addService<S>(service: ServiceClass<S>, handlers: ContextHandlers<S>): void {
    const definition = serviceDefinition(service);
    const wrapped = Object.entries(definition)
      .filter(([name]) => name in handlers)
      .map(([name, method]) => [name, this.#wrap(method, (handlers as Record<string, unknown>)[name])] as const);
    this.#server.addService(definition, Object.fromEntries(wrapped));
  }

  /** Services of other libraries, such as grpc.health.v1. */
  get raw(): grpc.Server {
    return this.#server;
  }

  /** @returns the port, which the system picks when the address ends in `:0` */
  listen(address: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(listenError(address, error)),
      );
    });
  }

  /** Refuses new calls at once, lets running ones end for `graceMs`, then cuts them. */
  async close(graceMs: number): Promise<void> {
    let cancel = (): void => {};
    await new Promise<void>((resolve) => {
      this.#server.tryShutdown(() => resolve());
      cancel = this.#options.clock.setTimer(graceMs, () => {
        this.#server.forceShutdown();
        // The library forgets who waits when a connection was given up by keep-alive before.
        resolve();
      });
    });
    cancel();
  }

  /** Who may not call at all is told so before its message takes memory; services of other libraries are behind it too. */
  #guarded(call: grpc.ServerInterceptingCallInterface): grpc.ServerInterceptingCall {
    const listener = new grpc.ServerListenerBuilder().withOnReceiveMetadata((metadata, next) => {
      try {
        this.#options.authenticate(call.getPeer(), metadata);
      } catch (caught) {
        const error = MoesaicError.from(caught);
        this.#options.log.debug({ peer: call.getPeer(), code: error.code }, "caller refused");
        return call.sendStatus(toGrpcStatus(error));
      }
      next(metadata);
    });
    const responder = new grpc.ResponderBuilder().withStart((next) => next(listener.build()));
    return new grpc.ServerInterceptingCall(call, responder.build());
  }

  #wrap(method: grpc.MethodDefinition<object, object>, handler: unknown): grpc.UntypedHandleCall {
    if (method.requestStream) return this.#wrapBidi(method.path, handler as BidiHandler);
    if (method.responseStream) return this.#wrapStream(method.path, handler as StreamHandler);
    return this.#wrapUnary(method.path, handler as UnaryHandler);
  }

  #wrapUnary(path: string, handler: UnaryHandler): grpc.handleUnaryCall<object, object> {
    return (call, callback) => {
      this.#runUnary(path, call, handler).then(
        (response) => callback(null, response),
        (error: unknown) => callback(this.#failed(path, error) as grpc.ServiceError),
      );
    };
  }

  async #runUnary(path: string, call: grpc.ServerUnaryCall<object, object>, handler: UnaryHandler): Promise<object> {
    return handler(call.request, this.#contextOf(path, call));
  }

  #wrapStream(path: string, handler: StreamHandler): grpc.handleServerStreamingCall<object, object> {
    return (call) => {
      call.on("error", () => {}); // A client that leaves shows as "cancelled" too; that is where we react.
      this.#runStream(path, call, handler).then(
        () => call.end(),
        (error: unknown) => call.emit("error", this.#failed(path, error)),
      );
    };
  }

  async #runStream(
    path: string,
    call: grpc.ServerWritableStream<object, object>,
    handler: StreamHandler,
  ): Promise<void> {
    const context = this.#contextOf(path, call);
    for await (const response of handler(call.request, context)) {
      if (context.signal.aborted) return;
      if (!call.write(response)) await drained(call, context.signal);
    }
  }

  #wrapBidi(path: string, handler: BidiHandler): grpc.handleBidiStreamingCall<object, object> {
    return (call) => {
      try {
        handler(call, this.#contextOf(path, call));
      } catch (error) {
        call.on("error", () => {});
        call.emit("error", this.#failed(path, error));
      }
    };
  }

  #contextOf(method: string, call: ServerCall): RequestContext {
    const aborter = new AbortController();
    call.on("cancelled", () => aborter.abort());
    const facts = {
      method,
      peer: call.getPeer(),
      metadata: call.metadata,
      deadline: call.getDeadline(),
      signal: aborter.signal,
    };
    return createRequestContext(facts, this.#options.authenticate, this.#options.clock);
  }

  #failed(method: string, caught: unknown): Error {
    const error = MoesaicError.from(caught);
    const level = error.code === "internal" ? "error" : "debug";
    this.#options.log[level](
      { method, code: error.code, err: error.code === "internal" ? error : undefined },
      "call failed",
    );
    return toStatusError(error);
  }
}

type UnaryHandler = (request: object, context: RequestContext) => Promise<object>;
type StreamHandler = (request: object, context: RequestContext) => AsyncIterable<object>;
type BidiHandler = (stream: grpc.ServerDuplexStream<object, object>, context: RequestContext) => void;

/** Waits until the client has taken what was written, or is gone. */
async function drained(call: grpc.ServerWritableStream<object, object>, signal: AbortSignal): Promise<void> {
  try {
    await once(call, "drain", { signal });
  } catch {
    // Aborted: the loop that called us sees it and ends.
  }
}

function listenError(address: string, error: Error): MoesaicError {
  const message = `cannot listen on ${address}: ${error.message}; free the port or choose another in spec.api`;
  return new MoesaicError("failed_precondition", message, { cause: error });
}
