import fastify, { type FastifyInstance } from "fastify";
import { MoesaicError } from "../../proto/errors.js";
import type { Metrics } from "../metrics.js";

export interface HttpOptions {
  metrics: Metrics;
  /** Why the cluster cannot serve, or null when it can. */
  notReadyReason(): string | null;
}

/** The HTTP side for probes and Prometheus. */
export class HttpServer {
  readonly #app: FastifyInstance;

  constructor(options: HttpOptions) {
    this.#app = fastify({ logger: false, forceCloseConnections: true });
    this.#app.get("/healthz", async () => ({ status: "ok" }));
    this.#app.get("/readyz", async (_request, reply) => {
      const reason = options.notReadyReason();
      if (reason !== null) void reply.code(503);
      return reason === null ? { status: "ready" } : { status: "not ready", reason };
    });
    this.#app.get("/metrics", async (_request, reply) => {
      void reply.type(options.metrics.contentType);
      return options.metrics.render();
    });
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

  async close(): Promise<void> {
    await this.#app.close();
  }
}
