import * as grpc from "@grpc/grpc-js";
import { MoesaicError } from "../proto/errors.js";
import { fromGrpcStatus } from "../proto/grpc-status.js";
import { v1 } from "../proto/messages.js";
import { createClient, type Client } from "../proto/rpc.js";
import { checkTenant, TENANT_KEY } from "../proto/tenant.js";
import { toClusterStatus, type ClusterStatus } from "./cluster-status.js";
import { collectCompletion, type Completion } from "./completion.js";
import { toGenerateEvent, type GenerateEvent } from "./generate-event.js";
import {
  int32s,
  toGenerateMessage,
  toTokenizeMessage,
  type GenerateRequest,
  type TokenizeRequest,
} from "./generate-request.js";
import { RetryPolicy } from "./retry.js";

export interface ClientOptions {
  /** host:port of the coordinator's gRPC API. */
  endpoint: string;
  /** For calls that say nothing else; absent means no limit. Milliseconds. */
  defaultTimeoutMs?: number;
  /** On whose account calls run, for a coordinator that trusts its callers to say so; absent: everybody's. */
  tenant?: string;
}

export interface CallOptions {
  /** Aborting cancels the call: the server frees what it holds for it. */
  signal?: AbortSignal;
  /** Longest time of the whole call, milliseconds. */
  timeoutMs?: number;
}

/** What a drain empties; the whole cluster where neither is named. */
export interface DrainOptions extends CallOptions {
  /** That is to leave while another serves. */
  replica?: number;
  /** Of that replica, or the first, that is to leave alone; its seat goes to a spare or to who comes next. */
  rank?: number;
}

/** Logits of successive positions. */
export interface LogitsRows {
  firstPosition: number;
  numPositions: number;
  vocabSize: number;
  /** (numPositions, vocabSize), row by row. */
  values: Float32Array;
}

export interface ServedModel {
  name: string;
  maxModelLen: number;
  vocabSize: number;
  /** Whether it takes conversations. */
  chat: boolean;
}

/** Prompts, logits and statuses may be large; a client trusts its server not to send without end. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/**
 * A cluster's gRPC API. Calls that the server could not take (`unavailable`) are tried again a few times, never after the
 * first event of a stream. Every error is a MoesaicError.
 */
export class MoesaicClient {
  readonly #endpoint: string;
  readonly #defaultTimeoutMs: number | undefined;
  readonly #channel: grpc.Client;
  readonly #inference: Client<v1.Inference>;
  readonly #cluster: Client<v1.Cluster>;

  /** Connects with the first call. @throws MoesaicError invalid_argument for a tenant's name that is none */
  constructor({ endpoint, defaultTimeoutMs, tenant }: ClientOptions) {
    this.#endpoint = endpoint;
    this.#defaultTimeoutMs = defaultTimeoutMs;
    this.#channel = openChannel(endpoint, tenant === undefined ? [] : [inTheNameOf(checkTenant(tenant))]);
    this.#inference = createClient(v1.Inference, this.#channel);
    this.#cluster = createClient(v1.Cluster, this.#channel);
  }

  /**
   * Runs one request. Iterate at your own pace: the server waits for a slow reader. Leaving the loop cancels the request.
   * @throws MoesaicError while iterating: invalid_argument, resource_exhausted, deadline_exceeded, cancelled, …
   */
  async *generate(request: GenerateRequest, options: CallOptions = {}): AsyncGenerator<GenerateEvent, void, undefined> {
    const message = toGenerateMessage(request);
    const open = (callOptions: grpc.CallOptions) => this.#inference.generate(message, callOptions);
    for await (const event of this.#stream(open, options)) yield toGenerateEvent(event);
  }

  /** Runs one request to its end. @throws MoesaicError as generate, and when every choice failed */
  complete(request: GenerateRequest, options: CallOptions = {}): Promise<Completion> {
    return collectCompletion(this.generate(request, options));
  }

  /** The logits after every token of a prompt, in order of position, some rows at a time. */
  async *logits(
    tokenIds: readonly number[],
    options: CallOptions & { model?: string } = {},
  ): AsyncGenerator<LogitsRows> {
    const message = { model: options.model ?? "", token_ids: int32s(tokenIds, "token_ids") };
    const open = (callOptions: grpc.CallOptions) => this.#inference.logits(message, callOptions);
    for await (const event of this.#stream(open, options)) yield rowsOf(event);
  }

  async tokenize(request: TokenizeRequest, options: CallOptions = {}): Promise<number[]> {
    const message = toTokenizeMessage(request);
    const response = await this.#call((callOptions) => this.#inference.tokenize(message, callOptions), options);
    return response.token_ids;
  }

  async detokenize(
    tokenIds: readonly number[],
    options: CallOptions & { model?: string; skipSpecialTokens?: boolean } = {},
  ): Promise<string> {
    const message = {
      model: options.model ?? "",
      token_ids: int32s(tokenIds, "token_ids"),
      skip_special_tokens: options.skipSpecialTokens ?? false,
    };
    return (await this.#call((callOptions) => this.#inference.detokenize(message, callOptions), options)).text;
  }

  async listModels(options: CallOptions = {}): Promise<ServedModel[]> {
    const { models } = await this.#call((callOptions) => this.#inference.listModels({}, callOptions), options);
    return models.map((model) => ({
      name: model.name ?? "",
      maxModelLen: model.max_model_len ?? 0,
      vocabSize: model.vocab_size ?? 0,
      chat: model.chat ?? false,
    }));
  }

  async status(options: CallOptions = {}): Promise<ClusterStatus> {
    return toClusterStatus(await this.#call((callOptions) => this.#cluster.status({}, callOptions), options));
  }

  /** The status now and after every change, until the signal is aborted or the cluster leaves. */
  async *watchStatus(options: CallOptions = {}): AsyncGenerator<ClusterStatus> {
    const open = (callOptions: grpc.CallOptions) => this.#cluster.watch({}, callOptions);
    for await (const status of this.#stream(open, options)) yield toClusterStatus(status);
  }

  /**
   * Lets the cluster finish what runs, refuse what is new, and leave; or one replica, while others take what is new and what
   * it does not finish; or one rank, between two steps. Resolves when all is finished and who was to leave is gone.
   * @returns number of requests that were finished, 0 for a rank
   * @throws MoesaicError not_found when there is no such replica or rank; failed_precondition when no other replica serves
   */
  async drain(options: DrainOptions = {}): Promise<number> {
    const { replica, rank } = options;
    const message = {
      ...(replica === undefined ? {} : { replica_id: replica }),
      ...(rank === undefined ? {} : { rank }),
    };
    const response = await this.#attempt((callOptions) => this.#cluster.drain(message, callOptions), options);
    return response.num_finished;
  }

  /** Ends the connection; running calls fail with cancelled. */
  close(): void {
    this.#channel.close();
  }

  async #call<T>(start: (options: grpc.CallOptions) => Promise<T>, options: CallOptions): Promise<T> {
    const retry = new RetryPolicy();
    for (;;) {
      try {
        return await this.#attempt(start, options);
      } catch (caught) {
        await retry.pause(MoesaicError.from(caught), options.signal);
      }
    }
  }

  /** Unary calls cannot be taken back once sent; the caller is let go when its signal is aborted. */
  async #attempt<T>(start: (options: grpc.CallOptions) => Promise<T>, options: CallOptions): Promise<T> {
    const { signal } = options;
    if (signal?.aborted) throw cancelled();
    let onAbort = () => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(cancelled());
      signal?.addEventListener("abort", onAbort);
    });
    try {
      return await Promise.race([start(this.#callOptions(options)), aborted]);
    } catch (caught) {
      throw this.#describe(fromGrpcStatus(caught));
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async *#stream<T>(
    open: (options: grpc.CallOptions) => grpc.ClientReadableStream<T>,
    options: CallOptions,
  ): AsyncGenerator<T, void, undefined> {
    const retry = new RetryPolicy();
    for (let hasEvents = false; ;) {
      try {
        for await (const event of this.#openStream(open, options)) {
          hasEvents = true;
          yield event;
        }
        return;
      } catch (caught) {
        const error = MoesaicError.from(caught);
        if (hasEvents) throw error;
        await retry.pause(error, options.signal);
      }
    }
  }

  async *#openStream<T>(
    open: (options: grpc.CallOptions) => grpc.ClientReadableStream<T>,
    options: CallOptions,
  ): AsyncGenerator<T, void, undefined> {
    const { signal } = options;
    if (signal?.aborted) throw cancelled();
    const stream = open(this.#callOptions(options));
    // Cancelling below makes the stream fail once more when nobody listens any longer.
    stream.on("error", () => {});
    const cancel = () => stream.cancel();
    signal?.addEventListener("abort", cancel);
    try {
      for await (const event of stream) yield event as T;
    } catch (caught) {
      throw signal?.aborted ? cancelled() : this.#describe(fromGrpcStatus(caught));
    } finally {
      signal?.removeEventListener("abort", cancel);
      stream.cancel();
    }
  }

  #callOptions({ timeoutMs = this.#defaultTimeoutMs }: CallOptions): grpc.CallOptions {
    return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
  }

  /** gRPC tells of sockets where a person wants to know which server is not there. */
  #describe(error: MoesaicError): MoesaicError {
    if (error.code !== "unavailable" || !/^No connection established|^Name resolution failed/.test(error.message)) {
      return error;
    }
    const message = `no coordinator answers at ${this.#endpoint}: is it running there? (${error.message})`;
    return new MoesaicError("unavailable", message, { cause: error });
  }
}

function inTheNameOf(tenant: string): grpc.Interceptor {
  const requester: grpc.Requester = {
    start: (metadata, listener, next) => {
      metadata.set(TENANT_KEY, tenant);
      next(metadata, listener);
    },
  };
  return (options, nextCall) => new grpc.InterceptingCall(nextCall(options), requester);
}

function openChannel(endpoint: string, interceptors: grpc.Interceptor[]): grpc.Client {
  return new grpc.Client(endpoint, grpc.credentials.createInsecure(), {
    interceptors,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.keepalive_time_ms": 20_000,
    // Without TLS a coordinator is on loopback, where a proxy from the environment cannot reach it.
    "grpc.enable_http_proxy": 0,
  });
}

function rowsOf(event: v1.LogitsEvent): LogitsRows {
  // A copy: the bytes are a view into a message at any alignment.
  const bytes = Uint8Array.from(event.logits);
  return {
    firstPosition: event.first_position,
    numPositions: event.num_positions,
    vocabSize: event.vocab_size,
    values: new Float32Array(bytes.buffer),
  };
}

function cancelled(): MoesaicError {
  return new MoesaicError("cancelled", "cancelled by the caller");
}
