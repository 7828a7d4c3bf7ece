import * as grpc from "@grpc/grpc-js";
import { randomUUID } from "node:crypto";
import { context, propagation } from "@opentelemetry/api";
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
import { resultsOf, submissionsOf, toJob, type Job, type JobResult } from "./job.js";
import { ResumedStream } from "./resumed-stream.js";
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

export interface SubmitOptions extends CallOptions {
  /**
   * At most 128 letters, digits, _ and -; made up when absent. Under the same id the same requests are the same job: who
   * submits them again goes on with it.
   */
  jobId?: string;
  /** Hears how many requests are kept, after every part. */
  onSubmitted?: (numSubmitted: number) => void;
}

export interface WatchOptions extends CallOptions {
  /** Of the first result wanted. Default 0. */
  firstIndex?: number;
  /** Hears how far the job is: at once, and then about twice a second while requests finish. */
  onProgress?: (job: Job) => void;
}

export type BatchOptions = SubmitOptions & Omit<WatchOptions, "firstIndex">;

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

/** How long the word that a request is not wanted any more may take, milliseconds. */
const CANCEL_TIMEOUT_MS = 2_000;
/** Prompts, logits and statuses may be large; a client trusts its server not to send without end. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** Over a minute in all: a coordinator that was killed is started again within it. */
const JOB_RETRIES = 40;

/**
 * A cluster's gRPC API. Calls that the server could not take (`unavailable`) are tried again a few times, never after the
 * first event of a stream. Every error is a MoesaicError.
 */
export class MoesaicClient {
  readonly #endpoint: string;
  readonly #defaultTimeoutMs: number | undefined;
  readonly #channel: grpc.Client;
  readonly #inference: Client<v1.Inference>;
  readonly #jobs: Client<v1.Jobs>;
  readonly #cluster: Client<v1.Cluster>;
  #isClosed = false;

  /** Connects with the first call. @throws MoesaicError invalid_argument for a tenant's name that is none */
  constructor({ endpoint, defaultTimeoutMs, tenant }: ClientOptions) {
    this.#endpoint = endpoint;
    this.#defaultTimeoutMs = defaultTimeoutMs;
    this.#channel = openChannel(endpoint, tenant === undefined ? [] : [inTheNameOf(checkTenant(tenant))]);
    this.#inference = createClient(v1.Inference, this.#channel);
    this.#jobs = createClient(v1.Jobs, this.#channel);
    this.#cluster = createClient(v1.Cluster, this.#channel);
  }

  /**
   * Runs one request. Iterate at your own pace: the server waits for a slow reader. Leaving the loop cancels the request.
   * A resumable one goes on by itself where its stream was cut.
   * @throws MoesaicError while iterating: invalid_argument, resource_exhausted, deadline_exceeded, cancelled, …
   */
  generate(request: GenerateRequest, options: CallOptions = {}): AsyncGenerator<GenerateEvent, void, undefined> {
    return request.resumable === true ? this.#resumable(request, options) : this.#generate(request, options);
  }

  async *#generate(request: GenerateRequest, options: CallOptions): AsyncGenerator<GenerateEvent, void, undefined> {
    const message = toGenerateMessage(request);
    const open = (callOptions: grpc.CallOptions) => this.#inference.generate(message, callOptions, traceMetadata());
    for await (const event of this.#stream(open, options)) yield toGenerateEvent(event);
  }

  async *#resumable(request: GenerateRequest, options: CallOptions): AsyncGenerator<GenerateEvent, void, undefined> {
    const message = toGenerateMessage({ ...request, requestId: request.requestId ?? randomUUID() });
    const { timeoutMs = this.#defaultTimeoutMs } = options;
    const deadlineMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    const stream = new ResumedStream(message.sampling?.n ?? 1);
    const attempt = (offset: number) => {
      const sent = offset === 0 ? message : { ...message, resume_after_offset: offset };
      const open = (callOptions: grpc.CallOptions) => this.#inference.generate(sent, callOptions, traceMetadata());
      return this.#openStream(open, { ...options, ...remaining(deadlineMs) });
    };
    try {
      for await (const event of stream.read(attempt, options.signal)) yield toGenerateEvent(event);
    } finally {
      // A cut stream does not end it, so that whoever does not want it any more has to say so.
      if (!stream.isFinished) await this.#cancel(message.request_id!);
    }
  }

  /** Best effort: a request that nobody reads ends by itself in a while. */
  async #cancel(requestId: string): Promise<void> {
    await this.#inference
      .cancel({ request_id: requestId }, { deadline: Date.now() + CANCEL_TIMEOUT_MS })
      .catch(() => {});
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

  /**
   * Runs many requests, as many at once as fill the cluster's batch, and yields their results in order; returns the job at
   * its end. They are a durable job, which outlives coordinators and connections. Without a `jobId` it is this call's own:
   * it is deleted when its last result was taken, or when the loop is left. With one it stays, and the same call again,
   * by this client or another, goes on with it.
   * @throws MoesaicError as submitJob and watchJob; what a single request fails with is its result
   */
  async *generateBatch(
    requests: Iterable<GenerateRequest> | AsyncIterable<GenerateRequest>,
    options: BatchOptions = {},
  ): AsyncGenerator<JobResult, Job, undefined> {
    const jobId = options.jobId ?? randomUUID();
    try {
      await this.submitJob(requests, { ...options, jobId });
      return yield* this.watchJob(jobId, options);
    } finally {
      if (options.jobId === undefined) await this.deleteJob(jobId).catch(() => {});
    }
  }

  /**
   * Hands requests over to be run, in parts; when it resolves all are kept, whatever happens to this client. They may be
   * more than memory holds: they are read as they are sent.
   * @throws MoesaicError invalid_argument with the request as place; failed_precondition when the id has other requests
   */
  async submitJob(
    requests: Iterable<GenerateRequest> | AsyncIterable<GenerateRequest>,
    { jobId = randomUUID(), onSubmitted = () => {}, ...options }: SubmitOptions = {},
  ): Promise<Job> {
    let job: Job | null = null;
    for await (const part of submissionsOf(jobId, requests)) {
      // Safe to send again. Once somebody has answered, a coordinator that is started again is worth waiting for.
      const retry = new RetryPolicy(job === null ? undefined : JOB_RETRIES);
      job = toJob(await this.#call((callOptions) => this.#jobs.submit(part, callOptions), options, retry));
      onSubmitted(part.first_index + part.requests.length);
    }
    return job!;
  }

  /** @throws MoesaicError not_found */
  async getJob(jobId: string, options: CallOptions = {}): Promise<Job> {
    return toJob(await this.#call((callOptions) => this.#jobs.get({ job_id: jobId }, callOptions), options));
  }

  /** All jobs, oldest first. */
  async *listJobs(options: CallOptions = {}): AsyncGenerator<Job> {
    for (let pageToken = ""; ;) {
      const list = (callOptions: grpc.CallOptions) => this.#jobs.list({ page_token: pageToken }, callOptions);
      const { jobs, next_page_token: next } = await this.#call(list, options);
      for (const job of jobs) yield toJob(job as v1.Job);
      if (next === "") return;
      pageToken = next;
    }
  }

  /**
   * Results in the order of the requests, those that exist and then the others as they come; returns the job at its end.
   * Goes on by itself after a lost connection or a restart of the coordinator, for about a minute.
   * @throws MoesaicError not_found, also when it is deleted meanwhile
   */
  async *watchJob(
    jobId: string,
    { firstIndex = 0, onProgress = () => {}, ...options }: WatchOptions = {},
  ): AsyncGenerator<JobResult, Job, undefined> {
    let last: Job | null = null;
    let retry = new RetryPolicy();
    const hear = (job: Job): void => {
      retry = new RetryPolicy(JOB_RETRIES);
      onProgress((last = job));
    };
    for (let next = firstIndex; ;) {
      const open = (callOptions: grpc.CallOptions) =>
        this.#jobs.watch({ job_id: jobId, first_index: next }, callOptions);
      try {
        for await (const result of resultsOf(this.#openStream(open, options), hear)) {
          next = result.index + 1;
          yield result;
        }
        return last ?? (await this.getJob(jobId, options));
      } catch (caught) {
        await retry.pause(this.#unlessCut(MoesaicError.from(caught), options), options.signal);
      }
    }
  }

  /** A server that leaves cancels what still runs: whoever did not ask for it may go on at the next. */
  #unlessCut(error: MoesaicError, { signal }: CallOptions): MoesaicError {
    if (error.code !== "cancelled" || signal?.aborted || this.#isClosed) return error;
    return new MoesaicError("unavailable", `the coordinator at ${this.#endpoint} left`, { cause: error });
  }

  /** Ends what has no result yet, and keeps those that are there. @throws MoesaicError not_found */
  async cancelJob(jobId: string, options: CallOptions = {}): Promise<Job> {
    return toJob(await this.#call((callOptions) => this.#jobs.cancel({ job_id: jobId }, callOptions), options));
  }

  /** Cancels the job and forgets it with its results. @throws MoesaicError not_found */
  async deleteJob(jobId: string, options: CallOptions = {}): Promise<void> {
    await this.#call((callOptions) => this.#jobs.delete({ job_id: jobId }, callOptions), options);
  }

  /** Ends the connection; running calls fail with cancelled. */
  close(): void {
    this.#isClosed = true;
    this.#channel.close();
  }

  async #call<T>(
    start: (options: grpc.CallOptions) => Promise<T>,
    options: CallOptions,
    retry = new RetryPolicy(),
  ): Promise<T> {
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
    // gRPC wraps what the socket said.
    const reason = /Last error: (?:Error: )?(.+?)\.? Resolution note:/.exec(error.message)?.[1] ?? error.message;
    const message =
      `no coordinator answers at ${this.#endpoint} (${reason}): is it running there? ` +
      "Start one with `moesaic up FILE`, or name the endpoint of one that runs";
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
    "grpc.keepalive_timeout_ms": 10_000,
    // Without TLS a coordinator is on loopback, where a proxy from the environment cannot reach it.
    "grpc.enable_http_proxy": 0,
  });
}

/** What is left of a call's time for another attempt. */
function remaining(deadlineMs: number | undefined): CallOptions {
  return deadlineMs === undefined ? {} : { timeoutMs: Math.max(1, deadlineMs - performance.now()) };
}

/** The caller's trace, where its process traces: the server's spans go on with it. */
function traceMetadata(): grpc.Metadata {
  const metadata = new grpc.Metadata();
  propagation.inject(context.active(), metadata, { set: (carrier, key, value) => carrier.set(key, value) });
  return metadata;
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
