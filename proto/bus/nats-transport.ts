import type { Socket } from "node:net";
import type { ConnectionOptions, NatsConnection, ServerInfo } from "nats";
import { NatsConnectionImpl, setTransportFactory } from "nats/lib/nats-base-client/internal_mod.js";
import { nodeResolveHost, NodeTransport } from "nats/lib/src/node_transport.js";
import { MoesaicError } from "../errors.js";

/**
 * `connect` of the package, without two holes of its version 2.29: a socket to a server that accepts and then says
 * nothing was never closed, one more with every attempt, and what such a server sent was gathered without end.
 */
export function connectNats(options: ConnectionOptions): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new ClosingTransport(), dnsResolveFn: nodeResolveHost });
  return NatsConnectionImpl.connect(options);
}

class ClosingTransport extends NodeTransport {
  #isGivenUp = false;

  override async dial(host: { hostname: string; port: number }): Promise<Socket> {
    const socket = await super.dial(host);
    if (this.#isGivenUp) socket.destroy();
    return socket;
  }

  override peekInfo(): Promise<ServerInfo> {
    const { socket } = this;
    let bytes = 0;
    socket.on("data", (part) => {
      bytes += part.length;
      if (bytes > MAX_GREETING_BYTES)
        socket.destroy(new MoesaicError("failed_precondition", "the greeting has no end"));
    });
    return super.peekInfo();
  }

  /** Called for every failed attempt as well, where the package does nothing. */
  override async close(error?: Error): Promise<void> {
    this.#isGivenUp = true;
    // Typed as always there; it is not while the connection is being made.
    const socket: Socket | undefined = this.socket;
    if (!this.connected) socket?.destroy();
    await super.close(error);
  }
}

/** An INFO line of a server in a large cluster has some kilobytes. */
const MAX_GREETING_BYTES = 256 * 1024;
