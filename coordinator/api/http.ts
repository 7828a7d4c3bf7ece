import fastify, { type FastifyError, type FastifyInstance } from "fastify";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import type { KeptStores } from "../jobs/jobs.js";
import type { ClusterWatch } from "../dashboard/cluster-watch.js";
import { dashboardEndpoints } from "../dashboard/dashboard-endpoints.js";
import type { Metrics } from "../metrics.js";
import { completionEndpoints } from "./openai/completion-endpoints.js";
import { addEndpoint, requestIdOf, sendError } from "./openai/endpoints.js";
import { errorReplyOf } from "./openai/error-reply.js";
import type { BackgroundKeeper } from "./openai/background-keeper.js";
import { batchEndpoints } from "./openai/batch-endpoints.js";
import type { BatchKeeper } from "./openai/batch-keeper.js";
import { fileEndpoints } from "./openai/file-endpoints.js";
import { takeForms } from "./openai/form.js";
import type { Door } from "./openai/http-context.js";
import type { Inference } from "./openai/inference.js";
import { MAX_BODY_BYTES, parseJsonAlone } from "./openai/json-body.js";
import { modelEndpoints } from "./openai/model-endpoints.js";
import { ReasoningMemory } from "./openai/reasoning-memory.js";
import { responseEndpoints } from "./openai/response-endpoints.js";
import { ResponseStore } from "./openai/response-store.js";

export interface HttpOptions extends Door {
  metrics: Metrics;
  /** Why the cluster cannot serve, or null when it can. */
  notReadyReason(): string | null;
  inference: Inference;
  /** What is kept for good; throws when nothing is, or not yet. */
  kept: () => KeptStores;
  batches: BatchKeeper;
  background: BackgroundKeeper;
  /** What the dashboard shows. */
  watch: ClusterWatch;
  /** Told with every answer. */
  build: string;
  log: Logger;
}

/** How long a client may take to send its headers, and the whole request, milliseconds. */
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 60_000;
const CHECKING_INTERVAL_MS = 1_000;
/** How long a connection without a request stays, milliseconds: longer than proxies keep theirs, so that they close first. */
const KEEP_ALIVE_MS = 75_000;
/** Each takes a file descriptor and some kilobytes. */
const MAX_CONNECTIONS = 8_192;
const MAX_HEADER_BYTES = 32 * 1024;

/** The HTTP side: probes, Prometheus, the dashboard, and the API that OpenAI's clients speak. */
export class HttpServer {
  readonly #app: FastifyInstance;
  readonly #options: HttpOptions;
  #numOpen = 0;
  #onIdle: () => void = () => {};

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#app = fastify({
      logger: false,
      forceCloseConnections: true,
      bodyLimit: MAX_BODY_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      http: {
        headersTimeout: HEADERS_TIMEOUT_MS,
        maxHeaderSize: MAX_HEADER_BYTES,
        connectionsCheckingInterval: CHECKING_INTERVAL_MS,
      },
      genReqId: requestIdOf,
      routerOptions: { maxParamLength: 256 },
    });
    this.#app.server.maxConnections = MAX_CONNECTIONS;
    this.#countRequests();
    this.#answerErrors();
    this.#addProbes();
    this.#addApi();
  }

  /** @param address host:port; port 0 lets the system pick   @returns the address it listens on */
  async listen(address: string): Promise<string> {
    const at = address.lastIndexOf(":");
    const host = address.slice(0, at).replaceAll(/[[\]]/g, "");
    try {
      const url = await this.#app.listen({ host, port: Number(address.slice(at + 1)) });
      return new URL(url).host;
    } catch (cause) {
      const message = `cannot listen on ${address}: ${(cause as Error).message}; free the port or change spec.api.http`;
      throw new MoesaicError("failed_precondition", message, { cause });
    }
  }

  /** Lets answers that have begun reach their clients for at most `graceMs`, then closes every connection. */
  async close(graceMs: number): Promise<void> {
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#numOpen === 0) resolve();
    });
    let cancelTimer = () => {};
    const late = new Promise<void>((resolve) => {
      cancelTimer = this.#options.clock.setTimer(graceMs, resolve);
    });
    await Promise.race([idle, late]);
    cancelTimer();
    await this.#app.close();
  }

  #countRequests(): void {
    this.#app.addHook("onRequest", async (request, reply) => {
      this.#numOpen += 1;
      void reply.header("x-request-id", request.id);
      reply.raw.once("close", () => {
        this.#numOpen -= 1;
        if (this.#numOpen === 0) this.#onIdle();
      });
    });
  }

  #answerErrors(): void {
    this.#app.setErrorHandler((error: FastifyError, { routeOptions }, reply) => {
      const { statusCode } = error;
      const answer = errorReplyOf(ourError(error, routeOptions.config));
      // 413 and 415 are the server library's to say.
      const status = isClientError(statusCode) ? statusCode : answer.status;
      return sendError(reply, { ...answer, status });
    });
    this.#app.setNotFoundHandler((request, reply) => {
      const message = `there is no ${request.method} ${request.url.slice(0, 200)} here; docs/http-api.md lists what there is`;
      return sendError(reply, errorReplyOf(new MoesaicError("not_found", message)));
    });
  }

  #addProbes(): void {
    const options = this.#options;
    const { metrics } = options;
    this.#app.get("/healthz", async () => ({ status: "ok" }));
    this.#app.get("/readyz", async (_request, reply) => {
      const reason = options.notReadyReason();
      if (reason !== null) void reply.code(503);
      return reason === null ? { status: "ready" } : { status: "not ready", reason };
    });
    this.#app.get("/metrics", async (_request, reply) => {
      void reply.type(metrics.contentType);
      return metrics.render();
    });
  }

  #addApi(): void {
    const { inference, kept, batches, background, watch, build, clock } = this.#options;
    parseJsonAlone(this.#app);
    const memory = new ReasoningMemory(clock);
    const served = { inference, fingerprint: `moesaic-${build}`, memory };
    const responses = responseEndpoints({ inference, store: new ResponseStore(clock), background, kept });
    for (const endpoint of [
      ...completionEndpoints(served),
      ...responses,
      ...modelEndpoints(inference, memory),
      ...batchEndpoints(kept, batches),
      ...dashboardEndpoints(watch),
    ]) {
      addEndpoint(this.#app, endpoint, this.#options);
    }
    // Relative to the page, so that a proxy may serve it below a path of its own.
    for (const url of ["/", "/dashboard"]) this.#app.get(url, async (_, reply) => reply.redirect("./dashboard/"));
    this.#app.register(async (app) => {
      await takeForms(app);
      for (const endpoint of fileEndpoints(this.#options.kept)) addEndpoint(app, endpoint, this.#options);
    });
  }
}

/** What the server library refuses by itself has a status; the rest is ours. */
function ourError(error: FastifyError, { takesForm }: { takesForm?: boolean }): MoesaicError {
  if (error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    const type = takesForm === true ? "multipart/form-data" : "application/json";
    return new MoesaicError("invalid_argument", `expected a body of the type ${type}; say so in content-type`);
  }
  if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return new MoesaicError("invalid_argument", `the body is larger than ${MAX_BODY_BYTES} bytes`);
  }
  if (isClientError(error.statusCode)) return new MoesaicError("invalid_argument", error.message);
  return MoesaicError.from(error);
}

function isClientError(statusCode: number | undefined): statusCode is number {
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500;
}
